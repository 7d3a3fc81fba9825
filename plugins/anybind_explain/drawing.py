"""Heat maps over pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image

SIDE = 420
"""Height of a panel in pixels, and most of its width."""
GAP = 12
COLOURS = np.array([(252, 224, 90), (247, 148, 29), (221, 52, 67), (132, 18, 94)], float)
"""From a little relevance to the most of a map."""
COVER = 0.8
"""Of a picture's own colours, how much the most relevant place hides."""
PALE = 0.55
"""How far a picture is drawn to gray under its map."""
UNSEEN = 0.45
"""Brightness of what the tower does not see."""


def scaled(picture: np.ndarray) -> np.ndarray:
    """A frame, (height, width, 3) uint8, as large as fits into its panel, with the frame's ratio."""
    height, width = picture.shape[:2]
    scale = min(SIDE / height, 2 * SIDE / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(PIL.Image.fromarray(picture).resize(size, PIL.Image.Resampling.BICUBIC))


def heat_over(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture with a map over it, both (height, width); the more relevant, the darker and the less see-through.

    Args:
        picture: (height, width, 3) uint8.
        heat: 0 to 1, NaN where the tower does not see.
    """
    unseen = np.isnan(heat)[..., None]
    level = np.nan_to_num(heat)
    colours = np.stack([np.interp(level, np.linspace(0, 1, len(COLOURS)), COLOURS[:, c]) for c in range(3)], axis=2)
    gray = picture @ np.array([0.299, 0.587, 0.114])
    pale = picture + PALE * (gray[..., None] - picture)
    cover = COVER * np.sqrt(level)[..., None]
    drawn = np.where(unseen, UNSEEN * pale, (1 - cover) * pale + cover * colours)
    return np.rint(drawn).astype(np.uint8)


def side_by_side(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Panels in a row on white."""
    height = max(panel.shape[0] for panel in panels)
    row: list[np.ndarray] = []
    for panel in panels:
        framed = np.full((height, panel.shape[1], 3), 255, np.uint8)
        top = (height - panel.shape[0]) // 2
        framed[top : top + panel.shape[0]] = panel
        row += [framed, np.full((height, GAP, 3), 255, np.uint8)]
    return np.concatenate(row[:-1], axis=1)
