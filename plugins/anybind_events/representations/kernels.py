"""Loops over events and pixels of the representations.

Events come as columns, which may be strided and read-only, and go block by block: first where each one falls, in a
loop that the compiler turns into vector instructions, then the sums. One after the other they run two to four times
as fast as both at once. The scratch for a block is all that kernels allocate.

Sums are whole numbers in the memory of the float32 array that is to come, exact up to 2^32 (signed: 2^31) where
float32 would stop counting at 2^24; the last pass puts the bits of each float32 in place of its sum.
"""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel

BLOCK = 8192


@kernel
def find_pixels(x: np.ndarray, y: np.ndarray, width: int, pixels: np.ndarray) -> None:
    """The pixel number, y * width + x, of each event; below 2^32."""
    for i in range(len(x)):
        pixels[i] = np.uint32(y[i]) * np.uint32(width) + x[i]


@kernel
def find_cells(x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, size: int, cells: np.ndarray) -> None:
    """As `find_pixels`, plus `size` for rises: a plane of falls in front of one of rises."""
    for i in range(len(x)):
        cells[i] = np.uint32(y[i]) * np.uint32(width) + x[i] + np.uint32(p[i]) * np.uint32(size)


@kernel
def tally(cells: np.ndarray, low: np.ndarray, counts: np.ndarray) -> None:
    """Count each cell in `low`, uint8, which fits into nearer caches, and by 256 in `counts` whenever it overflows."""
    for cell in cells:
        number = np.uint8(low[cell] + np.uint8(1))
        low[cell] = number
        if number == 0:
            counts[cell] += np.uint32(256)


@kernel
def count(x: np.ndarray, y: np.ndarray, width: int, counts: np.ndarray, low: np.ndarray) -> None:
    """Add the events at each pixel to counts, (height * width) uint32; `low` is as many zeros to work with, uint8."""
    scratch = np.empty(BLOCK, np.uint32)
    for first in range(0, len(x), BLOCK):
        part = slice(first, min(first + BLOCK, len(x)))
        pixels = scratch[: part.stop - first]
        find_pixels(x[part], y[part], width, pixels)
        tally(pixels, low, counts)
    for i in range(len(counts)):
        counts[i] += low[i]


