"""Panels of an explanation: the map over the event frame, and over the image that a recording shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from anybind.plugin import files
from anybind_explain.drawing import draw_heat_map, join_panels, resize_frame
from anybind_explain.geometry import project_map
from anybind_explain.pairs import Relevance


@dataclass(frozen=True)
class MapPanel:
    """A frame with its map.

    Attributes:
        caption: caption of the frame.
        image: the frame, (height, width, 3) uint8.
        map_image: the frame with the map over it, of the same shape.
    """

    caption: str
    image: np.ndarray
    map_image: np.ndarray


def make_panel(caption: str, frame: np.ndarray, relevance: Relevance) -> MapPanel:
    """Draw the map over the encoder's input region of a frame, (height, width, 3) uint8 of any size."""
    image = resize_frame(frame)
    heat = project_map(relevance.grid, relevance.region, *image.shape[:2]) / (relevance.grid.max() or 1.0)
    return MapPanel(caption, image, draw_heat_map(image, heat))


def write_image(path: Path, panels: Sequence[MapPanel]) -> None:
    """Write the maps side by side as a PNG file; on failure, no partial file is left."""
    with files.atomic_path(path) as temporary:
        PIL.Image.fromarray(join_panels([panel.map_image for panel in panels])).save(temporary, format="PNG")
