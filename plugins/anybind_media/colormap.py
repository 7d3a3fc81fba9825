"""Colours of what has none: energies of a sound, depths."""

from __future__ import annotations

import numpy as np

COLOURS = np.array(
    [(12, 8, 38), (64, 20, 110), (140, 41, 100), (204, 70, 64), (243, 130, 30), (250, 200, 70), (252, 252, 190)]
)
"""From dark to light, evenly spaced: brightness rises all the way, so that it also reads in gray."""


def coloured(shares: np.ndarray) -> np.ndarray:
    """Shares from 0 to 1 (what is beyond is clipped) as colours from dark to light, uint8 (..., 3)."""
    places = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(shares, places, of_one) for of_one in COLOURS.T], axis=-1).round().astype(np.uint8)
