"""The plugin on the first page of the plugin docs: short, and usable at once."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.testing import Example, check

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "how-to" / "write-a-plugin.md").read_text()


@pytest.fixture
def module() -> str:
    (source,) = re.findall(r'```python title="my-colours/my_colours.py"\n(.*?)```', PAGE, re.DOTALL)
    return source


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        PIL.Image.fromarray(np.full((8, 8, 3), (number * 200, 100, 50), np.uint8)).save(path)
    return paths


def test_the_first_plugin_has_at_most_25_lines_and_8_ideas(module: str):
    assert len(module.splitlines()) <= 25
    assert len(re.findall(r"^\d+\. \*\*", PAGE, re.MULTILINE)) <= 8


def test_the_first_plugin_embeds_from_the_command_line_and_from_python(
    module, images, tmp_path, make_distribution, run_anybind
):
    site = make_distribution("my-colours", {"my-colours": "my_colours"}, {"my_colours": module})
    output = tmp_path / "colours.safetensors"
    result = run_anybind("embed", "--encoder", "mean-colours", *images, "-o", output, path=site)
    assert result.returncode == 0, result.stderr
    ((modality, embeddings),) = anybind.load_embeddings(output).items()
    assert (modality, embeddings.vectors.shape) == ("image", (2, 3))


def test_the_first_plugin_is_loaded_and_passes_its_checks(
    module, images, registry, tmp_path, monkeypatch, clean_registry
):
    (tmp_path / "my_colours.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    import my_colours  # pyright: ignore[reportMissingImports]

    clean_registry("media", my_colours)
    binder = anybind.load_encoder("mean-colours")
    assert len(binder.embed("image", images)) == 2
    check(binder.encoder("image"), Example(samples=[anybind.read(path) for path in images]))
