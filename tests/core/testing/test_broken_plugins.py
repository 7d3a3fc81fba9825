"""Plugins that are broken on purpose, installed and checked by the command: each fails by the rules that it breaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

GOOD = """
import anybind, numpy as np

@anybind.hookimpl
def register_encoders(register):
    register(anybind.Spec(
        name="NAME", summary="mean colours", target="MODULE:Mean", consumes=("image",), gives="means",
        licence="MIT", weights_licence="MIT",
    ))

class Mean(anybind.Encoder):
    modality, space = "image", anybind.Space("means", 3)
    weights_hash = "0123456789ab"

    @property
    def preprocessing(self):
        return {"mean": "rgb", "plus": 1.0}

    def preprocess(self, sample):
        return sample.mean(axis=(0, 1)) + 1.0

    def encode(self, inputs):
        rows = np.stack(inputs)
        return anybind.unit(rows)

def anybind_examples(kind, name, folder):
    from anybind.testing import Example
    random = np.random.default_rng(0)
    return Example(
        samples=[random.integers(0, 255, (4, 4, 3), dtype=np.uint8) // number for number in (1, 2, 3)],
        wrong=[np.zeros((0, 4, 3), np.uint8)],
    )
"""
BROKEN = {
    "good": ("", "", []),
    "not-unit": ("return anybind.unit(rows)", "return 1.5 * anybind.unit(rows)", ["unit norm"]),
    "random": ("rows = np.stack(inputs)", "rows = np.stack(inputs) + 9 * np.random.rand(3)", ["deterministic"]),
    "by-the-batch": ("rows = np.stack(inputs)", "rows = np.stack(inputs); rows = rows - rows.mean() / 2", ["batch invariant"]),
    "wrong-space": ('gives="means"', 'gives="colours"', ["modality and space"]),
    "wrong-dim": ('Space("means", 3)', 'Space("means", 4)', ["right space and dim"]),
    "not-a-number": ("return anybind.unit(rows)", "return anybind.unit(rows) * np.float32([1, 1, np.nan])", ["finite"]),
    "doubles": ("return anybind.unit(rows)", "return anybind.unit(rows).astype(float)", ["dtype float32"]),
    "no-licence": ('licence="MIT", weights', 'licence="", weights', ["licence of the code"]),
    "weights-of-whom": ('weights_licence="MIT"', 'weights_licence="unknown"', ["licence of the weights"]),
    "arrays-as-settings": ('"plus": 1.0}', '"plus": np.float32(1)}', ["preprocessing is JSON-like"]),
    "no-hash": ('"0123456789ab"', '"version 1"', ["identity"]),
    "remembers": ("return sample.mean(axis=(0, 1)) + 1.0", "self.at = getattr(self, 'at', 0) + 1; return sample.mean(axis=(0, 1)) + self.at", ["deterministic"]),
    "deaf": ("rows = np.stack(inputs)", "rows = np.ones((len(inputs), 3))", ["tells samples apart"]),
    "crashes": ("rows = np.stack(inputs)", "rows = 1 / 0", ["embeds its samples"]),
    "elsewhere": ('target="MODULE:Mean"', 'target="MODULE:Median"', ["target", "tried"]),
}  # fmt: skip
"""By plugin: what of the good one is replaced, by what, and the rules that it then breaks."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The rules that each plugin breaks, as `anybind plugins check` of their distribution says."""
    site = tmp_path_factory.mktemp("site")
    info = site / "wrecks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrecks\nVersion: 1.0\n")
    points = []
    for name, (old, new, _) in BROKEN.items():
        module = name.replace("-", "_") + "_wreck"
        assert not old or GOOD.count(old) == 1, old
        source = (GOOD.replace(old, new) if old else GOOD).replace("NAME", name).replace("MODULE", module)
        (site / f"{module}.py").write_text(source)
        points.append(f"{name} = {module}")
    (info / "entry_points.txt").write_text("\n".join(["[anybind]", *points, ""]))
    command = [sys.executable, "-m", "anybind", "plugins", "check", "wrecks", "--json"]
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stderr
    return {
        part["name"]: [rule["rule"] for rule in part["rules"] if rule["status"] == "broken"]
        for part in json.loads(ended.stdout)["parts"]
    }


@pytest.mark.parametrize("name", BROKEN)
def test_a_plugin_fails_by_the_rules_that_it_breaks(told: dict[str, list[str]], name: str):
    assert told[name] == BROKEN[name][2]


def test_a_plugin_that_is_not_checked_is_noticed(told: dict[str, list[str]]):
    assert set(told) == set(BROKEN)
    assert len(BROKEN) > 10
