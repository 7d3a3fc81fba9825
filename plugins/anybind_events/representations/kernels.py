"""Compiled loops over events and pixels of the representations.

Events are columns, which may be strided and read-only, and are processed block by block: first the cell index of each
event, in a loop that the compiler vectorises, then the sums. Two separate loops run two to four times as fast as one.
The scratch array of a block is all that kernels allocate.

Sums are whole numbers in the memory of the final float32 array, exact up to 2^32 (signed: 2^31), where float32 stops
counting at 2^24; the last pass replaces each sum by the bits of its float32 value.
"""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel
from anybind_events.prefetching import prefetch_element
from anybind_events.representations import vectorised

BLOCK = 8192
AHEAD = 64
"""Events between the request for a cell's cache line and its use."""


@kernel
def compute_pixel_indices(x: np.ndarray, y: np.ndarray, width: int, pixels: np.ndarray) -> None:
    """Compute the pixel index, y * width + x, of each event; below 2^32."""
    for i in range(len(x)):
        pixels[i] = np.uint32(y[i]) * np.uint32(width) + x[i]


@kernel
def compute_cell_indices(x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, size: int, cells: np.ndarray) -> None:
    """As `compute_pixel_indices`, plus `size` for ON events: a plane of OFF events before a plane of ON events."""
    for i in range(len(x)):
        cells[i] = np.uint32(y[i]) * np.uint32(width) + x[i] + np.uint32(p[i]) * np.uint32(size)


@kernel
def count_cells(cells: np.ndarray, low: np.ndarray, counts: np.ndarray) -> None:
    """Count each cell in `low`, uint8, which fits into a nearer cache, and by 256 in `counts` at each overflow."""
    for cell in cells:
        number = np.uint8(low[cell] + np.uint8(1))
        low[cell] = number
        if number == 0:
            counts[cell] += np.uint32(256)


@kernel(vectorised=vectorised.count_events)
def count_events(x: np.ndarray, y: np.ndarray, width: int, counts: np.ndarray, low: np.ndarray) -> None:
    """Add the events at each pixel to counts, (height * width) uint32; `low`: scratch of that size, uint8 zeros."""
    scratch = np.empty(BLOCK, np.uint32)
    for first in range(0, len(x), BLOCK):
        block = slice(first, min(first + BLOCK, len(x)))
        pixels = scratch[: block.stop - first]
        compute_pixel_indices(x[block], y[block], width, pixels)
        count_cells(pixels, low, counts)
    for i in range(len(counts)):
        counts[i] += low[i]


