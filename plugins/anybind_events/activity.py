"""Activity of event streams: whether anything moved, or all events are noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anybind_events.kernels import count_supported_events
from anybind_events.pixel_counts import count_pixels

if TYPE_CHECKING:
    from anybind_events.stream import EventStream

EXPECTED_SUPPORT = 0.2
"""Expected number of noise events at the neighbours of a pixel during the interval that is searched for support."""
SHORTEST_US = 200
"""Shortest interval that is searched for support, microseconds."""
SHORTER = 8
"""The interval divided by this is searched too: where pixels give many events each, only it separates them."""
BLOCKS = 10
"""Number of blocks along the longer side of the sensor, each with its own score."""
MIN_BLOCK = 12
"""Shortest side of a block in pixels."""
HOT_RATIO, HOT_EVENTS = 5, 5
"""A pixel is hot from this number of events on, if they are this multiple of the mean of its neighbours plus one."""
MIN_SUPPORTED = 12
"""Supported events from which a block has a score: a few events prove nothing."""
MOVED_SCORE = 6.0
"""Score from which something moved: 1000 windows of noise have at most 4.9, 200 with an object at least 7.6."""


@dataclass(frozen=True)
class Activity:
    """How far the events of a stream differ from noise.

    An event is supported if one of the 8 neighbours of its pixel had an event of the same polarity in the interval
    before. The expectation is that of noise which is uniform over the 3x3 blocks of the sensor around a pixel, with the
    rate that events have there: noise that grows slowly across the sensor, as with the light, does not count as motion.

    Attributes:
        events: number of events.
        rate_hz: events per pixel and second (Hz a pixel), without hot pixels.
        hot_pixels: number of hot pixels, whose events are ignored.
        interval_us: the interval that is searched for support, microseconds.
        supported: fraction of the events with support, 0 to 1.
        expected: fraction expected of noise, 0 to 1.
        score: standard deviations of supported events above the expectation: in the block of the sensor, or the whole
            sensor, where this is largest, and of the interval or an eighth of it.
    """

    events: int
    rate_hz: float
    hot_pixels: int
    interval_us: int
    supported: float
    expected: float
    score: float

    @property
    def moved(self) -> bool:
        """Whether something moved: the score is at least `MOVED_SCORE`."""
        return self.score >= MOVED_SCORE


def measure_activity(stream: EventStream) -> Activity:
    """Measure whether anything moved in a stream, such as a window of 20 to 400 ms, or all of its events are noise.

    Objects give events that are clustered in space and time: an edge passes neighbouring pixels within milliseconds.
    Hot pixels are removed first.

    Args:
        stream: events of any number; a stream without motion, of noise alone, of one hot pixel or of a few events has
            a score below `MOVED_SCORE`.
    """
    if not len(stream):
        return Activity(0, 0.0, 0, 0, 0.0, 0.0, 0.0)
    n_pixels, duration_us = stream.width * stream.height, max(1, stream.duration_us)
    mean_rate = len(stream) / n_pixels / duration_us  # events per pixel and microsecond
    longest = round(min(max(EXPECTED_SUPPORT / (4 * mean_rate), SHORTEST_US), duration_us))
    intervals = np.array([longest, min(longest, max(SHORTEST_US, longest // SHORTER))])
    side = max(MIN_BLOCK, math.ceil(max(stream.width, stream.height) / BLOCKS))
    supported, events, hot_pixels = count_supported_events(
        stream.x, stream.y, stream.t, stream.p, count_pixels(stream), intervals, side, HOT_RATIO, HOT_EVENTS
    )
    pixels = _count_block_pixels(stream.width, stream.height, side)
    around = _sum_around(np.concatenate([events.reshape(2, *pixels.shape), pixels[None]]))
    rates = (around[:2] / around[2] / duration_us).reshape(2, -1)
    chance = _average_support(8 * rates, intervals[:, None, None], duration_us)
    expected = events * chance
    sums = np.stack([supported, expected, expected * (1 - chance)]).sum(axis=2)  # (3, intervals, blocks)
    sums = np.concatenate([sums, sums.sum(axis=2, keepdims=True)], axis=2)
    n_events = events.sum()
    return Activity(
        events=len(stream),
        rate_hz=float(n_events) / n_pixels / duration_us * 1e6,
        hot_pixels=hot_pixels,
        interval_us=longest,
        supported=float(sums[0, 0, -1] / max(1, n_events)),
        expected=float(sums[1, 0, -1] / max(1, n_events)),
        score=float(np.where(sums[0] >= MIN_SUPPORTED, (sums[0] - sums[1]) / np.sqrt(sums[2] + 1), 0).max()),
    )


def _average_support(rates: np.ndarray, intervals: np.ndarray, duration_us: int) -> np.ndarray:
    """Return the probability of an event within the interval before, at `rates` per microsecond.

    The mean over times of the stream: near its beginning, the interval before is cut off.
    """
    rates = np.maximum(rates, 1e-12)
    none = np.exp(-rates * intervals)
    return 1 - ((1 - none) / rates + (duration_us - intervals) * none) / duration_us


def _count_block_pixels(width: int, height: int, side: int) -> np.ndarray:
    """Return the number of pixels of each block of a sensor, (rows, columns)."""
    columns, rows = (np.minimum(side, size - np.arange(0, size, side)) for size in (width, height))
    return np.outer(rows, columns)


def _sum_around(maps: np.ndarray) -> np.ndarray:
    """Return the sums over each block and the up to 8 blocks around it of maps, (n, rows, columns)."""
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    over_rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return over_rows[:, :, :-2] + over_rows[:, :, 1:-1] + over_rows[:, :, 2:]
