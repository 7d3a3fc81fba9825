"""Preprocessing of images, depth maps and video frames: resize, centre crop and normalisation."""

from __future__ import annotations

import torch
from torch.nn import functional

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Channel mean and standard deviation of the training images of OpenAI's CLIP, values 0 to 1."""


def resize_and_crop(pixels: torch.Tensor, side: int, *, mode: str, antialias: bool) -> torch.Tensor:
    """Resize the short side to `side` and crop the centre: (3, height, width) to (3, side, side) float32.

    The long side is rounded down, and the crop offset is rounded to even, as in torchvision. Values are not clamped:
    bicubic interpolation overshoots at edges.

    Args:
        pixels: float32.
        side: side of the square, in pixels.
        mode: `bicubic` or `bilinear`.
        antialias: low-pass filter when downsampling.
    """
    height, width = pixels.shape[1:]
    short, long = min(height, width), max(height, width)
    long_side = int(side * long / short)
    size = (long_side, side) if height > width else (side, long_side)
    if size != (height, width):
        pixels = functional.interpolate(pixels[None], size=size, mode=mode, align_corners=False, antialias=antialias)[0]
    top, left = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return pixels[:, top : top + side, left : left + side]


def normalize_channels(pixels: torch.Tensor) -> torch.Tensor:
    """Subtract the mean and divide by the standard deviation of each channel; (3, height, width), 0 to 1."""
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
