"""Time ranges of recordings: relative to the first event, or on the recording's own clock."""

from __future__ import annotations

import bisect
import math
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadOption, windows
from anybind_events.event_columns import convert_whole

if TYPE_CHECKING:
    from anybind_events.stream import EventStream

Stream = TypeVar("Stream", bound="EventStream")
FARTHEST_US = 1 << 62
"""Later than any event: microseconds that stand for infinity."""


class TimeRange(NamedTuple):
    """The times with start <= t < end.

    Attributes:
        start: microseconds after the first event; None: from the first event on.
        end: microseconds after the first event, excluded; None: to the last event.
        absolute: `start` and `end` are times on the recording's own clock instead.
    """

    start: int | None = None
    end: int | None = None
    absolute: bool = False

    @classmethod
    def parse(cls, start: object, end: object, absolute: bool = False) -> Self:
        """Return the range of two times in microseconds: numbers, texts with a unit such as `10ms`, or None.

        Raises:
            BadOption: a time is neither a number nor a duration.
        """
        return cls(_parse_time("start", start), _parse_time("end", end), absolute)

    @property
    def is_whole(self) -> bool:
        """Whether the range is that of every recording."""
        return self.start is None and self.end is None

    def resolve(self, first_us: int) -> tuple[int | None, int | None]:
        """Return both times on the recording's own clock; `first_us` is the time of its first event."""
        offset = 0 if self.absolute else first_us
        return None if self.start is None else self.start + offset, None if self.end is None else self.end + offset

    def select(self, streams: Iterable[EventStream]) -> Iterator[EventStream]:
        """Yield the events in the range of consecutive chunks, views with the notes of the chunks."""
        first_us = None
        for stream in streams:
            if not len(stream):
                yield stream
                continue
            first_us = int(stream.t[0]) if first_us is None else first_us
            low, high = self.resolve(first_us)
            yield select_times(stream, low, high).with_notes(stream.notes, stream.time_unit)
            if high is not None and stream.t[-1] >= high:
                return

    def describe(self) -> str:
        """Describe the range, such as `from 10 us to the last event, relative to the first event`."""
        start = "the first event" if self.start is None else f"{self.start} us"
        end = "the last event" if self.end is None else f"{self.end} us"
        return f"from {start} to {end}, {'on its own clock' if self.absolute else 'relative to the first event'}"

    def describe_recording(self, stream: EventStream) -> str:
        """Describe the times that a recording has, as in the range."""
        if not len(stream):
            return "it has no events"
        times = f"{stream.t[0]} to {stream.t[-1]} us" if self.absolute else f"0 to {stream.duration_us} us"
        return f"it has events from {times}"

    def warn_empty(self, source: str, explanation: str = "") -> None:
        """Warn that a recording has no events in the range."""
        hint = f"; {explanation}" if explanation else ""
        warnings.warn(f"{source}: no events {self.describe()}{hint}", AnybindWarning, stacklevel=3)


def select_times(stream: Stream, start_us: int | None, end_us: int | None) -> Stream:
    """Return the events with start <= t < end on the recording's own clock, a view."""
    first = 0 if start_us is None else bisect.bisect_left(stream.t, start_us)
    last = len(stream) if end_us is None else bisect.bisect_left(stream.t, end_us)
    return stream.slice_events(first, last)


def _parse_time(name: str, value: object) -> int | None:
    if isinstance(value, str):
        return windows.parse_duration(value, windows.MICROSECONDS, name)
    if isinstance(value, float | np.floating) and not np.isnan(value):
        # An event at a whole time lies on the same side of the time that is rounded up.
        return math.ceil(min(max(value, -FARTHEST_US), FARTHEST_US))
    time_us = convert_whole(value)
    if time_us is None and value is not None:
        raise BadOption(f"{name}: expected microseconds or a duration such as 100ms, got {value!r}")
    return time_us
