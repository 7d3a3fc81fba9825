"""The frames that a map lies over: of the recording, and of the picture that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from anybind.plugin import files
from anybind_explain.drawing import heat_over, scaled, side_by_side
from anybind_explain.geometry import lay_over
from anybind_explain.pairs import Relevance


@dataclass(frozen=True)
class Panel:
    """A frame with its map.

    Attributes:
        caption: what is seen.
        plain: the frame, (height, width, 3) uint8.
        drawn: of the same shape, with the map over it.
    """

    caption: str
    plain: np.ndarray
    drawn: np.ndarray


def make_panel(caption: str, frame: np.ndarray, found: Relevance) -> Panel:
    """A frame, (height, width, 3) uint8 of any size, with the map over what of it the tower saw."""
    plain = scaled(frame)
    heat = lay_over(found.grid, found.seen, *plain.shape[:2]) / (found.grid.max() or 1.0)
    return Panel(caption, plain, heat_over(plain, heat))


def write_picture(path: Path, panels: Sequence[Panel]) -> None:
    """Write the maps, side by side, as a PNG file, whole or not at all."""
    with files.atomic_path(path) as temporary:
        PIL.Image.fromarray(side_by_side([panel.drawn for panel in panels])).save(temporary, format="PNG")
