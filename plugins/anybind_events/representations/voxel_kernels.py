"""Compiled loops of voxel grids; see `anybind_events.representations.kernels`."""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel
from anybind_events.prefetching import prefetch_element
from anybind_events.representations.kernels import AHEAD, BLOCK, compute_pixel_indices


@kernel
def add_voxels(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, width: int, scale: float, voxels: np.ndarray
) -> None:
    """Split each event's sign between the planes next to its time, (t - t[0]) * scale; voxels: (planes, pixels)."""
    pixels, upper = np.zeros(BLOCK + AHEAD, np.uint32), np.empty(BLOCK, np.float32)
    # Both planes of a pixel share a cache line: the lower one is the real part.
    pairs = np.zeros(voxels.shape[1], np.complex64)
    first = 0
    for plane in range(len(voxels) - 1):
        # Events are sorted by time: those between two planes are contiguous, and no others contribute to them.
        end = len(t) if plane == len(voxels) - 2 else find_first_event(t, scale, plane + 1, first)
        while first < end:
            block = slice(first, min(first + BLOCK, end))
            compute_pixel_indices(x[block], y[block], width, pixels)
            compute_upper_shares(t[block], p[block], t[0], scale, plane, upper)
            for i in range(block.stop - first):
                prefetch_element(pairs, pixels[i + AHEAD])
                pairs[pixels[i]] += split_sign(upper[i])
            first = block.stop
        finished = voxels[plane]
        for i in range(len(finished)):
            finished[i], pairs[i] = pairs[i].real, complex(pairs[i].imag, np.float32(0))
    voxels[len(voxels) - 1] = pairs.real


@kernel
def compute_upper_shares(t: np.ndarray, p: np.ndarray, start: int, scale: float, plane: int, upper: np.ndarray) -> None:
    """Compute each event's share of the plane after its time, with the sign of the event."""
    for i in range(len(t)):
        sign = np.float32(2) * np.float32(p[i]) - np.float32(1)
        # Not a signed number: AVX2 converts only unsigned ones of 64 bits in vectors.
        upper[i] = sign * np.float32(np.float64(np.uint64(t[i] - start)) * scale - plane)


@kernel
def split_sign(upper: np.float32) -> np.complex64:
    """Return the shares of both planes from that of the upper one, which has the sign of the event."""
    return np.complex64(complex(np.copysign(np.float32(1), upper) - upper, upper))


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
