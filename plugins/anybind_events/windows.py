"""Windows of recordings: parts of a duration or of a number of events, views of the recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from anybind.plugin import BadOption, windows
from anybind_events.time_range import select_times

if TYPE_CHECKING:
    from anybind_events.stream import EventStream

Stream = TypeVar("Stream", bound="EventStream")

LONG_US = 600_000
"""Recordings of a longer duration, microseconds, are divided into windows by default."""


class TimeWindow(NamedTuple, Generic[Stream]):
    """A window of a recording.

    Attributes:
        start_us, end_us: its times, start <= t < end, in microseconds after the first event of the recording.
        events: the events, a view.
    """

    start_us: int
    end_us: int
    events: Stream


def divide_stream(
    stream: Stream, options: windows.WindowOptions, *, default: str = windows.AUTO, recording: Stream | None = None
) -> Iterator[TimeWindow[Stream]]:
    """Divide a recording, or the part of it that the options select, into windows; without events there is none.

    Windows begin at `start`, then every stride; the last one ends at `end` or just after the last event, and may be
    shorter: see `anybind.windowing`. Windows without events have an empty stream.

    Args:
        stream: the recording.
        options: part, length and stride; region of interest and filters are ignored. Numbers are microseconds.
        default: what an empty length stands for.
        recording: the recording that the stream is filtered from, to which times and duration refer.

    Raises:
        BadOption: invalid options.
    """
    start, end = options.resolve_range(windows.MICROSECONDS)
    length, stride = options.resolve_lengths(windows.MICROSECONDS)
    recording = stream if recording is None else recording
    if not len(recording):
        return iter(())
    origin, whole = int(recording.t[0]), recording.duration_us + 1
    first, last = start or 0, min(whole, whole if end is None else end)
    part = stream if start is None and end is None else select_times(stream, origin + first, origin + last)
    if length is None and (options.window or default) == windows.AUTO:
        from anybind_events.window_choice import choose_window

        length = windows.WindowLength(choose_window(part))
    if length is None:
        return iter([TimeWindow(first, last, part)] if first < last else [])
    if length.in_events:
        return _divide_by_count(part, origin, length.size, (stride or length).size)
    return _divide_by_time(stream, origin, (first, last), length.size, (stride or length).size)


def _divide_by_time(
    stream: Stream, origin: int, span: tuple[int, int], length: int, stride: int
) -> Iterator[TimeWindow[Stream]]:
    for low, high in windows.iterate_ranges(max(0, span[1] - span[0]), length, stride):
        start, end = span[0] + low, span[0] + high
        yield TimeWindow(start, end, select_times(stream, origin + start, origin + end))


def _divide_by_count(part: Stream, origin: int, count: int, stride: int) -> Iterator[TimeWindow[Stream]]:
    for low, high in windows.iterate_ranges(len(part), count, stride):
        yield TimeWindow(int(part.t[low]) - origin, int(part.t[high - 1]) - origin + 1, part.slice_events(low, high))


def crop_region(stream: Stream, roi: windows.Roi | None) -> Stream:
    """Crop a stream to a region of interest; without one, return it unchanged.

    Raises:
        BadOption: the region exceeds the sensor.
    """
    if roi is None:
        return stream
    try:
        return stream.crop(*roi)
    except BadOption as error:
        raise BadOption(f"--roi: {error}") from error
