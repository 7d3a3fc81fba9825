"""`anybind export`."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.torch


def test_the_command_exports_and_prints_figures(cli, image_folder, tmp_path):
    folder = tmp_path / "new"
    result = cli("export", "tiny-image", "-o", folder, "--samples", image_folder, "--precision", "int8")
    assert result.code == 0, result.err
    assert f"{folder}: load it as --binding onnx:{folder}" in result.out.replace("\n", "")
    card = json.loads((folder / "card.json").read_text())
    assert card["encoders"]["image"]["gate"]["samples"] == 70
    assert not card["encoders"]["image"]["gate"]["synthetic"]


def test_texts_are_the_lines_of_a_file(cli, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(f"text number {number}" for number in range(80)))
    folder = tmp_path / "new"
    result = cli("export", "tiny-text", "-o", folder, "--samples", tmp_path / "texts.txt", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["card"]["encoders"]["text"]["gate"]["samples"] == 80
