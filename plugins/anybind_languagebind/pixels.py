"""What pictures, depth maps and films share on their way into a tower: scaled to a square, standardised."""

from __future__ import annotations

import torch
from torch.nn import functional

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue, 0 to 1, in the pictures that OpenAI's CLIP was trained on."""


def resize_and_crop(pixels: torch.Tensor, side: int, *, mode: str, antialias: bool) -> torch.Tensor:
    """Scale the short side to `side` and keep the middle: (3, height, width) to (3, side, side) float32.

    The long side is cut to whole pixels, and the middle rounded to even, as torchvision does. Values are not clamped:
    bicubic scaling overshoots at edges.

    Args:
        pixels: float32.
        side: of the square, in pixels.
        mode: `bicubic` or `bilinear`.
        antialias: average over what a smaller picture has no room for.
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
    """(3, height, width), 0 to 1, less the mean over the spread of each channel."""
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
