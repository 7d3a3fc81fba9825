"""Heat maps over images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image

SIDE = 420
"""Height of a panel in pixels, and half of its maximum width."""
GAP = 12
COLOURS = np.array([(252, 224, 90), (247, 148, 29), (221, 52, 67), (132, 18, 94)], float)
"""Colour scale from low relevance to the maximum of a map."""
OPACITY = 0.8
"""Opacity of the heat map at maximum relevance."""
DESATURATION = 0.55
"""Desaturation of the image under its map, 0 to 1."""
OUTSIDE_BRIGHTNESS = 0.45
"""Brightness outside of the encoder's input region."""


def resize_frame(image: np.ndarray) -> np.ndarray:
    """Resize a frame, (height, width, 3) uint8, to its panel, keeping the aspect ratio."""
    height, width = image.shape[:2]
    scale = min(SIDE / height, 2 * SIDE / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BICUBIC))


def draw_heat_map(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Draw a map over an image; higher relevance is darker and more opaque.

    Args:
        image: (height, width, 3) uint8.
        heat: (height, width), 0 to 1, NaN outside of the encoder's input region.
    """
    is_outside = np.isnan(heat)[..., None]
    level = np.nan_to_num(heat)
    colours = np.stack([np.interp(level, np.linspace(0, 1, len(COLOURS)), COLOURS[:, c]) for c in range(3)], axis=2)
    gray = image @ np.array([0.299, 0.587, 0.114])
    muted = image + DESATURATION * (gray[..., None] - image)
    cover = OPACITY * np.sqrt(level)[..., None]
    blended = np.where(is_outside, OUTSIDE_BRIGHTNESS * muted, (1 - cover) * muted + cover * colours)
    return np.rint(blended).astype(np.uint8)


def join_panels(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Join panels in a row on white."""
    height = max(panel.shape[0] for panel in panels)
    row: list[np.ndarray] = []
    for panel in panels:
        framed = np.full((height, panel.shape[1], 3), 255, np.uint8)
        top = (height - panel.shape[0]) // 2
        framed[top : top + panel.shape[0]] = panel
        row += [framed, np.full((height, GAP, 3), 255, np.uint8)]
    return np.concatenate(row[:-1], axis=1)
