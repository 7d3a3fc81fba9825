"""Unpacking of decoded events into columns, with checks of coordinates and times."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from anybind.plugin import kernel

PIXEL_DTYPE = np.dtype(np.uint32)
"""Type of a packed pixel."""
NO_TIME = -(1 << 63)
"""Time of the last event before the first one."""
VECTORISED_EVENTS = 1 << 21
"""Events that a process decodes in NumPy before numba is imported."""
LAST_US, OUTSIDE, BACKWARDS, LAST_COLUMN, LAST_ROW, WIDTH, HEIGHT, LAG_US = range(8)
"""Indices in the counts of a pass: time of the last event, events dropped, times raised, extent, sensor, and the sum of
what was added to raised times."""


@lru_cache(maxsize=64)
def convert_packing(pixels: tuple[int, ...]) -> np.ndarray:
    """Return a bit layout as an array for `unpack_events`."""
    return np.array(pixels, PIXEL_DTYPE)


def allocate_arrays(specs: Sequence[tuple[np.dtype, int]]) -> list[np.ndarray]:
    """Return arrays of these types and lengths in one block of memory.

    A large block uses large pages, which cost a tenth of as many small ones; untouched pages cost nothing.
    """
    starts, end = [], 0
    for dtype, length in specs:
        starts.append(end)
        end += -(-dtype.itemsize * length // 64) * 64
    memory = np.empty(end, np.uint8)
    return [np.ndarray(length, dtype, memory, start) for (dtype, length), start in zip(specs, starts, strict=True)]


def _unpack_vectorised(
    pixels: np.ndarray, times: np.ndarray, bits: np.ndarray, counts: np.ndarray, position: int, columns: tuple
) -> int:
    """As `unpack_events`, in NumPy."""
    x, y = pixels >> bits[0] & bits[1], pixels >> bits[2] & bits[3]
    inside = (x < counts[WIDTH]) & (y < counts[HEIGHT])
    p = pixels >> bits[4] & np.uint32(1)
    if not inside.all():
        x, y, times, p = x[inside], y[inside], times[inside], p[inside]
        counts[OUTSIDE] += np.count_nonzero(~inside)
    n = len(x)
    if n:
        latest = np.maximum.accumulate(np.concatenate([counts[LAST_US : LAST_US + 1], times]))
        counts[BACKWARDS] += np.count_nonzero(times < latest[:-1])
        counts[LAG_US] += (latest[1:] - times).sum()
        counts[LAST_US] = latest[-1]
        counts[LAST_COLUMN], counts[LAST_ROW] = max(counts[LAST_COLUMN], x.max()), max(counts[LAST_ROW], y.max())
        for column, values in zip(columns, (x, y, latest[1:], p), strict=True):
            column[position : position + n] = values
    return n


@kernel(vectorised=_unpack_vectorised, limit=VECTORISED_EVENTS)
def unpack_events(
    pixels: np.ndarray, times: np.ndarray, bits: np.ndarray, counts: np.ndarray, position: int, columns: tuple
) -> int:
    """Write events into columns from `position` on; return the number of events kept."""
    x, y, t, p = columns
    n = len(pixels)
    if n == 0:
        return 0
    x_bits, x_mask, y_bits, y_mask, p_bits = bits[0], bits[1], bits[2], bits[3], bits[4]
    last_column, last_row, decreases = np.uint32(0), np.uint32(0), times[0] < counts[LAST_US]
    block = slice(position, position + n)
    x, y, t, p = x[block], y[block], t[block], p[block]
    # One loop per column, so that the compiler vectorises it; errors are checked only at the end.
    for i in range(n):
        column = pixels[i] >> x_bits & x_mask
        last_column = max(last_column, column)
        x[i] = column
    for i in range(n):
        row = pixels[i] >> y_bits & y_mask
        last_row = max(last_row, row)
        y[i] = row
    for i in range(n):
        p[i] = pixels[i] >> p_bits & np.uint32(1)
    t[0] = times[0]
    for i in range(1, n):
        decreases |= times[i] < times[i - 1]
        t[i] = times[i]
    if decreases or last_column >= counts[WIDTH] or last_row >= counts[HEIGHT]:
        return _unpack_checked_events(pixels, times, bits, counts, position, columns)
    counts[LAST_COLUMN], counts[LAST_ROW] = max(counts[LAST_COLUMN], last_column), max(counts[LAST_ROW], last_row)
    counts[LAST_US] = times[n - 1]
    return n


@kernel
def _unpack_checked_events(
    pixels: np.ndarray, times: np.ndarray, bits: np.ndarray, counts: np.ndarray, position: int, columns: tuple
) -> int:
    """As `_unpack_events`, for blocks in which an event is outside the sensor or its time decreases."""
    x, y, t, p = columns
    start = position
    for i in range(len(pixels)):
        column, row = pixels[i] >> bits[0] & bits[1], pixels[i] >> bits[2] & bits[3]
        if column >= counts[WIDTH] or row >= counts[HEIGHT]:
            counts[OUTSIDE] += 1
            continue
        counts[BACKWARDS] += times[i] < counts[LAST_US]
        counts[LAST_US] = max(counts[LAST_US], times[i])
        counts[LAG_US] += counts[LAST_US] - times[i]
        counts[LAST_COLUMN], counts[LAST_ROW] = max(counts[LAST_COLUMN], column), max(counts[LAST_ROW], row)
        x[position], y[position], t[position] = column, row, counts[LAST_US]
        p[position] = pixels[i] >> bits[4] & np.uint32(1)
        position += 1
    return position - start
