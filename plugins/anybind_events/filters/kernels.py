"""Compiled loops of filters: each marks which events of a block to keep, and updates the state of the pixels.

Times of pixels are int32 microseconds after `base`, more than any duration that they are compared with; 0 is a pixel
without events: see `blocks.Clock`. Maps of pixels are flat, with a margin of one pixel on each side where neighbours
are read. Unsigned indices and 32-bit numbers are up to twice as fast as others. The kernels share one module because
numba's cache on disk does not detect changes of another module.
"""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel


@kernel
def append_kept(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, copies: np.ndarray,
    x_out: np.ndarray, y_out: np.ndarray, t_out: np.ndarray, p_out: np.ndarray, count: int,
) -> int:  # fmt: skip
    """Append the marked events to the outputs, from `count` on, and return the new count.

    Branch-free: each event is written, and the next one overwrites it unless it is kept.
    """
    n = count
    for i in range(len(x)):
        x_out[n], y_out[n], t_out[n], p_out[n] = x[i], y[i], t[i], p[i]
        n += copies[i]
    return n


@kernel
def mark_supported(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, base: int, stride: int, recent: np.ndarray,
    duration: int, support: int, signed: bool, keep: np.ndarray,
) -> None:  # fmt: skip
    """Mark events with a number of neighbours whose last event is recent, and of the same polarity if `signed`.

    `recent` has the inverted bits of the times of OFF events, which are negative then, so that the comparison of an
    event with a neighbour needs no branch.
    """
    one, length = np.uint64(1), np.int32(duration)
    for i in range(len(x)):
        pixel = (np.int32(y[i]) + np.int32(1)) * np.int32(stride) + np.int32(x[i]) + np.int32(1)
        sign = np.int32(p[i]) - np.int32(1) if signed else np.int32(0)
        now = np.int32(t[i] - base)
        oldest = np.int32(now - length)
        middle = np.uint64(pixel)
        count = np.int32((recent[middle - one] ^ sign) >= oldest) + np.int32((recent[middle + one] ^ sign) >= oldest)
        for row in (np.uint64(pixel - stride), np.uint64(pixel + stride)):
            count += np.int32((recent[row - one] ^ sign) >= oldest) + np.int32((recent[row] ^ sign) >= oldest)
            count += np.int32((recent[row + one] ^ sign) >= oldest)
        keep[i] = count >= support
        recent[middle] = now ^ sign


@kernel
def mark_rested(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, base: int, width: int, last: np.ndarray, period: int, keep: np.ndarray
) -> None:
    """Mark events whose pixel had no marked event within the period before."""
    for i in range(len(x)):
        pixel = np.uint64(np.int32(y[i]) * np.int32(width) + np.int32(x[i]))
        now = np.int32(t[i] - base)
        rested = now - last[pixel] >= period
        keep[i] = rested
        last[pixel] = now if rested else last[pixel]


@kernel
def mark_trails(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, base: int, width: int,
    last: np.ndarray, polarity: np.ndarray, duration: int, keep: np.ndarray,
) -> None:  # fmt: skip
    """Mark events of another polarity than the pixel's last event, or that follow it after the duration."""
    for i in range(len(x)):
        pixel = np.uint64(np.int32(y[i]) * np.int32(width) + np.int32(x[i]))
        now = np.int32(t[i] - base)
        keep[i] = (polarity[pixel] != p[i]) | (now - last[pixel] > duration)
        last[pixel], polarity[pixel] = now, p[i]


@kernel
def mark_bursts(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, base: int, width: int,
    last: np.ndarray, length: np.ndarray, duration: int, cut_trail: bool, keep: np.ndarray,
) -> None:  # fmt: skip
    """Mark the second event of each burst of one polarity, and those after it unless the trail is cut.

    `length`, uint8, is the number of events of a pixel's burst so far, up to 3, plus 4 for ON events.
    """
    for i in range(len(x)):
        pixel = np.uint64(np.int32(y[i]) * np.int32(width) + np.int32(x[i]))
        now = np.int32(t[i] - base)
        state = np.int64(length[pixel])
        on = np.int64(p[i])
        continues = (state >> 2 == on) & (now - last[pixel] <= duration)
        events = min((state & 3) + 1, 3) if continues else 1
        keep[i] = events == 2 or (events == 3 and not cut_trail)
        last[pixel], length[pixel] = now, events + 4 * on


