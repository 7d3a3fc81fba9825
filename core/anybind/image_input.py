"""`ImageInput`: the preprocessing of images that most image encoders share, in Pillow and NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class ImageInput:
    """Resizing, the central crop, and normalisation of an image; equal to torchvision's transforms on Pillow images.

    Attributes:
        side: height and width of the result, in pixels.
        resize: length of the short side before the crop, in pixels. [default: `side`]
        mode: `shortest` crops the centre after the short side is resized; `squash` resizes both sides to `side`,
            whatever the image's aspect ratio; `longest` resizes the long side to `side` and pads.
        interpolation: `bicubic` or `bilinear`, both with antialiasing.
        mean, std: subtracted from each channel in [0, 1], and divided by, red first.
        fill: colour of the padding, 0 to 255.
    """

    side: int
    resize: int = 0
    mode: Literal["shortest", "squash", "longest"] = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    fill: int = 0

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Preprocess (height, width, 3) uint8 to (3, side, side) float32."""
        import PIL.Image

        method = {"bicubic": PIL.Image.Resampling.BICUBIC, "bilinear": PIL.Image.Resampling.BILINEAR}
        original = PIL.Image.fromarray(image)
        resized = original.resize(self._get_size(*original.size), method[self.interpolation])
        pixels = _pad(np.asarray(resized), self.side, self.fill) if self.mode == "longest" else np.asarray(resized)
        top, left = (round((length - self.side) / 2) for length in pixels.shape[:2])
        pixels = pixels[top : top + self.side, left : left + self.side]
        mean, std = (np.array(values, np.float32) for values in (self.mean, self.std))
        scaled = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))

    def _get_size(self, width: int, height: int) -> tuple[int, int]:
        if self.mode == "squash":
            return self.side, self.side
        if self.mode == "longest":
            scale = max(width / self.side, height / self.side)
            return round(width / scale), round(height / scale)
        short = self.resize or self.side
        if width <= height:
            return short, int(short * height / width)
        return int(short * width / height), short


def _pad(pixels: np.ndarray, side: int, fill: int) -> np.ndarray:
    """Pad (height, width, 3) to at least `side`, with the larger half of an odd number at the end."""
    missing = [max(0, side - length) for length in pixels.shape[:2]]
    return np.pad(pixels, [*((each // 2, each - each // 2) for each in missing), (0, 0)], constant_values=fill)
