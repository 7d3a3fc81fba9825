"""Compiled loops over events."""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel
from anybind_events import vectorised


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


@kernel(vectorised=vectorised.count_supported_events)
def count_supported_events(
    x: np.ndarray,
    y: np.ndarray,
    t: np.ndarray,
    p: np.ndarray,
    width: int,
    height: int,
    intervals: np.ndarray,
    side: int,
    hot_ratio: int,
    hot_events: int,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Count the events with a recent neighbour of their polarity, without those of hot pixels.

    Returns:
        supported: (intervals, 2, blocks) numbers by interval in microseconds, polarity and block of `side` pixels.
        events: (2, blocks) numbers of all events.
        hot: number of hot pixels.
    """
    stride, plane = width + 2, (width + 2) * (height + 2)  # a margin of one pixel
    counts = np.zeros(plane, np.uint16)
    recent = np.zeros(2 * plane, np.int32)  # time of the last event, from `later` on; 0 if there was none
    later = 1 << 29
    columns = (width + side - 1) // side
    blocks = columns * ((height + side - 1) // side)
    supported, events = np.zeros((len(intervals), 2, blocks)), np.zeros((2, blocks))
    hot = 0.0
    for i in range(len(x)):
        pixel = (np.int64(y[i]) + 1) * stride + x[i] + 1
        if counts[pixel] < 65535:
            counts[pixel] += np.uint16(1)
    for i in range(len(x)):
        pixel = (np.int64(y[i]) + 1) * stride + x[i] + 1
        own = np.int64(counts[pixel])
        if own >= hot_events:
            around = np.int64(counts[pixel - 1]) + counts[pixel + 1]
            for row in (pixel - stride, pixel + stride):
                around += np.int64(counts[row - 1]) + counts[row] + counts[row + 1]
            if 8 * own >= hot_ratio * (around + 8):
                hot += 1 / own
                continue
        polarity = np.int64(p[i])
        cell = polarity * plane + pixel
        latest = max(recent[cell - 1], recent[cell + 1])
        for row in (cell - stride, cell + stride):
            latest = max(latest, recent[row - 1], recent[row], recent[row + 1])
        now = np.int32(later + min(t[i] - t[0], later))
        recent[cell] = now
        block = (np.int64(y[i]) // side) * columns + x[i] // side
        events[polarity, block] += 1
        for k in range(len(intervals)):
            if now - latest <= intervals[k]:
                supported[k, polarity, block] += 1
    return supported, events, int(np.rint(hot))


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
