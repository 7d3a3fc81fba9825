"""Running of filters' kernels over a stream, in blocks that fit the cache."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anybind.plugin import BadInput
from anybind_events.filters.kernels import append_copies, append_kept
from anybind_events.stream import EventStream

BLOCK_EVENTS = 1 << 15
LONGEST_US = 1 << 29
"""Longest duration that a filter compares, microseconds (9 minutes)."""
MAX_TIME = (1 << 31) - 1
MAX_PIXELS = 1 << 28
"""Largest number of pixels of a filtered sensor: a map of them takes 1 GiB."""
Mark = Callable[[EventStream, np.ndarray], None]
"""Writes, for each event of a block, how many times it is kept: 0 or 1 (or 2), uint8."""


def select_events(stream: EventStream, mark: Mark) -> EventStream:
    """Return the events that `mark` keeps, block by block."""
    return _run_blocks(stream, mark, append_kept, len(stream))


def duplicate_events(stream: EventStream, mark: Mark) -> EventStream:
    """Return the events, those that `mark` gives a 2 also at the pair of their pixel: column 1 for 0, 3 for 2."""
    return _run_blocks(stream, mark, append_copies, 2 * len(stream))


def append_mapped(
    stream: EventStream, move: Callable[[EventStream, np.ndarray, np.ndarray, np.ndarray], None]
) -> EventStream:
    """Return the events at other pixels: `move` writes columns and rows of a block, and which events to keep."""
    x, y = (np.empty(min(BLOCK_EVENTS, len(stream)), np.uint16) for _ in "xy")

    def append(x_in: np.ndarray, y_in: np.ndarray, *arguments: object) -> int:
        return append_kept(x[: len(x_in)], y[: len(y_in)], *arguments)

    def mark(block: EventStream, marks: np.ndarray) -> None:
        move(block, x[: len(block)], y[: len(block)], marks)

    return _run_blocks(stream, mark, append, len(stream))


def _run_blocks(stream: EventStream, mark: Mark, append: Callable[..., int], capacity: int) -> EventStream:
    columns = [np.empty(capacity, column.dtype) for column in (stream.x, stream.y, stream.t, stream.p)]
    marks, count = np.empty(min(BLOCK_EVENTS, len(stream)), np.uint8), 0
    for first in range(0, len(stream), BLOCK_EVENTS):
        block = stream.slice_events(first, first + BLOCK_EVENTS)
        copies = marks[: len(block)]
        mark(block, copies)
        count = append(block.x, block.y, block.t, block.p, copies, *columns, count)
    x, y, t, p = (column[:count] for column in columns)
    return stream.from_valid(x, y, t, p, stream.width, stream.height)


def create_map(pixels: int, dtype: type[np.generic]) -> np.ndarray:
    """Return zeros for the pixels of a sensor; raise `BadInput` if there are too many for the kernels' 32 bits."""
    if pixels > MAX_PIXELS:
        raise BadInput(f"expected a sensor of at most {MAX_PIXELS} pixels to filter, got {pixels}; crop the recording")
    return np.zeros(pixels, dtype)


class Clock:
    """Times of pixels in 32 bits, which halves the memory that a filter reads: microseconds after a moving base.

    Attributes:
        times: int32, the time of each pixel's last event after the base, which is above `LONGEST_US`, so that a pixel
            without events, 0, is further in the past than any duration. Bits may be inverted, as a mark.
        base: the base, in microseconds of the recording's clock; None before the first event.
    """

    def __init__(self, pixels: int) -> None:
        """Create the times of pixels without events."""
        self.times = create_map(pixels, np.int32)
        self.base: int | None = None

    def divide(self, mark: Callable[[EventStream, int, np.ndarray], None]) -> Mark:
        """Return a `Mark` that calls `mark` with parts of a block that fit 32 bits after the base, and the base."""

        def mark_block(block: EventStream, marks: np.ndarray) -> None:
            first = 0
            while first < len(block):
                base, last = self._move_base(int(block.t[first])), len(block)
                if int(block.t[-1]) - base > MAX_TIME:
                    last = int(np.searchsorted(block.t, base + MAX_TIME, side="right"))
                part = block if (first, last) == (0, len(block)) else block.slice_events(first, last)
                mark(part, base, marks[first:last])
                first = last

        return mark_block

    def _move_base(self, time: int) -> int:
        """Return the base for events from this time on, moved if it is long ago."""
        if self.base is None:
            self.base = time - LONGEST_US - 1
        elif time - self.base > MAX_TIME:
            base = time - LONGEST_US - 1
            inverted = self.times >> 31
            moved = (self.times ^ inverted).astype(np.int64) - (base - self.base)
            self.times[:] = np.where(moved > 0, moved.astype(np.int32) ^ inverted, 0)
            self.base = base
        return self.base
