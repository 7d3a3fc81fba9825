"""The region and the window of a recording in which something moves, robust to noise and hot pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anybind_events.pixel_counts import count_pixels
from anybind_events.representations.frames import compute_nonzero_percentile
from anybind_events.representations.kernels import count_inside, limit_to_neighbours
from anybind_events.stream import EventStream

BLOCKS = 32
"""Blocks along the longer side of the sensor, in which activity is compared with the background."""
TAIL = 0.02
"""Fraction of the activity beyond each side of the region."""
MIN_BLOCKS = 4
"""Smallest side of the region, in blocks."""
MIN_WINDOW_EVENTS = 500
"""Fewer events show no shape."""
N_STARTS = 24
"""Number of positions at which a window is tried."""


class Box(NamedTuple):
    """A region of a sensor in pixels; parts outside the sensor are empty."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, planes: np.ndarray) -> np.ndarray:
        """Return the region of (n, height, width) planes, contiguous, with zeros outside the sensor."""
        height, width = planes.shape[1:]
        region = np.zeros((len(planes), self.height, self.width), planes.dtype)
        left, top = max(self.left, 0), max(self.top, 0)
        right, bottom = min(self.left + self.width, width), min(self.top + self.height, height)
        region[:, top - self.top : bottom - self.top, left - self.left : right - self.left] = planes[
            :, top:bottom, left:right
        ]
        return region


def find_active_box(stream: EventStream, margin: float) -> Box:
    """Find the square that contains the activity of a recording; the whole sensor if nothing stands out.

    The count of a pixel is limited by its largest neighbour, since hot pixels and noise are alone, and by the 90th
    percentile. Activity is what a block of pixels has above the median block by more than twice the deviation of
    Poisson noise; the square contains all but 2 % of it beyond each side.

    Args:
        stream: the recording.
        margin: width added on each side, as a fraction of the square's side.
    """
    whole = Box(0, 0, stream.width, stream.height)
    limited = np.empty((stream.height, stream.width), np.uint32)
    limit_to_neighbours(count_pixels(stream), limited)
    np.minimum(limited, np.uint32(np.ceil(compute_nonzero_percentile(limited, 90))), out=limited)
    side = max(1, -(-max(stream.width, stream.height) // BLOCKS))
    blocks = _sum_blocks(limited, side)
    background = _compute_median(blocks)
    excess = np.maximum(blocks - background - 2 * np.sqrt(background + 1), 0.0)
    if not excess.any():
        return whole
    left, right = _find_extent(excess.sum(axis=0), side, stream.width)
    top, bottom = _find_extent(excess.sum(axis=1), side, stream.height)
    length = max(right - left, bottom - top, MIN_BLOCKS * side)
    length = min(round(length * (1 + 2 * margin)), max(stream.width, stream.height))
    return Box(round((left + right - length) / 2), round((top + bottom - length) / 2), length, length)


def count_window_events(box: Box, density: float) -> float:
    """Return the number of events inside a box of a window with `density` events per pixel of it."""
    return max(MIN_WINDOW_EVENTS, density * box.width * box.height)


def find_dense_window(stream: EventStream, box: Box, density: float) -> tuple[int, int]:
    """Find a short one of 24 windows with `density` events per pixel of a region, as indices of events.

    In a short window the motion is fast: its edges are sharp and stand out from noise. The first quartile by duration
    is taken, not the shortest, which may be a flash or a burst of the sensor.
    """
    inside = count_inside(stream.x, stream.y, *box)
    share = count_window_events(box, density) / max(inside, 1)
    if share >= 1:
        return 0, len(stream)
    length = max(1, round(share * len(stream)))
    starts = np.linspace(0, len(stream) - length, N_STARTS).astype(np.int64)
    durations = stream.t[starts + length - 1] - stream.t[starts]
    first = int(starts[np.argsort(durations, kind="stable")[N_STARTS // 4]])
    return first, first + length


def _sum_blocks(counts: np.ndarray, side: int) -> np.ndarray:
    """Sum (height, width) counts in square blocks; incomplete ones at the right and bottom are scaled up."""
    rows, columns = np.arange(0, counts.shape[0], side), np.arange(0, counts.shape[1], side)
    sums = np.add.reduceat(np.add.reduceat(counts, columns, axis=1, dtype=np.int64), rows, axis=0).astype(np.float64)
    heights, widths = np.minimum(side, counts.shape[0] - rows), np.minimum(side, counts.shape[1] - columns)
    return sums * (side * side / (heights[:, None] * widths))


def _compute_median(values: np.ndarray) -> float:
    """Return the median; NumPy's imports masked arrays, which takes longer."""
    ordered = np.sort(values, axis=None)
    return float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


def _find_extent(activity: np.ndarray, side: int, size: int) -> tuple[float, float]:
    """Return the pixels between which all but a tail of the activity on each side lies, linear inside a block."""
    cumulative = np.concatenate([[0.0], activity.cumsum()]) / activity.sum()
    edges = np.minimum(np.arange(len(cumulative)) * side, size)
    keep = np.concatenate([[True], np.diff(cumulative) > 0])  # strictly increasing for the inverse
    start = np.interp(TAIL, cumulative[keep], edges[keep])
    return float(start), float(np.interp(1 - TAIL, cumulative[keep], edges[keep]))