@kernel
def count_polarities(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, counts: np.ndarray, low: np.ndarray
) -> None:
    """Add the falls, then the rises, at each pixel to counts, (2 * height * width) uint32; `low` as for `count`."""
    scratch = np.empty(BLOCK, np.uint32)
    for first in range(0, len(x), BLOCK):
        part = slice(first, min(first + BLOCK, len(x)))
        cells = scratch[: part.stop - first]
        find_cells(x[part], y[part], p[part], width, len(counts) // 2, cells)
        tally(cells, low, counts)
    for i in range(len(counts)):
        counts[i] += low[i]


@kernel
def count_rescaled(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, columns: np.ndarray, rows: np.ndarray, counts: np.ndarray
) -> None:
    """As `count_polarities` on another grid: an event goes to pixel columns[x] + rows[y], both uint32."""
    size = np.uint32(len(counts) // 2)
    for i in range(len(x)):
        counts[np.uint32(columns[x[i]] + rows[y[i]] + np.uint32(p[i]) * size)] += np.uint32(1)


@kernel
def sum_polarities(x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, sums: np.ndarray) -> None:
    """Add the rises less the falls at each pixel to sums, (height * width) int32."""
    scratch, steps = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.int32)
    for first in range(0, len(x), BLOCK):
        part = slice(first, min(first + BLOCK, len(x)))
        pixels, signs = scratch[: part.stop - first], p[part]
        find_pixels(x[part], y[part], width, pixels)
        for i in range(len(signs)):
            steps[i] = 2 * np.int32(signs[i]) - 1
        for i in range(len(pixels)):
            sums[pixels[i]] += steps[i]


@kernel
def last_times(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, width: int, start: int, shift: int, last: np.ndarray
) -> None:
    """When each pixel last fell, then when it last rose, (2 * height * width) uint32, in units of 2^shift us.

    Counted from 1 at `start`; 0 stays where nothing happened.
    """
    scratch, times = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    for first in range(0, len(x), BLOCK):
        part = slice(first, min(first + BLOCK, len(x)))
        cells, when = scratch[: part.stop - first], t[part]
        find_cells(x[part], y[part], p[part], width, len(last) // 2, cells)
        for i in range(len(when)):
            times[i] = ((when[i] - start) >> shift) + 1
        for i in range(len(cells)):
            last[cells[i]] = times[i]


@kernel
def add_voxels(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, width: int, scale: float, voxels: np.ndarray
) -> None:
    """Share each event's sign out to the two planes about its time, (t - t[0]) * scale; voxels are (planes, pixels)."""
    scratch = np.empty(BLOCK, np.uint32)
    before, behind = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    # A pixel of both planes lies in one place, so that an event goes to memory once.
    pairs = np.zeros((voxels.shape[1], 2), np.float32)
    start, first = t[0], 0
    for plane in range(len(voxels) - 1):
        # Events go by time, so that those between two planes are next to each other, and no others write there.
        end = len(t) if plane == len(voxels) - 2 else first_at(t, scale, plane + 1, first)
        while first < end:
            part = slice(first, min(first + BLOCK, end))
            pixels, when, signs = scratch[: part.stop - first], t[part], p[part]
            find_pixels(x[part], y[part], width, pixels)
            for i in range(len(when)):
                sign = np.float32(2) * np.float32(signs[i]) - np.float32(1)
                behind[i] = sign * np.float32((when[i] - start) * scale - plane)
                before[i] = sign - behind[i]
            for i in range(len(pixels)):
                pixel = pixels[i]
                near, far = pairs[pixel, 0] + before[i], pairs[pixel, 1] + behind[i]
                pairs[pixel, 0], pairs[pixel, 1] = near, far
            first = part.stop
        done = voxels[plane]
        for i in range(len(done)):
            done[i], pairs[i, 0], pairs[i, 1] = pairs[i, 0], pairs[i, 1], np.float32(0)
    voxels[len(voxels) - 1] = pairs[:, 0]


@kernel
def first_at(t: np.ndarray, scale: float, level: float, low: int) -> int:
    """The first event, from `low` on, with (t - t[0]) * scale >= level."""
    high = len(t)
    while low < high:
        middle = (low + high) // 2
        if (t[middle] - t[0]) * scale < level:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def to_shares(counts: np.ndarray, limit: float, whole: float, invert: bool) -> None:
    """Counts, no more than `limit`, to their share of `whole`, or to 1 minus that."""
    for i in range(len(counts)):
        share = min(np.float64(counts[i]), limit) / whole
        counts[i] = np.float32(1 - share if invert else share).view(np.uint32)


@kernel
def to_decays(last: np.ndarray, end: int, scale: float) -> None:
    """Times of `last_times` to (time - end) * scale, and to minus infinity where nothing happened."""
    for i in range(len(last)):
        power = -np.inf if last[i] == 0 else (np.int64(last[i]) - end) * scale
        last[i] = np.float32(power).view(np.uint32)


@kernel
def to_levels(sums: np.ndarray, limit: float) -> None:
    """Signed sums to levels from 0 to 1: -limit and below becomes 0, 0 becomes 0.5."""
    for i in range(len(sums)):
        sums[i] = np.float32(0.5 + 0.5 * min(max(sums[i] / limit, -1.0), 1.0)).view(np.int32)


@kernel
def to_author_code(cells: np.ndarray, limit: float, all_falls: float, all_rises: float) -> None:
    """Counts of falls and rises to their shares' sum less 1, three times; (3 planes of pixels)."""
    size = len(cells) // 3
    for i in range(size):
        falls = min(np.float64(cells[i]), limit) / all_falls
        rises = min(np.float64(cells[size + i]), limit) / all_rises
        bits = np.float32(falls + rises - 1).view(np.uint32)
        cells[i] = bits
        cells[size + i] = bits
        cells[2 * size + i] = bits


@kernel
def drop_hot(counts: np.ndarray, deviations: float) -> int:
    """Set counts that lie so many standard deviations above the mean of all to 0; returns the largest that is left."""
    total, squares = 0.0, 0.0
    for value in counts:
        total += np.float64(value)
        squares += np.float64(value) ** 2
    mean = total / len(counts)
    most = mean + deviations * np.sqrt(max(squares / len(counts) - mean**2, 0.0))
    top = np.uint32(0)
    for i in range(len(counts)):
        if counts[i] > most:
            counts[i] = 0
        top = max(top, counts[i])
    return int(top)


@kernel
def to_gray_on_white(counts: np.ndarray, whole: float, ink: float, frame: np.ndarray) -> None:
    """Counts of falls and rises, (2 planes), to `ink` times their share on white, as far as the share covers it."""
    size = len(frame)
    for i in range(size):
        share = (np.float64(counts[i]) + np.float64(counts[size + i])) / whole
        cover = min(share, 1.0)
        frame[i] = ink * share * cover + 1 - cover


@kernel
def to_red_blue_on_white(cells: np.ndarray, whole: float) -> None:
    """Counts of falls and rises, the first 2 of 3 planes, to their shares in blue and red on white."""
    size = len(cells) // 3
    for i in range(size):
        falls, rises = cells[i] / whole, cells[size + i] / whole
        cover = min(falls + rises, 1.0)
        cells[i] = np.float32(rises * cover + 1 - cover).view(np.uint32)
        cells[size + i] = np.float32(1 - cover).view(np.uint32)
        cells[2 * size + i] = np.float32(falls * cover + 1 - cover).view(np.uint32)


@kernel
def standardise(values: np.ndarray) -> None:
    """Give those numbers that are not 0 a mean of 0 and, unless they are all alike, a variance of 1."""
    number, total, squares = 0, 0.0, 0.0
    for value in values:
        if value != 0:
            number += 1
            total += value
    mean = total / max(number, 1)
    for value in values:
        if value != 0:
            squares += (value - mean) ** 2
    deviation = np.sqrt(squares / max(number, 1))
    for i in range(len(values)):
        if values[i] != 0:
            values[i] = (values[i] - mean) / (deviation if deviation > 0 else 1.0)


@kernel
def count_magnitudes(values: np.ndarray, numbers: np.ndarray) -> None:
    """Add to numbers[m] how many values are m or -m."""
    for value in values:
        numbers[abs(np.int64(value))] += np.uint32(1)
