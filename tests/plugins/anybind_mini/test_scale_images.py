"""Scaled copies of images as training data."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind_mini.scale_images import MAX_SIDE, scale_images


def test_images_are_scaled_down_on_white_at_the_same_paths(tmp_path):
    folder, output = tmp_path / "art", tmp_path / "scaled"
    (folder / "tools").mkdir(parents=True)
    shape = PIL.Image.new("RGBA", (800, 600), (0, 0, 0, 0))
    shape.paste((200, 30, 40, 255), (100, 100, 300, 300))
    shape.save(folder / "tools" / "hammer.png")
    PIL.Image.new("RGB", (50, 50), "white").save(folder / "blank.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")

    assert scale_images(folder, output) == 1
    pixels = anybind.read(output / "tools" / "hammer.png")
    assert pixels.shape == (MAX_SIDE * 600 // 800, MAX_SIDE, 3)
    assert (pixels[0, 0] == 255).all()
    assert np.abs(pixels[100, 100].astype(int) - [200, 30, 40]).max() <= 1


def test_images_that_training_refuses_are_left_out_and_listed(tmp_path, capsys):
    random = np.random.default_rng(0)
    folder, output = tmp_path / "art", tmp_path / "scaled"
    folder.mkdir()
    for name, width, height in (("line.png", 3000, 20), ("narrow.png", 2000, 50), ("a.jpg", 40, 40), ("a.png", 60, 60)):
        PIL.Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / name)
    PIL.Image.new("RGB", (50, 50), "white").save(folder / "blank.png")

    assert scale_images(folder, output) == 3
    assert {path.name: PIL.Image.open(path).size for path in output.iterdir()} == {
        "narrow.png": (400, 10),
        "a.png": (40, 40),
        "a.png.png": (60, 60),
    }
    left_out = capsys.readouterr().out
    assert f"left out: {folder / 'blank.png'}: an image of one color" in left_out
    assert f"left out: {folder / 'line.png'}: image of 400x3 pixels: expected an aspect ratio up to 100" in left_out
    assert len(anybind.derive("event", anybind.read(output / "narrow.png"), model="motion", vary=True, seed=1))


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(anybind.BadInput, match="expected a folder with images"):
        scale_images(tmp_path, tmp_path / "scaled")
