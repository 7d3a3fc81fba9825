"""Plugins that are broken on purpose, installed and checked by the command: each fails the checks of what it breaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

GOOD = """
import anybind, numpy as np
from anybind.plugin import Encoder, EncoderSpec, hookimpl

anybind_contract = 1

@hookimpl
def register(registry):
    registry.add(EncoderSpec(
        name="NAME", summary="mean colours", target="MODULE:Mean", modality="image", space="means",
        licence="MIT", weights_licence="MIT",
    ))

class Mean(Encoder):
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
    "not-unit": ("return anybind.unit(rows)", "return 1.5 * anybind.unit(rows)", ["check_unit_norm"]),
    "random": ("rows = np.stack(inputs)", "rows = np.stack(inputs) + 9 * np.random.rand(3)", ["check_deterministic"]),
    "by-the-batch": ("rows = np.stack(inputs)", "rows = np.stack(inputs); rows = rows - rows.mean() / 2", ["check_batch_invariance"]),
    "wrong-space": ('space="means"', 'space="colours"', ["check_modality_and_space"]),
    "wrong-dim": ('Space("means", 3)', 'Space("means", 4)', ["check_dimension"]),
    "not-a-number": ("return anybind.unit(rows)", "return anybind.unit(rows) * np.float32([1, 1, np.nan])", ["check_finite"]),
    "doubles": ("return anybind.unit(rows)", "return anybind.unit(rows).astype(float)", ["check_dtype"]),
    "no-licence": ('licence="MIT", weights', 'licence="", weights', ["check_code_licence"]),
    "weights-of-whom": ('weights_licence="MIT"', 'weights_licence="unknown"', ["check_weights_licence"]),
    "arrays-as-settings": ('"plus": 1.0}', '"plus": np.float32(1)}', ["check_preprocessing"]),
    "no-hash": ('"0123456789ab"', '"version 1"', ["check_identity"]),
    "remembers": ("return sample.mean(axis=(0, 1)) + 1.0", "self.at = getattr(self, 'at', 0) + 1; return sample.mean(axis=(0, 1)) + self.at", ["check_deterministic"]),
    "deaf": ("rows = np.stack(inputs)", "rows = np.ones((len(inputs), 3))", ["check_distinguishes_samples"]),
    "crashes": ("rows = np.stack(inputs)", "rows = 1 / 0", ["check_embeds_its_samples"]),
    "elsewhere": ('target="MODULE:Mean"', 'target="MODULE:Median"', ["check_target", "check_example"]),
}  # fmt: skip
"""By plugin: what of the good one is replaced, by what, and the checks that then fail."""


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The checks that each plugin fails, as `anybind plugins check` of their distribution lists them."""
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
        part["name"]: [each["check"] for each in part["checks"] if each["status"] == "failed"]
        for part in json.loads(ended.stdout)["parts"]
    }


@pytest.mark.parametrize("name", BROKEN)
def test_a_plugin_fails_the_checks_of_what_it_breaks(failures: dict[str, list[str]], name: str):
    assert failures[name] == BROKEN[name][2]


def test_a_plugin_that_is_not_checked_is_noticed(failures: dict[str, list[str]]):
    assert set(failures) == set(BROKEN)
    assert len(BROKEN) > 10
