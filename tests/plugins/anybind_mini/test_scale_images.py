"""Scaled copies of images as training data."""

from __future__ import annotations

import numpy as np
import PIL.Image

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
