"""The loops of `anybind_events.kernels` in NumPy, with equal results: for recordings up to about a million events."""

from __future__ import annotations

import numpy as np

LATER = 1 << 29
"""Time of a stream's first event in `count_supported_events`; 0 means no event."""
MAX_COUNT = 65_535
"""Events of a pixel that are counted at most where hot pixels are found."""
BATCH_EVENTS, BATCH_CELLS = 8192, 1 << 22
"""Events and cells of maps of `_find_supported` that are handled at once."""


def add_to_counts(x: np.ndarray, y: np.ndarray, number: int, counts: np.ndarray) -> None:
    """Add a number for each event to counts, (height, width) uint32, which wrap around."""
    np.add.at(counts, (y, x), number)


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
    """Count the events with a recent neighbour of their polarity; see `anybind_events.kernels`."""
    height, width = counts.shape
    stride, plane = width + 2, (width + 2) * (height + 2)
    pixels = (y.astype(np.int64) + 1) * stride + x + 1
    n_events = np.pad(counts, 1).reshape(-1).astype(np.int64)
    is_hot = _find_hot_pixels(np.minimum(n_events, MAX_COUNT), stride, hot_ratio, hot_events)
    n_hot = float((n_events[is_hot] / np.minimum(n_events[is_hot], MAX_COUNT)).sum())
    if is_hot.any():
        selected = ~is_hot[pixels]
        x, y, t, p, pixels, start = x[selected], y[selected], t[selected], p[selected], pixels[selected], t[0]
    else:
        start = t[0]
    times = LATER + np.minimum(t - start, LATER)
    cells = pixels + p * np.int64(plane)
    columns = (width + side - 1) // side
    n_blocks = columns * ((height + side - 1) // side)
    blocks = (y // side).astype(np.int64) * columns + x // side + p * np.int64(n_blocks)
    events = np.bincount(blocks, minlength=2 * n_blocks).reshape(2, n_blocks).astype(np.float64)
    supported = np.zeros((len(intervals), 2, n_blocks))
    searched = np.arange(len(cells))
    for k, interval in enumerate(intervals):  # what has no support in the longer interval has none in the shorter one
        searched = _find_supported(cells, times, searched, int(interval), stride, 2 * plane)
        supported[k] = np.bincount(blocks[searched], minlength=2 * n_blocks).reshape(2, n_blocks)
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


def _find_supported(
    cells: np.ndarray, times: np.ndarray, searched: np.ndarray, interval: int, stride: int, size: int
) -> np.ndarray:
    """Find the events with an earlier event in one of the 8 cells around theirs, at most `interval` us before.

    Time is divided into bins of the interval. In an event's own bin all earlier events are near enough: the first one
    of a neighbour decides. In the bin before, the last one does. Several bins, with maps of their own, are searched at
    once.

    Args:
        cells, times: cell and time of each event.
        searched: numbers of the events to look at, increasing.
        size: number of cells.

    Returns:
        those of `searched` with support.
    """
    if not len(searched):
        return searched
    bins = times // interval
    bins = np.concatenate([[1], 1 + np.minimum(np.diff(bins), 2).cumsum()])  # of empty bins, one is left
    n_bins = int(max(1, min(BATCH_EVENTS * bins[-1] // len(cells), BATCH_CELLS // size, bins[-1])))
    edges = np.searchsorted(bins, np.arange(1, bins[-1] + n_bins + 1, n_bins)).tolist()
    searched_edges = np.searchsorted(searched, edges).tolist()
    firsts, lasts = np.zeros((2, (n_bins + 1) * size), np.int32)
    parts, corner = [], stride + 1
    before = 0  # the first event of the bin before the batch
    for k in range(len(edges) - 1):
        start, end = edges[k], edges[k + 1]
        places = cells[before:end] + (bins[before:end] - k * n_bins) * size
        own, numbers = places[start - before :], searched[searched_edges[k] : searched_edges[k + 1]]
        # Of several events in a cell the one assigned last stays. The maps count backwards, with 0 for none.
        firsts[own[::-1]] = np.arange(1, len(own) + 1)
        lasts[places] = times[before:end]
        near = own[numbers - start] - corner
        earlier, latest = np.zeros((2, len(near)), np.int32)
        for offset in list_neighbours(stride):
            np.maximum(earlier, firsts[corner + offset :].take(near), out=earlier)
            np.maximum(latest, lasts[corner + offset :].take(near - size), out=latest)
        parts.append(numbers[(earlier > end - numbers) | (latest >= times[numbers] - interval)])
        firsts[own], lasts[places] = 0, 0
        before = int(np.searchsorted(bins, (k + 1) * n_bins))
    return np.concatenate(parts)


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