@kernel(vectorised=vectorised.count_polarities)
def count_polarities(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, counts: np.ndarray, low: np.ndarray
) -> None:
    """Add the OFF, then the ON events at each pixel to counts, (2 * height * width) uint32; `low` as above."""
    scratch = np.empty(BLOCK, np.uint32)
    for first in range(0, len(x), BLOCK):
        block = slice(first, min(first + BLOCK, len(x)))
        cells = scratch[: block.stop - first]
        compute_cell_indices(x[block], y[block], p[block], width, len(counts) // 2, cells)
        count_cells(cells, low, counts)
    for i in range(len(counts)):
        counts[i] += low[i]


@kernel
def count_rescaled_polarities(
    x: np.ndarray,
    y: np.ndarray,
    p: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    counts: np.ndarray,
    low: np.ndarray,
) -> None:
    """As `count_polarities` on another grid: an event goes to pixel columns[x] + rows[y], both uint32."""
    scratch, size = np.empty(BLOCK, np.uint32), np.uint32(len(counts) // 2)
    for first in range(0, len(x), BLOCK):
        block = slice(first, min(first + BLOCK, len(x)))
        block_x, block_y, block_p, cells = x[block], y[block], p[block], scratch[: block.stop - first]
        for i in range(len(cells)):
            cells[i] = columns[block_x[i]] + rows[block_y[i]] + np.uint32(block_p[i]) * size
        count_cells(cells, low, counts)
    for i in range(len(counts)):
        counts[i] += low[i]


@kernel
def sum_polarities(x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, sums: np.ndarray) -> None:
    """Add ON minus OFF events at each pixel to sums, (height * width) int32."""
    scratch, steps = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.int32)
    for first in range(0, len(x), BLOCK):
        block = slice(first, min(first + BLOCK, len(x)))
        pixels, signs = scratch[: block.stop - first], p[block]
        compute_pixel_indices(x[block], y[block], width, pixels)
        for i in range(len(signs)):
            steps[i] = 2 * np.int32(signs[i]) - 1
        for i in range(len(pixels)):
            sums[pixels[i]] += steps[i]


@kernel
def record_last_times(
    x: np.ndarray,
    y: np.ndarray,
    t: np.ndarray,
    p: np.ndarray,
    width: int,
    start: int,
    shift: int,
    last: np.ndarray,
) -> None:
    """Write the time of each pixel's last OFF, then last ON event, (2 * height * width) uint32, in units of 2^shift us.

    Times start at 1 for `start`; 0 means no event.
    """
    cells = np.zeros(BLOCK + AHEAD, np.uint32)
    for first in range(0, len(x), BLOCK):
        block = slice(first, min(first + BLOCK, len(x)))
        block_times = t[block]
        compute_cell_indices(x[block], y[block], p[block], width, len(last) // 2, cells)
        for i in range(len(block_times)):
            prefetch_element(last, cells[i + AHEAD])
            last[cells[i]] = np.uint32(np.uint64(block_times[i] - start) >> np.uint64(shift)) + np.uint32(1)


@kernel(vectorised=vectorised.normalize_counts)
def normalize_counts(counts: np.ndarray, limit: float, divisor: float, invert: bool) -> None:
    """Convert counts, clamped at `limit`, to fractions of `divisor`, or to 1 minus that."""
    for i in range(len(counts)):
        fraction = min(np.float64(counts[i]), limit) / divisor
        counts[i] = np.float32(1 - fraction if invert else fraction).view(np.uint32)


@kernel
def compute_exponents(last: np.ndarray, end: int, scale: float) -> None:
    """Convert times of `record_last_times` to (time - end) * scale, and to minus infinity without an event."""
    latest = np.float64(end)
    for i in range(len(last)):
        power = -np.inf if last[i] == 0 else (np.float64(last[i]) - latest) * scale
        last[i] = np.float32(power).view(np.uint32)


@kernel
def map_to_levels(sums: np.ndarray, limit: float) -> None:
    """Convert signed sums to levels from 0 to 1: -limit and below becomes 0, 0 becomes 0.5."""
    for i in range(len(sums)):
        sums[i] = np.float32(0.5 + 0.5 * min(max(sums[i] / limit, -1.0), 1.0)).view(np.int32)


@kernel
def normalize_author_code(cells: np.ndarray, limit: float, off_divisor: float, on_divisor: float) -> None:
    """Convert OFF and ON counts to the sum of their fractions minus 1, in all 3 planes of pixels."""
    size = len(cells) // 3
    for i in range(size):
        off_fraction = min(np.float64(cells[i]), limit) / off_divisor
        on_fraction = min(np.float64(cells[size + i]), limit) / on_divisor
        bits = np.float32(off_fraction + on_fraction - 1).view(np.uint32)
        cells[i] = bits
        cells[size + i] = bits
        cells[2 * size + i] = bits


@kernel
def remove_hot_pixels(counts: np.ndarray, deviations: float) -> int:
    """Set counts that exceed the mean by so many standard deviations to 0; return the largest remaining count."""
    total, squares = 0.0, 0.0
    for value in counts:
        total += np.float64(value)
        squares += np.float64(value) ** 2
    mean = total / len(counts)
    limit = mean + deviations * np.sqrt(max(squares / len(counts) - mean**2, 0.0))
    largest = np.uint32(0)
    for i in range(len(counts)):
        if counts[i] > limit:
            counts[i] = 0
        largest = max(largest, counts[i])
    return int(largest)


@kernel
def draw_gray_on_white(counts: np.ndarray, divisor: float, gray: float, frame: np.ndarray) -> None:
    """Convert OFF and ON counts, (2 planes), to `gray` times their fraction on white, with the fraction as opacity."""
    size = len(frame)
    for i in range(size):
        fraction = (np.float64(counts[i]) + np.float64(counts[size + i])) / divisor
        opacity = min(fraction, 1.0)
        frame[i] = gray * fraction * opacity + 1 - opacity


@kernel(vectorised=vectorised.draw_red_blue_on_white)
def draw_red_blue_on_white(cells: np.ndarray, divisor: float) -> None:
    """Convert OFF and ON counts, the first 2 of 3 planes, to their fractions in blue and red on white."""
    size = len(cells) // 3
    for i in range(size):
        off_fraction, on_fraction = cells[i] / divisor, cells[size + i] / divisor
        opacity = min(off_fraction + on_fraction, 1.0)
        cells[i] = np.float32(on_fraction * opacity + 1 - opacity).view(np.uint32)
        cells[size + i] = np.float32(1 - opacity).view(np.uint32)
        cells[2 * size + i] = np.float32(off_fraction * opacity + 1 - opacity).view(np.uint32)


@kernel(vectorised=vectorised.count_magnitudes)
def count_magnitudes(values: np.ndarray, histogram: np.ndarray) -> None:
    """Add to histogram[m] the number of values that are m or -m."""
    for value in values:
        histogram[abs(np.int64(value))] += np.uint32(1)


@kernel(vectorised=vectorised.count_inside)
def count_inside(x: np.ndarray, y: np.ndarray, left: int, top: int, width: int, height: int) -> int:
    """Count the events inside a region, which may extend beyond the sensor."""
    count = 0
    for i in range(len(x)):
        count += (left <= x[i] < left + width) & (top <= y[i] < top + height)
    return count


@kernel(vectorised=vectorised.draw_counts_on_white)
def draw_counts_on_white(counts: np.ndarray, limit: float, frame: np.ndarray) -> None:
    """Draw OFF and ON counts, (2, height, width), as ON, total and OFF counts over `limit` on white."""
    for row in range(counts.shape[1]):
        for column in range(counts.shape[2]):
            off, on = np.float64(counts[0, row, column]), np.float64(counts[1, row, column])
            frame[0, row, column] = 1 - min(on / limit, 1.0)
            frame[1, row, column] = 1 - min((on + off) / limit, 1.0)
            frame[2, row, column] = 1 - min(off / limit, 1.0)


@kernel(vectorised=vectorised.limit_to_neighbours)
def limit_to_neighbours(counts: np.ndarray, limited: np.ndarray) -> None:
    """Write each count, (height, width), or the largest of its eight neighbours if that is smaller."""
    height, width = counts.shape
    empty, padded = np.zeros(width, np.uint32), np.zeros((2, width + 2), np.uint32)
    for row in range(height):
        above = counts[row - 1] if row > 0 else empty
        below = counts[row + 1] if row + 1 < height else empty
        own = counts[row]
        outer, inner = padded[0], padded[1]  # a margin on both sides: loops without branches are vectorised
        for column in range(width):
            outer[column + 1] = max(above[column], below[column])
            inner[column + 1] = own[column]
        for column in range(width):
            beside = max(max(outer[column], outer[column + 2]), max(inner[column], inner[column + 2]))
            limited[row, column] = min(own[column], max(beside, outer[column + 1]))
