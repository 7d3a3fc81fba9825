"""Content of event streams as plain values for comparisons, and results of reading a file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

from anybind import AnybindWarning
from anybind.errors import BadInput
from anybind.samples import EventSample
from anybind_events.stream import EventStream

Row = tuple[int, int, int, bool]
"""Column, row, time and polarity of an event."""
SIDES = st.integers(1, 65_535)
"""Widths and heights of all valid sensors."""


def list_events(*streams: EventSample) -> list[Row]:
    """List the events of streams, one after the other."""
    columns = ([getattr(stream, name).tolist() for name in "xytp"] for stream in streams)
    return [row for each in columns for row in zip(*each, strict=True)]


def list_contents(stream: EventSample) -> tuple[object, ...]:
    """Return the columns of a stream as lists, and its sensor's width and height."""
    return (*(getattr(stream, name).tolist() for name in "xytp"), stream.width, stream.height)


@st.composite
def event_streams(
    draw: st.DrawFn,
    times: st.SearchStrategy[int],
    widths: st.SearchStrategy[int] = SIDES,
    heights: st.SearchStrategy[int] = SIDES,
) -> EventStream:
    """Draw short recordings with these times, in microseconds, on these sensors."""
    width, height, t = draw(widths), draw(heights), sorted(draw(st.lists(times, max_size=12)))
    pixel = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), st.booleans())
    x, y, p = ([each[column] for each in [draw(pixel) for _ in t]] for column in range(3))
    return EventStream(x, y, t, p, width, height)


def read_or_error(read: Callable[[Path], object], path: Path) -> object:
    """Return the sample, or the message of `BadInput`; other errors raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnybindWarning)
        try:
            return read(path)
        except BadInput as error:
            return str(error)


def select_silently(select: Callable[..., EventStream], *args: object, **options: object) -> EventStream:
    """Select events, of which there may be none, without the warning about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no events", category=AnybindWarning)
        return select(*args, **options)
