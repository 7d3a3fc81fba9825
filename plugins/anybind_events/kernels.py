"""Compiled loops over events."""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel
from anybind_events import vectorised

BLOCK = 4096
"""Events whose indices are computed at once."""


@kernel
def find_threshold_crossings(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, height: int, threshold: int
) -> np.ndarray:
    """Return which events make the sum of their pixel reach +-threshold, (n,) bool; it then restarts at 0."""
    sums = np.zeros((height, width), np.int64)
    crossings = np.zeros(len(x), np.bool_)
    for i in range(len(x)):
        total = sums[y[i], x[i]] + (1 if p[i] else -1)
        if total == threshold or total == -threshold:
            crossings[i] = True
            total = 0
        sums[y[i], x[i]] = total
    return crossings


@kernel
def integrate_events(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, rate: float, values: np.ndarray, times: np.ndarray
) -> None:
    """Add +1 or -1 for each event to its pixel's value, which decays by `rate` per microsecond since its last time."""
    for i in range(len(x)):
        row, column = y[i], x[i]
        decay = np.exp(-rate * (t[i] - times[row, column]))
        values[row, column] = values[row, column] * decay + (1.0 if p[i] else -1.0)
        times[row, column] = t[i]


@kernel(vectorised=vectorised.add_to_counts)
def add_to_counts(x: np.ndarray, y: np.ndarray, number: int, counts: np.ndarray) -> None:
    """Add a number, uint32, for each event to counts, (height, width) uint32, which wrap around."""
    for i in range(len(x)):
        counts[y[i], x[i]] += number


@kernel(vectorised=vectorised.count_supported_events)
def count_supported_events(
    x: np.ndarray,
    y: np.ndarray,
    t: np.ndarray,
    p: np.ndarray,
    counts: np.ndarray,
    intervals: np.ndarray,
    side: int,
    hot_ratio: int,
    hot_events: int,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Count the events with a recent neighbour of their polarity, without those of hot pixels.

    Args:
        counts: (height, width) number of events at each pixel.
        intervals: in microseconds, the longest first.

    Returns:
        supported: (intervals, 2, blocks) numbers by interval, polarity and block of `side` pixels.
        events: (2, blocks) numbers of all events.
        hot: number of hot pixels.
    """
    height, width = counts.shape
    stride, plane = width + 2, (width + 2) * (height + 2)  # a margin of one pixel
    recent = np.zeros(2 * plane, np.int32)  # time of the last event, from LATER on; 0 if there was none, -1: hot pixel
    columns = (width + side - 1) // side
    n_blocks = columns * ((height + side - 1) // side)
    # Faster than a division for each event.
    column_blocks = (np.arange(width) // side).astype(np.uint32)
    row_blocks = (np.arange(height) // side * columns).astype(np.uint32)
    n_levels = len(intervals)
    numbers = np.zeros((2 * n_blocks, n_levels + 1), np.int64)  # by block and number of intervals with support
    cells, blocks, times = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.int32)
    hot = mark_hot_pixels(counts, hot_ratio, hot_events, recent)
    for first in range(0, len(x), BLOCK):
        end = min(first + BLOCK, len(x))
        events_x, events_y, events_t, events_p = x[first:end], y[first:end], t[first:end], p[first:end]
        for i in range(len(events_x)):  # loops of their own, which the compiler vectorises
            pixel = (np.uint32(events_y[i]) + np.uint32(1)) * np.uint32(stride) + np.uint32(events_x[i]) + np.uint32(1)
            cells[i] = pixel + np.uint32(events_p[i]) * np.uint32(plane)
        for i in range(len(events_x)):
            times[i] = vectorised.LATER + min(events_t[i] - t[0], vectorised.LATER)
        for i in range(len(events_x)):
            block = row_blocks[events_y[i]] + column_blocks[events_x[i]]
            blocks[i] = block + np.uint32(events_p[i]) * np.uint32(n_blocks)
        for i in range(len(events_x)):
            cell, now = np.int64(cells[i]), times[i]
            if recent[cell] < 0:
                continue
            latest = max(np.int32(0), recent[cell - 1], recent[cell + 1])
            for row in (cell - stride, cell + stride):
                latest = max(latest, recent[row - 1], recent[row], recent[row + 1])
            recent[cell] = now
            level = 0
            for k in range(n_levels):
                level += now - latest <= intervals[k]
            numbers[blocks[i], level] += 1
    supported, events = np.zeros((n_levels, 2, n_blocks)), np.zeros((2, n_blocks))
    for block in range(2 * n_blocks):
        for level in range(n_levels + 1):
            events[block // n_blocks, block % n_blocks] += numbers[block, level]
            for k in range(level):
                supported[k, block // n_blocks, block % n_blocks] += numbers[block, level]
    return supported, events, hot


@kernel
def mark_hot_pixels(counts: np.ndarray, hot_ratio: int, hot_events: int, recent: np.ndarray) -> int:
    """Set `recent`, OFF and ON planes with a margin, to -1 at pixels with `hot_ratio` times the events around them.

    Returns:
        the number of these pixels.
    """
    height, width = counts.shape
    plane, limit, hot = (width + 2) * (height + 2), np.int64(vectorised.MAX_COUNT), 0.0
    for row in range(height):
        for column in range(width):
            if counts[row, column] < hot_events:
                continue
            own = min(np.int64(counts[row, column]), limit)
            around = -own
            for y in range(max(row - 1, 0), min(row + 2, height)):
                for x in range(max(column - 1, 0), min(column + 2, width)):
                    around += min(np.int64(counts[y, x]), limit)
            if 8 * own >= hot_ratio * (around + 8):
                cell = (row + 1) * (width + 2) + column + 1
                recent[cell] = recent[plane + cell] = -1
                hot += counts[row, column] / own
    return int(np.rint(hot))


@kernel(vectorised=vectorised.count_active_pixels)
def count_active_pixels(x: np.ndarray, y: np.ndarray, width: int, height: int, ends: np.ndarray) -> np.ndarray:
    """Count active pixels among the first `ends` events, which never falls.

    A pixel with events is active if its 8 neighbours have two events or more.

    Returns:
        (n, 2): the active pixels, and those of them whose 4 neighbours are active.
    """
    stride = width + 2  # a margin of one pixel
    size = stride * (height + 2)
    counts, active = np.zeros(size, np.uint32), np.zeros(size, np.uint8)
    pixels = np.empty(len(x), np.int64)
    sums = np.zeros((len(ends), 2))
    first = n_pixels = 0
    for k in range(len(ends)):
        for i in range(first, ends[k]):
            pixel = (np.int64(y[i]) + 1) * stride + x[i] + 1
            if counts[pixel] == 0:
                pixels[n_pixels] = pixel
                n_pixels += 1
            counts[pixel] += np.uint32(1)
        first = ends[k]
        for pixel in pixels[:n_pixels]:
            around = np.int64(counts[pixel - 1]) + counts[pixel + 1]
            for row in (pixel - stride, pixel + stride):
                around += np.int64(counts[row - 1]) + counts[row] + counts[row + 1]
            active[pixel] = 1 if around >= 2 else 0
        for pixel in pixels[:n_pixels]:
            if active[pixel]:
                sums[k, 0] += 1
                sums[k, 1] += active[pixel - 1] & active[pixel + 1] & active[pixel - stride] & active[pixel + stride]
    return sums
