"""Compiled loops of voxel grids; see `anybind_events.representations.kernels`."""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel
from anybind_events.representations.kernels import BLOCK, compute_pixel_indices
from anybind_events.representations.tiles import LOW_BITS, add_to_tiles, take_from_tile


@kernel
def add_voxels(
    x: np.ndarray,
    y: np.ndarray,
    t: np.ndarray,
    p: np.ndarray,
    width: int,
    scale: float,
    ends: np.ndarray,
    records: np.ndarray,
    voxels: np.ndarray,
) -> None:
    """Split each event's sign between the planes next to its time, (t - t[0]) * scale; voxels: (planes, pixels).

    `ends` and `records`: of `allocate_tiles`.
    """
    scratch, upper = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.float32)
    # Interleaved: both planes of a pixel share a cache line.
    pairs = np.zeros((voxels.shape[1], 2), np.float32)
    start, first = t[0], 0
    for plane in range(len(voxels) - 1):
        # Events are sorted by time: those between two planes are contiguous, and no others contribute to them.
        end = len(t) if plane == len(voxels) - 2 else find_first_event(t, scale, plane + 1, first)
        while first < end:
            block = slice(first, min(first + BLOCK, end))
            pixels, block_times, signs = scratch[: block.stop - first], t[block], p[block]
            compute_pixel_indices(x[block], y[block], width, pixels)
            for i in range(len(block_times)):
                sign = np.float32(2) * np.float32(signs[i]) - np.float32(1)
                # Not a signed number: AVX2 converts only unsigned ones of 64 bits in vectors.
                upper[i] = sign * np.float32(np.float64(np.uint64(block_times[i] - start)) * scale - plane)
            if len(ends) == 0:
                for i in range(len(pixels)):
                    add_pair(pixels[i], upper[i], pairs)
            else:
                add_to_tiles(pixels, upper.view(np.uint32), ends, records)
                for tile in range(len(ends)):
                    for record in take_from_tile(tile, ends, records, block.stop == end):
                        add_pair(record >> np.uint64(32), np.uint32(record & LOW_BITS).view(np.float32), pairs)
            first = block.stop
        finished = voxels[plane]
        for i in range(len(finished)):
            finished[i], pairs[i, 0], pairs[i, 1] = pairs[i, 0], pairs[i, 1], np.float32(0)
    voxels[len(voxels) - 1] = pairs[:, 0]


@kernel
def add_pair(pixel: np.uint64, upper: np.float32, pairs: np.ndarray) -> None:
    """Add an event's share of the upper plane, which has the sign of the event, and the rest to the lower plane."""
    lower = np.copysign(np.float32(1), upper) - upper
    near, far = pairs[pixel, 0] + lower, pairs[pixel, 1] + upper
    pairs[pixel, 0], pairs[pixel, 1] = near, far


@kernel
def find_first_event(t: np.ndarray, scale: float, level: float, low: int) -> int:
    """Return the index of the first event, from `low` on, with (t - t[0]) * scale >= level."""
    high = len(t)
    while low < high:
        middle = (low + high) // 2
        if (t[middle] - t[0]) * scale < level:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def add_exact_voxels(
    x: np.ndarray,
    y: np.ndarray,
    t: np.ndarray,
    p: np.ndarray,
    width: int,
    duration: int,
    shift: int,
    voxels: np.ndarray,
) -> None:
    """As `add_voxels` in whole numbers: voxels, (planes, pixels) int64, are in units of 1 / `duration`.

    `duration` is that of the events in units of 2^shift us.
    """
    start, planes = t[0], len(voxels)
    for i in range(len(t)):
        pixel = np.int64(y[i]) * width + x[i]
        position = ((t[i] - start) >> shift) * (planes - 1)
        plane = min(position // duration, planes - 2)
        upper = position - plane * duration
        sign = 2 * np.int64(p[i]) - 1
        voxels[plane, pixel] += sign * (duration - upper)
        voxels[plane + 1, pixel] += sign * upper


@kernel
def standardize_sums(sums: np.ndarray, tolerance: int, values: np.ndarray) -> None:
    """Write sums, of whole numbers, to values, standardised to mean 0 and variance 1, or to 0 if all are equal.

    Sums up to the tolerance count as 0; they stay 0 and are not part of the mean and variance.
    """
    n_nonzero, total, squares = 0, 0.0, 0.0
    for number in sums:
        if abs(number) > tolerance:
            n_nonzero += 1
            total += number
    mean = total / max(n_nonzero, 1)
    for number in sums:
        if abs(number) > tolerance:
            squares += (number - mean) ** 2
    deviation = np.sqrt(squares / max(n_nonzero, 1))
    for i in range(len(sums)):
        if abs(sums[i]) > tolerance:
            values[i] = (sums[i] - mean) / (deviation if deviation > 0 else 1.0)
        else:
            values[i] = 0
