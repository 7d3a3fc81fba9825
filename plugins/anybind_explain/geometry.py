"""The region of an image or event frame that an encoder's input covers, and maps projected onto it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from anybind.plugin import Encoder, Representation, samples

INNER = (0.03, 0.97)
"""Range of a ramp from 0 to 1 without padding and without values clipped after a filter's overshoot."""


@dataclass(frozen=True)
class InputRegion:
    """The region of a frame that an encoder's input covers, as fractions of the frame; beyond [0, 1] with padding."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def place(self, inner: InputRegion) -> InputRegion:
        """Return the region that is `inner` within this one."""
        width, height = self.right - self.left, self.bottom - self.top
        return InputRegion(
            self.left + inner.left * width,
            self.top + inner.top * height,
            self.left + inner.right * width,
            self.top + inner.bottom * height,
        )

    def to_pixels(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in pixels, clipped to the frame."""
        horizontal = [round(width * min(max(edge, 0.0), 1.0)) for edge in (self.left, self.right)]
        vertical = [round(height * min(max(edge, 0.0), 1.0)) for edge in (self.top, self.bottom)]
        return horizontal[0], vertical[0], horizontal[1], vertical[1]


@runtime_checkable
class FrameEncoder(Protocol):
    """An event encoder that encodes event frames by an image encoder.

    Attributes:
        image: the image encoder, which resizes and crops frames as images.
        frame: the representation that maps a recording to a frame.
        direct: the frame is resized to the input directly, without a crop.
    """

    image: Encoder
    frame: Representation
    direct: bool


def find_input_region(encoder: Encoder, sample: samples.ImageSample | samples.EventSample) -> InputRegion:
    """Find the input region of an encoder for an image, or for an event recording.

    A `FrameEncoder` crops frames as its image encoder does, and its representation may show a part of the sensor; for
    other event encoders the region is the whole sensor.
    """
    if isinstance(sample, np.ndarray):
        return measure_input_region(encoder.preprocess, *sample.shape[:2])
    if not isinstance(encoder, FrameEncoder):
        return InputRegion()
    part = InputRegion(*encoder.frame.find_region(sample))
    if encoder.direct:
        return part
    return part.place(measure_input_region(encoder.image.preprocess, *encoder.frame(sample).shape[-2:]))


def measure_input_region(preprocess: Callable[[np.ndarray], npt.ArrayLike], height: int, width: int) -> InputRegion:
    """Measure the input region of a preprocessing function on images that encode each pixel's position (ramps).

    Args:
        preprocess: maps (height, width, 3) uint8 to (channels, rows, columns) by resizing, cropping and pixelwise
            operations.
        height, width: image size in pixels.
    """
    black, white = (np.asarray(preprocess(np.full((height, width, 3), level, np.uint8))) for level in (0, 255))
    edges = []
    for axis, size in ((1, width), (0, height)):
        ramp = np.rint(255 * (np.arange(size) + 0.5) / size).astype(np.uint8)
        shape = (1, size, 1) if axis == 1 else (size, 1, 1)
        ramp_image = np.ascontiguousarray(np.broadcast_to(ramp.reshape(shape), (height, width, 3)))
        with np.errstate(divide="ignore", invalid="ignore"):  # in padding, black and white are equal
            positions = (np.asarray(preprocess(ramp_image)) - black) / (white - black)
        edges.append(_fit_edges(np.nan_to_num(np.median(positions.mean(axis=0), axis=1 - axis), nan=-1.0)))
    (left, right), (top, bottom) = edges
    return InputRegion(left, top, right, bottom)


def _fit_edges(positions: np.ndarray) -> tuple[float, float]:
    """Return the first and last edge of the input as frame positions, by a linear fit over its pixels' positions."""
    input_positions = (np.arange(len(positions)) + 0.5) / len(positions)
    inner = (positions > INNER[0]) & (positions < INNER[1])
    if inner.sum() < 2:
        return 0.0, 1.0
    slope, start = np.polyfit(input_positions[inner], positions[inner], 1)
    return float(start), float(start + slope)


def project_map(grid: np.ndarray, region: InputRegion, height: int, width: int) -> np.ndarray:
    """Interpolate a map at every pixel of a frame, (height, width): bilinear; NaN outside of the region."""
    rows = _compute_cell_weights(grid.shape[0], region.top, region.bottom, height)
    columns = _compute_cell_weights(grid.shape[1], region.left, region.right, width)
    return rows @ grid @ columns.T


def _compute_cell_weights(cells: int, first: float, last: float, pixels: int) -> np.ndarray:
    """Return the linear interpolation weights, (pixels, cells); NaN for pixels outside of the region."""
    positions = ((np.arange(pixels) + 0.5) / pixels - first) / (last - first)
    cell_positions = np.clip(positions * cells - 0.5, 0, cells - 1)
    lower = np.minimum(cell_positions.astype(int), max(cells - 2, 0))
    weights = np.zeros((pixels, cells))
    weights[np.arange(pixels), np.minimum(lower + 1, cells - 1)] = cell_positions - lower
    weights[np.arange(pixels), lower] += 1 - (cell_positions - lower)
    weights[(positions < 0) | (positions > 1)] = np.nan
    return weights
