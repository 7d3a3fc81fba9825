"""The loops of `anybind_events.kernels` in NumPy, with equal results: for recordings up to about a million events."""

from __future__ import annotations

import numpy as np

LATER = 1 << 29
"""Time of a stream's first event in `count_supported_events`; 0 means no event."""


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
    """Count the events with a recent neighbour of their polarity; see `anybind_events.kernels`."""
    stride, plane = width + 2, (width + 2) * (height + 2)
    pixels = (y.astype(np.int64) + 1) * stride + x + 1
    n_events = np.bincount(pixels, minlength=plane)
    is_hot = _find_hot_pixels(np.minimum(n_events, 65535), stride, hot_ratio, hot_events)
    n_hot = float((n_events[is_hot] / np.minimum(n_events[is_hot], 65535)).sum())
    if is_hot.any():
        selected = ~is_hot[pixels]
        x, y, t, p, pixels, start = x[selected], y[selected], t[selected], p[selected], pixels[selected], t[0]
    else:
        start = t[0]
    times = LATER + np.minimum(t - start, LATER)
    keys, ages = _measure_ages(pixels + p * np.int64(plane), times, stride)
    columns = (width + side - 1) // side
    n_blocks = columns * ((height + side - 1) // side)
    blocks = (y // side).astype(np.int64) * columns + x // side + p * np.int64(n_blocks)
    events = np.bincount(blocks, minlength=2 * n_blocks).reshape(2, n_blocks).astype(np.float64)
    supported = np.zeros((len(intervals), 2, n_blocks))
    for k, interval in enumerate(intervals):
        near = blocks[keys[ages <= interval]]
        supported[k] = np.bincount(near, minlength=2 * n_blocks).reshape(2, n_blocks)
    return supported, events, int(np.rint(n_hot))


def _find_hot_pixels(counts: np.ndarray, stride: int, hot_ratio: int, hot_events: int) -> np.ndarray:
    """Return which pixels, in rows of `stride` with a margin, have `hot_ratio` times the events of their neighbours."""
    candidates = np.flatnonzero(counts >= hot_events)
    around = np.zeros(len(candidates), np.int64)
    for offset in list_neighbours(stride):
        around += counts[candidates + offset]
    is_hot = np.zeros(len(counts), bool)
    is_hot[candidates[8 * counts[candidates] >= hot_ratio * (around + 8)]] = True
    return is_hot


def _measure_ages(cells: np.ndarray, times: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Measure the time since the latest earlier event of the 8 cells around each event's cell.

    Returns:
        numbers of the events, sorted by cell, and the age of each, microseconds.
    """
    bits = max(1, len(cells).bit_length())
    keys = np.sort(cells << bits | np.arange(len(cells)))  # by cell, then by time
    searched = np.concatenate([[np.iinfo(np.int64).min >> 1], keys])
    latest = np.full(len(keys), searched[0])
    for offset in list_neighbours(stride):
        # Both sides are sorted, so that each search starts near the last one. What it gives is moved to the event's own
        # cell: if it is of another than the neighbour, it precedes all keys of that cell.
        positions = np.searchsorted(keys, keys + (offset << bits))
        np.maximum(latest, searched[positions] - (offset << bits), out=latest)
    mask = (1 << bits) - 1
    numbers = keys & mask
    return numbers, times[numbers] - np.where(latest >= keys - numbers, times[latest & mask], 0)


def count_active_pixels(x: np.ndarray, y: np.ndarray, width: int, height: int, ends: np.ndarray) -> np.ndarray:
    """Count active pixels among the first `ends` events; see `anybind_events.kernels`."""
    counts = np.zeros((height + 2, width + 2), np.uint32)
    pixels = (y.astype(np.int64) + 1) * (width + 2) + x + 1
    sums = np.zeros((len(ends), 2))
    first = 0
    for k, end in enumerate(ends):
        np.add.at(counts.reshape(-1), pixels[first:end], np.uint32(1))
        first = max(first, end)
        few = np.minimum(counts, 2).astype(np.uint8)  # sums of 8 pixels that reach 2 or not, in a byte
        rows = few[:, :-2] + few[:, 1:-1] + few[:, 2:]
        around = rows[:-2] + rows[1:-1] + rows[2:] - few[1:-1, 1:-1]
        active = (few[1:-1, 1:-1] > 0) & (around >= 2)
        inner = active[1:-1, 1:-1] & active[1:-1, :-2] & active[1:-1, 2:] & active[:-2, 1:-1] & active[2:, 1:-1]
        sums[k] = np.count_nonzero(active), np.count_nonzero(inner)
    return sums


def list_neighbours(stride: int) -> list[int]:
    """Return the offsets of the 8 neighbours of a cell in rows of `stride`."""
    return [row * stride + column for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column]