@kernel
def mark_steady(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, base: int, width: int,
    rise: np.ndarray, polarity: np.ndarray, period: np.ndarray, score: np.ndarray,
    shortest: int, longest: int, tolerance: float, periods: int, keep: np.ndarray,
) -> None:  # fmt: skip
    """Mark events of pixels that do not flicker: whose changes from OFF to ON events have no steady period.

    `rise` is the time of a pixel's last change, `period` the one before it, `score` the number of steady periods.
    """
    for i in range(len(x)):
        pixel = np.uint64(np.int32(y[i]) * np.int32(width) + np.int32(x[i]))
        now = np.int32(t[i] - base)
        since = np.int64(now) - rise[pixel]
        if since > 2 * longest:
            score[pixel] = 0
        if p[i] and not polarity[pixel] and since >= shortest:
            steady = since <= longest and abs(since - period[pixel]) <= tolerance * since
            score[pixel] = min(score[pixel] + 1, 2 * periods) if steady else max(np.int64(score[pixel]) - 2, 0)
            rise[pixel], period[pixel] = now, min(since, longest + 1)
        polarity[pixel] = p[i]
        keep[i] = score[pixel] < periods


@kernel
def mark_region(x: np.ndarray, y: np.ndarray, left: int, top: int, right: int, bottom: int, keep: np.ndarray) -> None:
    """Mark events in a rectangle, without its right and bottom."""
    for i in range(len(x)):
        keep[i] = (x[i] >= left) & (x[i] < right) & (y[i] >= top) & (y[i] < bottom)


@kernel
def map_pixels(
    x: np.ndarray, y: np.ndarray, width: int, columns: np.ndarray, rows: np.ndarray,
    x_out: np.ndarray, y_out: np.ndarray, keep: np.ndarray,
) -> None:  # fmt: skip
    """Write the new column and row of each event, by pixel; mark those whose new column is 0 or more."""
    for i in range(len(x)):
        pixel = np.uint64(np.int32(y[i]) * np.int32(width) + np.int32(x[i]))
        column = columns[pixel]
        x_out[i], y_out[i] = max(column, 0), rows[pixel]
        keep[i] = column >= 0


@kernel
def weigh_neighbours(counts: np.ndarray, pixel: int, stride: int, sides: int) -> float:
    """Return the mean count of a pixel's 8 neighbours (0 without any); `sides` are outside, with a count of 0."""
    total = np.int64(counts[pixel - 1]) + counts[pixel + 1]
    for row in (pixel - stride, pixel + stride):
        total += np.int64(counts[row - 1]) + counts[row] + counts[row + 1]
    return total / max(8 - sides, 1)


@kernel
def count_outside(x: int, y: int, width: int, height: int) -> int:
    """Return how many of the 8 neighbours of a pixel are outside the sensor."""
    columns, rows = 3 - (x == 0) - (x == width - 1), 3 - (y == 0) - (y == height - 1)
    return 9 - columns * rows


@kernel
def mark_cool(
    x: np.ndarray, y: np.ndarray, width: int, height: int, counts: np.ndarray, hot: np.ndarray,
    ratio: float, events: int, every: int, keep: np.ndarray,
) -> None:  # fmt: skip
    """Mark events of pixels that are not hot, which is decided again with `every` (a power of 2) events of a pixel."""
    stride = width + 2
    for i in range(len(x)):
        pixel = np.uint64((np.int32(y[i]) + np.int32(1)) * np.int32(stride) + np.int32(x[i]) + np.int32(1))
        count = counts[pixel] + np.uint32(1)
        counts[pixel] = count
        if count & (every - 1) == 0 and count >= events:
            outside = count_outside(np.int64(x[i]), np.int64(y[i]), width, height)
            hot[pixel] = count >= ratio * (weigh_neighbours(counts, np.int64(pixel), stride, outside) + 1)
        keep[i] = hot[pixel] == 0


@kernel
def find_dead_pairs(
    x: np.ndarray, y: np.ndarray, width: int, height: int, counts: np.ndarray, dead: np.ndarray,
    events: int, every: int, copies: np.ndarray,
) -> None:  # fmt: skip
    """Write 2 for events of a pixel whose pair, the column beside it, is dead, and 1 for others.

    A pixel is dead if it has no event when its neighbours have `events` on average, which is checked with `every` (a
    power of 2) events of the pixel beside it.
    """
    stride = width + 2
    for i in range(len(x)):
        column, row = np.int64(x[i]), np.int64(y[i])
        pixel = (row + 1) * stride + column + 1
        pair = column ^ 1
        other = pixel + pair - column
        count = counts[pixel] + np.uint32(1)
        counts[pixel] = count
        if count & (every - 1) == 0 and pair < width and counts[other] == 0:
            outside = count_outside(pair, row, width, height)
            dead[other] = weigh_neighbours(counts, other, stride, outside) >= events
        copies[i] = 2 if pair < width and dead[other] and counts[other] == 0 else 1


@kernel
def append_copies(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, copies: np.ndarray,
    x_out: np.ndarray, y_out: np.ndarray, t_out: np.ndarray, p_out: np.ndarray, count: int,
) -> int:  # fmt: skip
    """Append events, and for those with two copies another at the pair of their pixel; return the new count."""
    n = count
    for i in range(len(x)):
        for copy in range(copies[i]):
            x_out[n], y_out[n], t_out[n], p_out[n] = x[i] ^ copy, y[i], t[i], p[i]
            n += 1
    return n
