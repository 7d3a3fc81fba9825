"""The kind `filter`: `FilterSpec`, `Filter` and functions that apply filters; other plugins may import it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from anybind.plugin import BadInput, BadOption, create_part, kinds

if TYPE_CHECKING:
    from anybind_events.stream import EventStream


@dataclass(frozen=True, kw_only=True)
class FilterSpec(kinds.Spec):
    """A filter of event streams. Target: a `Filter` class, or a function of its options that returns a `Filter`."""

    kind: ClassVar[str] = "filter"


FilterRun = Callable[["EventStream"], "EventStream"]
"""A filter at work on one recording: takes its chunks in order, and returns what is left of each."""


class Filter(ABC):
    """A filter of event streams. Its options are its constructor's arguments; an instance has no state.

    What becomes of an event depends on the events up to it alone, those before it in time and at the same time but
    earlier in the stream: so chunks of any size give the same events, none is held back, and live streams can be
    filtered.
    """

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, object]:
        """All options, JSON-like, from which the same filter can be created again; also what it read from files."""

    @abstractmethod
    def start(self, width: int, height: int) -> FilterRun:
        """Start to filter one recording of a sensor of this size, in pixels.

        Returns:
            a function with a state of its own, which is called with the chunks of the recording in order.

        Raises:
            BadInput, BadOption: the filter does not suit this sensor.
        """


Filters = str | Filter | Sequence[str | Filter]
"""Filters as a text such as `background-activity:duration_us=2000,hot-pixel`, as objects, or several of both."""


def create_filters(filters: Filters) -> list[Filter]:
    """Create filters by name, with their options.

    Args:
        filters: `NAME:OPTION=VALUE,NAME`, a `Filter`, or a sequence of these.

    Raises:
        UnknownName: no such filter is installed.
        BadOption, BadInput: an option, or a file that it names, is invalid.
    """
    from anybind.plugin import windows  # imports numpy, which listing the parts must not

    created: list[Filter] = []
    listed = [filters] if isinstance(filters, str | Filter) or not isinstance(filters, Iterable) else filters
    for each in listed:
        if not isinstance(each, str | Filter):
            raise BadOption(f"expected filters by name, such as 'hot-pixel', or Filter objects, got {each!r}")
        named = windows.parse_filters(each) if isinstance(each, str) else []
        created += [create_part(FilterSpec, name, **options) for name, options in named] or (
            [each] if isinstance(each, Filter) else []
        )
    return created


def filter_events(stream: EventStream, filters: Filters) -> EventStream:
    """Filter a recording by several filters, one after the other.

    Args:
        stream: the recording.
        filters: see `create_filters`.

    Returns:
        the events that are left, on the sensor of the recording.

    Raises:
        UnknownName, BadOption, BadInput: as `create_filters`, or a filter does not suit the sensor.
    """
    for each in create_filters(filters):
        stream = each.start(stream.width, stream.height)(stream)
    return stream


def filter_chunks(streams: Iterable[EventStream], filters: Filters) -> Iterator[EventStream]:
    """Filter the consecutive chunks of a recording, which together give the same events as the whole.

    Args:
        streams: the chunks; their notes are kept.
        filters: see `create_filters`.

    Raises:
        UnknownName, BadOption: as `create_filters`.
        BadInput: as `create_filters`, or the chunks are of sensors of different sizes.
    """
    created, runs = create_filters(filters), []
    size: tuple[int, int] | None = None
    for stream in streams:
        if size is None:
            size = stream.width, stream.height
            runs = [each.start(*size) for each in created]
        if size != (stream.width, stream.height):
            raise BadInput(f"filter: expected chunks of one sensor, got {size} and {(stream.width, stream.height)}")
        part = stream
        for run in runs:
            part = run(part)
        yield part.with_notes(stream.notes, stream.time_unit)
