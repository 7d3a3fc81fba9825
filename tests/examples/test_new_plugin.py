"""The first steps of a plugin's author: create a plugin, edit ten lines, install it, check it, evaluate it."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

COLOURS = {"a red thing": (200, 30, 20), "a blue thing": (30, 40, 210), "a green thing": (20, 180, 60)}
EDITS = {
    "DIM = 64": "DIM = 6",
    '"images by a random projection"': '"images by how much there is of each colour"',
    "side: int = 16": "side: int = 8",
    "np.random.default_rng(0).standard_normal((side * side * 3, DIM)).astype(np.float32)": (
        "np.tile(np.hstack([np.eye(3), -np.eye(3)]), (side * side, 1)).astype(np.float32)"
    ),
    '"centre": 127.5, "scale": 127.5': '"centre": "mean of the image"',
    "return (sample[rows][:, columns].astype(np.float32).ravel() - 127.5) / 127.5": (
        "seen = sample[rows][:, columns].astype(np.float32)\n"
        "        return (seen - seen.mean() + np.float32([1, 2, 3])).ravel()"
    ),
    "np.stack(inputs) @ self.weights": "np.maximum(np.stack(inputs) @ self.weights, 0)",
}
"""The template's random projection becomes a measure of colours."""
BINDING = """
name = "colours"

[encoders.image]
use = "my-colours"
side = 4
"""


def write_images(folder: Path) -> None:
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(4):
            noise = random.integers(-20, 20, (40, 50, 3))
            image = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            PIL.Image.fromarray(image).save(folder / name / f"{number}.png")


def run_command(environment: Any, *arguments: object) -> str:
    ended = environment.anybind(*arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.long
@pytest.mark.slow
def test_a_new_plugin_is_edited_installed_checked_and_evaluated(core_environment: Any):
    here = core_environment.folder
    said = run_command(core_environment, "plugins", "new", "my-colours", "--kind", "encoder")
    assert said.splitlines()[-1] == "next: pip install -e ./my-colours && anybind plugins check my-colours"
    module = here / "my-colours" / "my_colours" / "__init__.py"
    template = module.read_text()
    edited = template
    for old, new in EDITS.items():
        assert edited.count(old) == 1, old
        edited = edited.replace(old, new)
    changed = [line for line in difflib.ndiff(template.splitlines(), edited.splitlines()) if line.startswith("+ ")]
    assert len(changed) <= 10
    module.write_text(edited)

    run_command(core_environment, "plugins", "new", "my-question", "--kind", "task")
    core_environment.install(here / "my-colours", here / "my-question")
    for name in ("my-colours", "my-question"):
        table = run_command(core_environment, "plugins", "check", name)
        assert " ok" in table
        assert "remedy" not in table
    tests = core_environment.run("-m", "pytest", "-p", "no:cacheprovider", at=here / "my-colours")
    assert "failed" not in tests.stdout, tests.stdout
    assert " passed" in tests.stdout

    write_images(here / "pictures")
    (here / "colours.toml").write_text(BINDING)
    options = ("--binding", "colours.toml", "--modality", "image", "--data", "pictures", "--json")
    output = json.loads(run_command(core_environment, "evaluate", "my-question", *options))
    assert output["accuracy"] == 1
    assert output["n"] == 12
    assert output["versions"]["my-colours"] == "0.1.0"


@pytest.mark.slow
def test_an_edit_that_breaks_the_contract_fails_the_check(core_environment: Any):
    run_command(core_environment, "plugins", "new", "my-loud")
    module = core_environment.folder / "my-loud" / "my_loud" / "__init__.py"
    module.write_text(module.read_text().replace("return normalize(", "return 3 * normalize("))
    core_environment.install(core_environment.folder / "my-loud")
    ended = core_environment.anybind("plugins", "check", "my-loud")
    assert ended.returncode == 1
    assert "check_unit_norm: norms are 3, 3, 3, not 1" in ended.stdout
