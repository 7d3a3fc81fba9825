"""Loops of `anybind_events.representations.kernels` in NumPy, with equal results, for small recordings.

They too process events and pixels in blocks, so that memory does not depend on the number of events.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 1 << 11


def count_events(x: np.ndarray, y: np.ndarray, width: int, counts: np.ndarray, low: np.ndarray) -> None:
    """Add the events at each pixel to counts; `low` is not used."""
    for block in _iterate_blocks(len(x)):
        np.add.at(counts, y[block].astype(np.intp) * width + x[block], np.uint32(1))


def count_polarities(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, counts: np.ndarray, low: np.ndarray
) -> None:
    """Add the OFF, then the ON events at each pixel to counts; `low` is not used."""
    size = np.intp(len(counts) // 2)
    for block in _iterate_blocks(len(x)):
        np.add.at(counts, y[block].astype(np.intp) * width + x[block] + p[block] * size, np.uint32(1))


def count_magnitudes(values: np.ndarray, histogram: np.ndarray) -> None:
    """Add to histogram[m] the number of values that are m or -m."""
    for block in _iterate_blocks(len(values)):
        np.add.at(histogram, np.abs(values[block].astype(np.intp)), np.uint32(1))


def count_inside(x: np.ndarray, y: np.ndarray, left: int, top: int, width: int, height: int) -> int:
    """Count the events inside a region, which may extend beyond the sensor."""
    count = 0
    for block in _iterate_blocks(len(x)):
        columns = (x[block] >= left) & (x[block] < left + width)
        count += int(np.count_nonzero(columns & (y[block] >= top) & (y[block] < top + height)))
    return count


def normalize_counts(counts: np.ndarray, limit: float, divisor: float, invert: bool) -> None:
    """Convert counts, clamped at `limit`, to fractions of `divisor`, or to 1 minus that."""
    for block in _iterate_blocks(len(counts)):
        fractions = np.minimum(counts[block].astype(np.float64), limit) / divisor
        counts[block].view(np.float32)[:] = 1 - fractions if invert else fractions


def draw_counts_on_white(counts: np.ndarray, limit: float, frame: np.ndarray) -> None:
    """Draw OFF and ON counts, (2, height, width), as ON, total and OFF counts over `limit` on white."""
    for row in range(counts.shape[1]):
        off, on = counts[:, row].astype(np.float64)
        frame[:, row] = 1 - np.minimum(np.stack([on, on + off, off]) / limit, 1.0)


def draw_red_blue_on_white(cells: np.ndarray, divisor: float) -> None:
    """Convert OFF and ON counts, the first 2 of 3 planes, to their fractions in blue and red on white."""
    planes = cells.reshape(3, -1)
    for block in _iterate_blocks(planes.shape[1]):
        off, on = planes[:2, block] / divisor
        opacity = np.minimum(off + on, 1.0)
        frame = planes[:, block].view(np.float32)
        frame[:] = np.stack([on * opacity + 1 - opacity, 1 - opacity, off * opacity + 1 - opacity])


def limit_to_neighbours(counts: np.ndarray, limited: np.ndarray) -> None:
    """Write each count, (height, width), or the largest of its eight neighbours if that is smaller."""
    padded = np.pad(counts, 1)
    height, width = counts.shape
    limited[:] = 0
    for row in range(3):
        for column in range(3):
            if row != 1 or column != 1:
                np.maximum(limited, padded[row : row + height, column : column + width], out=limited)
    np.minimum(counts, limited, out=limited)


def _iterate_blocks(n: int) -> Iterator[slice]:
    return (slice(first, first + BLOCK) for first in range(0, n, BLOCK))
