"""Colour map of spectrograms and depth maps."""

from __future__ import annotations

import numpy as np

COLOURS = np.array(
    [(12, 8, 38), (64, 20, 110), (140, 41, 100), (204, 70, 64), (243, 130, 30), (250, 200, 70), (252, 252, 190)]
)
"""Evenly spaced from dark to light; brightness is monotonic, so that the map also works in gray."""


def apply_colormap(values: np.ndarray) -> np.ndarray:
    """Map values, clipped to 0 to 1, to colours from dark to light, uint8 (..., 3)."""
    positions = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(values, positions, channel) for channel in COLOURS.T], axis=-1).round().astype(np.uint8)
