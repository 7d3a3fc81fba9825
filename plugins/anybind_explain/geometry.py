"""Which part of a picture or event frame a tower sees, and its map laid over that part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from anybind.plugin import Encoder, Representation, samples

INNER = (0.03, 0.97)
"""Of a ramp from 0 to 1, what is neither clipped by a filter's overshoot nor padding."""


@dataclass(frozen=True)
class Seen:
    """The part of a frame that a tower's input covers, in fractions of the frame: 0 to 1, more where it was padded."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels of a frame, within it."""
        horizontal = [round(width * min(max(edge, 0.0), 1.0)) for edge in (self.left, self.right)]
        vertical = [round(height * min(max(edge, 0.0), 1.0)) for edge in (self.top, self.bottom)]
        return horizontal[0], vertical[0], horizontal[1], vertical[1]


@runtime_checkable
class FrameTower(Protocol):
    """An event encoder that goes an image encoder's way: its image encoder, what makes frames, and how they enter.

    Attributes:
        image: the image encoder, which resizes and crops frames as images.
        frame: a recording to a frame.
        direct: the frame itself is scaled to the input, without a crop.
    """

    image: Encoder
    frame: Representation
    direct: bool


def seen_part(tower: Encoder, sample: samples.ImageSample | samples.EventSample) -> Seen:
    """What a tower sees of an `image`, or of the frame of an `event` recording.

    A `FrameTower` crops frames as its image encoder does; any other event encoder is taken to see all.
    """
    if isinstance(sample, np.ndarray):
        return probe(tower.preprocess, *sample.shape[:2])
    if not isinstance(tower, FrameTower) or tower.direct:
        return Seen()
    return probe(tower.image.preprocess, *tower.frame(sample).shape[-2:])


def probe(preprocess: Callable[[np.ndarray], npt.ArrayLike], height: int, width: int) -> Seen:
    """What is left of a picture of this size: found on pictures that hold nothing but where each pixel is.

    Args:
        preprocess: (height, width, 3) uint8 to (channels, rows, columns), pixel by pixel but for scaling and cropping.
        height, width: in pixels.
    """
    black, white = (np.asarray(preprocess(np.full((height, width, 3), level, np.uint8))) for level in (0, 255))
    edges = []
    for axis, size in ((1, width), (0, height)):
        ramp = np.rint(255 * (np.arange(size) + 0.5) / size).astype(np.uint8)
        shape = (1, size, 1) if axis == 1 else (size, 1, 1)
        given = np.ascontiguousarray(np.broadcast_to(ramp.reshape(shape), (height, width, 3)))
        with np.errstate(divide="ignore", invalid="ignore"):  # where there is padding, black is white
            place = (np.asarray(preprocess(given)) - black) / (white - black)
        edges.append(_edges(np.nan_to_num(np.median(place.mean(axis=0), axis=1 - axis), nan=-1.0)))
    (left, right), (top, bottom) = edges
    return Seen(left, top, right, bottom)


def _edges(places: np.ndarray) -> tuple[float, float]:
    """First and last edge of the input as places of the frame, by a straight line through those of its pixels."""
    at = (np.arange(len(places)) + 0.5) / len(places)
    inner = (places > INNER[0]) & (places < INNER[1])
    if inner.sum() < 2:
        return 0.0, 1.0
    slope, start = np.polyfit(at[inner], places[inner], 1)
    return float(start), float(start + slope)


def lay_over(grid: np.ndarray, seen: Seen, height: int, width: int) -> np.ndarray:
    """A map at every pixel of a frame, (height, width): straight between the middles of cells, NaN where unseen."""
    rows = _weights(grid.shape[0], seen.top, seen.bottom, height)
    columns = _weights(grid.shape[1], seen.left, seen.right, width)
    return rows @ grid @ columns.T


def _weights(cells: int, first: float, last: float, pixels: int) -> np.ndarray:
    """(pixels, cells): what each cell counts for each pixel; NaN for pixels outside."""
    at = ((np.arange(pixels) + 0.5) / pixels - first) / (last - first)
    place = np.clip(at * cells - 0.5, 0, cells - 1)
    lower = np.minimum(place.astype(int), max(cells - 2, 0))
    weights = np.zeros((pixels, cells))
    weights[np.arange(pixels), np.minimum(lower + 1, cells - 1)] = place - lower
    weights[np.arange(pixels), lower] += 1 - (place - lower)
    weights[(at < 0) | (at > 1)] = np.nan
    return weights
