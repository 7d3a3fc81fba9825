"""`WindowCutter`: cuts consecutive chunks into windows, without copying an event more than a few times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anybind.plugin import BadInput, windows
from anybind_events.event_columns import DTYPES
from anybind_events.pixel_counts import MovingCounts
from anybind_events.stream import EventStream
from anybind_events.windows import TimeWindow

MAX_GAP_US, MAX_STEP_BACK_US = 10_000_000, 1_000_000
"""A larger step of the clock, forward or back, is a jump."""
MIN_CAPACITY = 1 << 16

Window = TimeWindow[EventStream]


class WindowCutter:
    """Windows of a stream that arrives in chunks: those of `EventStream.windows`, each as soon as it is complete.

    Events are appended to an array behind those that are still needed, and leave it at its front. A full array is
    replaced, not overwritten: windows are views that stay valid.

    Attributes:
        backwards: events whose time was raised to that of the event before.
        jumps: jumps of the clock, at which windows begin anew.
    """

    def __init__(self, length: windows.WindowLength, stride: windows.WindowLength) -> None:
        self._length, self._stride = length, stride
        self._columns = [np.empty(0, dtype) for dtype in DTYPES.values()]
        self._first = self._end = 0
        self._size: tuple[int, int] | None = None
        self._counts = MovingCounts(1, 1)  # of the events from `_first` on that are in the next window
        self._origin_us = self._start_us = self._skip = 0
        self._last_us: int | None = None
        self.backwards = self.jumps = 0

    def add(self, chunk: EventStream) -> Iterator[Window]:
        """Add the next chunk; yield the windows that it completes.

        Raises:
            BadInput: the sensor has another size than before.
        """
        if self._size is None:
            self._size = chunk.width, chunk.height
            self._counts = MovingCounts(*self._size)
        if self._size != (chunk.width, chunk.height):
            (width, height), other = self._size, f"{chunk.width}x{chunk.height}"
            raise BadInput(f"the source changed the size of its sensor from {width}x{height} to {other}")
        has_gap = chunk.duration_us > MAX_GAP_US
        gaps = np.flatnonzero(np.diff(chunk.t) > MAX_GAP_US) + 1 if has_gap else np.empty(0, np.int64)
        for first, end in zip([0, *gaps.tolist()], [*gaps.tolist(), len(chunk)], strict=True):
            if first < end:
                yield from self._add_part(chunk.slice_events(first, end))

    def _add_part(self, part: EventStream) -> Iterator[Window]:
        t = part.t
        if self._last_us is None:
            self._origin_us = self._start_us = int(t[0])
        else:
            step = int(t[0]) - self._last_us
            if step > MAX_GAP_US or step < -MAX_STEP_BACK_US:
                yield from self._start_anew(int(t[0]))
            elif step < 0:
                self.backwards += int(np.searchsorted(t, self._last_us))
                t = np.maximum(t, self._last_us)
        self._last_us = int(t[-1])
        self._append(part, t)
        yield from self._cut_counts() if self._length.in_events else self._cut_times()

    def _start_anew(self, time_us: int) -> Iterator[Window]:
        """End the windows before a jump of the clock, and begin new ones."""
        yield from self.finish()
        self.jumps += 1
        if self._last_us is not None and time_us < self._last_us:  # times go on from the last event
            self._origin_us += time_us - self._last_us
        self._drop(self._end - self._first)
        self._start_us, self._skip = time_us, 0

    def _append(self, part: EventStream, t: np.ndarray) -> None:
        end = self._end + len(part)
        if end > len(self._columns[0]):
            n_waiting = self._end - self._first
            longer = [np.empty(max(MIN_CAPACITY, 2 * (n_waiting + len(part))), dtype) for dtype in DTYPES.values()]
            for new, old in zip(longer, self._columns, strict=True):
                new[:n_waiting] = old[self._first : self._end]
            self._columns, self._first, self._end = longer, 0, n_waiting
            end = n_waiting + len(part)
        for column, values in zip(self._columns, (part.x, part.y, t, part.p), strict=True):
            column[self._end : end] = values
        self._end = end

    def _cut_times(self) -> Iterator[Window]:
        length, stride = self._length.size, self._stride.size
        while self._last_us is not None and self._last_us >= self._start_us + length:
            yield self._make_window(self._start_us, self._start_us + length)
            self._start_us += stride
        if self._last_us is not None:
            self._drop(self._find(self._start_us))
            self._count(self._find(self._start_us + length))

    def _cut_counts(self) -> Iterator[Window]:
        """Yield windows of a number of events; `_skip` events lie before the next one, if the stride is longer."""
        length, stride = self._length.size, self._stride.size
        while self._skip_events() and self._end - self._first > length:  # the last one may be the last of all
            yield self._make_counted(length)
            self._skip = stride
        if not self._skip:
            self._count(min(length, self._end - self._first))

    def _skip_events(self) -> bool:
        skipped = min(self._skip, self._end - self._first)
        self._drop(skipped)
        self._skip -= skipped
        return not self._skip

    def finish(self) -> Iterator[Window]:
        """Yield the windows that are not complete, at the end of the source; the last one may be shorter."""
        if self._last_us is None:
            return
        if self._length.in_events:
            while self._skip_events() and (count := self._end - self._first):
                yield self._make_counted(min(count, self._length.size))
                self._skip = count if count <= self._length.size else self._stride.size
            return
        end = self._last_us + 1
        while self._start_us < end:
            stop = min(self._start_us + self._length.size, end)
            yield self._make_window(self._start_us, stop)
            self._start_us = end if stop == end else self._start_us + self._stride.size

    def _find(self, time_us: int) -> int:
        """Return the number of waiting events before a time."""
        return int(np.searchsorted(self._columns[2][self._first : self._end], time_us))

    def _make_window(self, start_us: int, end_us: int) -> Window:
        self._drop(self._find(start_us))
        return TimeWindow(start_us - self._origin_us, end_us - self._origin_us, self._view(self._find(end_us)))

    def _make_counted(self, count: int) -> Window:
        events = self._view(count)
        return TimeWindow(int(events.t[0]) - self._origin_us, int(events.t[-1]) - self._origin_us + 1, events)

    def _view(self, count: int) -> EventStream:
        """Return the first waiting events, with their counts."""
        self._count(count)
        width, height = self._size or (1, 1)
        x, y, t, p = (column[self._first : self._first + count] for column in self._columns)
        return self._counts.attach(EventStream.from_valid(x, y, t, p, width, height))

    def _count(self, count: int) -> None:
        """Count the first waiting events: those that were not yet, as they arrive."""
        low, high = self._first + self._counts.n_events, self._first + count
        if low < high:
            self._counts.add(self._columns[0][low:high], self._columns[1][low:high])

    def _drop(self, count: int) -> None:
        """Let the first waiting events leave."""
        end = self._first + min(count, self._counts.n_events)
        self._counts.remove(self._columns[0][self._first : end], self._columns[1][self._first : end])
        self._first += count
