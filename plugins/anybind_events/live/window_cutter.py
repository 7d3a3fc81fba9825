"""`WindowCutter`: cuts consecutive chunks into windows, without copying an event more than a few times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from anybind.plugin import BadInput, windows
from anybind_events.filter import FilterRun, Filters, create_filters
from anybind_events.live.waiting_events import WaitingEvents
from anybind_events.stream import EventStream

MAX_GAP_US, MAX_STEP_BACK_US = 10_000_000, 1_000_000
"""A larger step of the clock, forward or back, is a jump."""


class CutWindow(NamedTuple):
    """A window of a live source.

    Attributes:
        start_us, end_us: its times, start <= t < end, in microseconds after the first event.
        events: the events, filtered if there are filters.
        unfiltered: the events before filters.
    """

    start_us: int
    end_us: int
    events: EventStream
    unfiltered: EventStream


class FilteredChunk(EventStream):
    """A chunk of a source, without a jump of the clock inside, with the events that filters leave of it."""

    filtered: EventStream | None = None


def filter_live(chunks: Iterable[EventStream], filters: Filters) -> Iterator[FilteredChunk]:
    """Filter the chunks of a live source; where its clock jumps, filters start anew.

    Raises:
        UnknownName, BadOption, BadInput: as `anybind_events.filter_chunks`.
    """
    created, runs, last_us = create_filters(filters), list[FilterRun](), None
    for chunk in chunks:
        for part in split_at_gaps(chunk):
            if last_us is None or is_jump(int(part.t[0]) - last_us):
                runs = [each.start(chunk.width, chunk.height) for each in created]
            last_us = int(part.t[-1])
            # Kernels are compiled for contiguous columns; those of another layout would compile them again.
            x, y, t, p = (np.ascontiguousarray(each) for each in (part.x, part.y, part.t, part.p))
            filtered: EventStream = EventStream.from_valid(x, y, t, p, part.width, part.height)
            for run in runs:
                filtered = run(filtered)
            combined = FilteredChunk.from_valid(x, y, t, p, part.width, part.height, part.notes)
            vars(combined)["filtered"] = filtered
            yield combined
        if not len(chunk):
            yield FilteredChunk.from_valid(chunk.x, chunk.y, chunk.t, chunk.p, chunk.width, chunk.height, chunk.notes)


def split_at_gaps(chunk: EventStream) -> Iterator[EventStream]:
    """Split a chunk where its clock jumps; the first part has the notes."""
    if chunk.duration_us <= MAX_GAP_US:
        yield from [chunk] if len(chunk) else []
        return
    gaps = np.flatnonzero(np.diff(chunk.t) > MAX_GAP_US) + 1
    notes = chunk.notes
    for first, end in zip([0, *gaps.tolist()], [*gaps.tolist(), len(chunk)], strict=True):
        yield chunk.slice_events(first, end).with_notes(notes, None)
        notes = {}


def is_jump(step_us: int) -> bool:
    """Return whether a step of the clock is a jump."""
    return step_us > MAX_GAP_US or step_us < -MAX_STEP_BACK_US


class WindowCutter:
    """Windows of a stream that arrives in chunks: those of `EventStream.windows`, each as soon as it is complete.

    With filters, the unfiltered events determine the windows.

    Attributes:
        backwards: events whose time was raised to that of the event before.
        jumps: jumps of the clock, at which windows begin anew.
    """

    def __init__(self, length: windows.WindowLength, stride: windows.WindowLength) -> None:
        self._length, self._stride = length, stride
        self._waiting = WaitingEvents()
        self._filtered: WaitingEvents | None = None
        self._size: tuple[int, int] | None = None
        self._origin_us = self._start_us = self._skip = 0
        self._last_us: int | None = None
        self.backwards = self.jumps = 0

    def add(self, chunk: EventStream) -> Iterator[CutWindow]:
        """Add the next chunk; yield the windows that it completes.

        Raises:
            BadInput: the sensor has another size than before.
        """
        if self._size is None:
            self._size = chunk.width, chunk.height
            self._waiting = WaitingEvents(*self._size)
            self._filtered = WaitingEvents(*self._size) if isinstance(chunk, FilteredChunk) else None
        if self._size != (chunk.width, chunk.height):
            (width, height), other = self._size, f"{chunk.width}x{chunk.height}"
            raise BadInput(f"the source changed the size of its sensor from {width}x{height} to {other}")
        for part in split_at_gaps(chunk):
            yield from self._add_part(part)

    def _add_part(self, part: EventStream) -> Iterator[CutWindow]:
        t, latest = part.t, self._last_us
        if latest is None:
            self._origin_us = self._start_us = int(t[0])
        elif is_jump(int(t[0]) - latest):
            yield from self._start_anew(int(t[0]))
            latest = None
        elif t[0] < latest:
            self.backwards += int(np.searchsorted(t, latest))
            t = np.maximum(t, latest)
        self._last_us = int(t[-1])
        self._waiting.append(part, t)
        if self._filtered is not None and isinstance(part, FilteredChunk) and part.filtered is not None:
            t = part.filtered.t
            self._filtered.append(part.filtered, t if latest is None else np.maximum(t, latest))
        yield from self._cut_counts() if self._length.in_events else self._cut_times()

    def _start_anew(self, time_us: int) -> Iterator[CutWindow]:
        """End the windows before a jump of the clock, and begin new ones."""
        yield from self.finish()
        self.jumps += 1
        if self._last_us is not None and time_us < self._last_us:  # times go on from the last event
            self._origin_us += time_us - self._last_us
        for waiting in self._list_waiting():
            waiting.drop(len(waiting))
        self._start_us, self._skip = time_us, 0

    def _list_waiting(self) -> list[WaitingEvents]:
        return [self._waiting] if self._filtered is None else [self._waiting, self._filtered]

    def _cut_times(self) -> Iterator[CutWindow]:
        length, stride = self._length.size, self._stride.size
        while self._last_us is not None and self._last_us >= self._start_us + length:
            yield self._make_window(self._start_us, self._start_us + length)
            self._start_us += stride
        for waiting in self._list_waiting():
            waiting.drop(waiting.find(self._start_us))
            waiting.count(waiting.find(self._start_us + length))

    def _cut_counts(self) -> Iterator[CutWindow]:
        """Yield windows of a number of events; `_skip` events lie before the next one, if the stride is longer."""
        length, stride = self._length.size, self._stride.size
        while self._skip_events() and len(self._waiting) > length:  # the last one may be the last of all
            yield self._make_counted(length)
            self._skip = stride
        if not self._skip:
            self._waiting.count(min(length, len(self._waiting)))

    def _skip_events(self) -> bool:
        skipped = min(self._skip, len(self._waiting))
        self._waiting.drop(skipped)
        self._skip -= skipped
        return not self._skip

    def finish(self) -> Iterator[CutWindow]:
        """Yield the windows that are not complete, at the end of the source; the last one may be shorter."""
        if self._last_us is None:
            return
        if self._length.in_events:
            while self._skip_events() and (count := len(self._waiting)):
                yield self._make_counted(min(count, self._length.size))
                self._skip = count if count <= self._length.size else self._stride.size
            return
        end = self._last_us + 1
        while self._start_us < end:
            stop = min(self._start_us + self._length.size, end)
            yield self._make_window(self._start_us, stop)
            self._start_us = end if stop == end else self._start_us + self._stride.size

    def _make_window(self, start_us: int, end_us: int) -> CutWindow:
        views = []
        for waiting in self._list_waiting():
            waiting.drop(waiting.find(start_us))
            views.append(waiting.view(waiting.find(end_us)))
        return CutWindow(start_us - self._origin_us, end_us - self._origin_us, views[-1], views[0])

    def _make_counted(self, count: int) -> CutWindow:
        events = self._waiting.view(count)
        return CutWindow(int(events.t[0]) - self._origin_us, int(events.t[-1]) - self._origin_us + 1, events, events)
