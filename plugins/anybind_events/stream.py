"""`EventStream`: the recording of an event camera as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind.plugin import windows as windowing
from anybind_events.event_columns import (
    MAX_SENSOR,
    convert_column,
    convert_size,
    make_read_only,
    require_inside,
    require_order,
    require_whole,
    require_whole_numbers,
    select_indices,
)
from anybind_events.filter import Filters, filter_events
from anybind_events.time_range import TimeRange, select_times
from anybind_events.time_unit import TimeUnit
from anybind_events.windows import divide_stream

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class EventStream:
    """Events in time order, checked on construction; the columns are read-only.

    Columns of the right type, or of a type of the same width with the same values, are used without a copy, also those
    of NumPy structured arrays and of torch tensors on the CPU. The caller must not change them afterwards.

    Attributes:
        x: (n,) uint16, column, 0 at the left, below `width`.
        y: (n,) uint16, row, 0 at the top, below `height`.
        t: (n,) int64, microseconds, never decreasing.
        p: (n,) bool, polarity, True for ON events; or numbers: 1 is ON, and 0, -1, or -1 stored unsigned, is OFF.
        width, height: sensor size in pixels.
        notes: counts of what a reader repaired or dropped (`clock_wraps`, `outside`, ...), by name; sub-streams have
            none.
        time_unit: unit of the times in the file, and how it is known; None for formats that define it, and sub-streams.

    Raises:
        BadInput: columns of different lengths or of other than whole numbers, a pixel outside the sensor, decreasing
            time, or polarity codes of uncertain meaning; the message names the event or the codes.
    """

    x: np.ndarray
    y: np.ndarray
    t: np.ndarray
    p: np.ndarray
    width: int
    height: int
    notes: Mapping[str, int] = field(default_factory=dict)
    time_unit: TimeUnit | None = None

    def __post_init__(self) -> None:
        width, height = convert_size(self.width, self.height)
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "height", height)
        columns = {name: np.asarray(getattr(self, name)) for name in "xytp"}
        lengths = {name: column.shape for name, column in columns.items()}
        if len(set(lengths.values())) != 1 or len(lengths["x"]) != 1:
            raise BadInput(f"expected event columns of one length, got {lengths}")
        for name in "xyt":
            require_whole_numbers(name, columns[name])
        require_inside("x", columns["x"], self.width)
        require_inside("y", columns["y"], self.height)
        for name, column in columns.items():
            object.__setattr__(self, name, make_read_only(convert_column(name, column)))
        require_order(self.t)

    @classmethod
    def from_valid(
        cls,
        x: np.ndarray,
        y: np.ndarray,
        t: np.ndarray,
        p: np.ndarray,
        width: int,
        height: int,
        notes: Mapping[str, int] | None = None,
        time_unit: TimeUnit | None = None,
    ) -> Self:
        """Create a stream from columns known to be valid (of another stream, of a decoder), without checks."""
        stream = object.__new__(cls)
        x, y, t, p = map(make_read_only, (x, y, t, p))
        # Several times faster than `object.__setattr__`, which matters for small files and windows.
        vars(stream).update(x=x, y=y, t=t, p=p, width=width, height=height, notes=notes or {}, time_unit=time_unit)
        return stream

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore a copy or a pickled stream; NumPy gives its columns back writable."""
        vars(self).update({name: make_read_only(each) if name in "xytp" else each for name, each in state.items()})

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """Return a structured array for `np.asarray`, (n,), with the fields `t`, `x`, `y` and `p`; always a copy."""
        from anybind_events.interchange import COLUMNS, to_structured

        if copy is False:
            raise ValueError("a stream has separate columns; a structured array needs a copy")
        return to_structured(self, COLUMNS if dtype is None else dtype)

    def with_notes(self, notes: Mapping[str, int], time_unit: TimeUnit | None) -> Self:
        """Return the same events with other notes."""
        return self.from_valid(self.x, self.y, self.t, self.p, self.width, self.height, notes, time_unit)

    def __len__(self) -> int:
        return len(self.t)

    def __repr__(self) -> str:
        return f"EventStream({len(self)} events, {self.width}x{self.height}, {self.duration_us} us)"

    def _repr_html_(self) -> str:
        """Return an image of the event counts (ON red, OFF blue) with the stream's statistics, for notebooks."""
        from anybind_events.preview import draw_preview

        return draw_preview(self)

    def __getitem__(self, events: int | slice | Sequence[int] | np.ndarray) -> Self:
        """Select events on the same sensor: by index, slice, increasing indices, or boolean mask, (n,).

        Slices are views.

        Raises:
            IndexError: an index is out of range, or the mask has another length.
            BadInput: the indices are not in time order.
        """
        if not isinstance(events, slice):
            events = select_indices(len(self), events)
        x, y, t, p = (column[events] for column in (self.x, self.y, self.t, self.p))
        require_order(t)
        return self.from_valid(x, y, t, p, self.width, self.height)

    @property
    def duration_us(self) -> int:
        """Microseconds from the first event to the last; 0 without events."""
        return int(self.t[-1]) - int(self.t[0]) if len(self) else 0

    def slice_events(self, first: int, last: int) -> Self:
        """Return the events from index `first` to before `last`, a view; indices beyond the ends are cut off."""
        first, last = max(0, first), max(0, last)
        x, y, t, p = (column[first:last] for column in (self.x, self.y, self.t, self.p))
        return self.from_valid(x, y, t, p, self.width, self.height)

    def head(self, count: int) -> Self:
        """Return the first `count` events, a view."""
        return self.slice_events(0, count)

    def between(
        self, start: windowing.Duration | None = None, end: windowing.Duration | None = None, *, absolute: bool = False
    ) -> Self:
        """Return the events with start <= t < end, a view, as `--start` and `--end` do; no events are a warning.

        Args:
            start, end: microseconds, or a text with a unit (`"100ms"`), after the first event; default: from the first
                event on, to the last event.
            absolute: `start` and `end` are times on the recording's own clock, as in `t`.

        Raises:
            BadOption: a time is neither a number nor a duration.
        """
        time_range = TimeRange.parse(start, end, absolute)
        selection = select_times(self, *time_range.resolve(int(self.t[0]) if len(self) else 0))
        if not len(selection):
            time_range.warn_empty("event stream", time_range.describe_recording(self))
        return selection

    def chunks(self, *, count: int | None = None, duration: int | None = None) -> Iterator[Self]:
        """Split the stream into chunks, views, in order: of `count` events, or of `duration` microseconds.

        The last chunk may be shorter; chunks of a duration start at the first event, and may be empty.

        Raises:
            BadOption: neither or both are given, or one is not a whole number above 0.
        """
        if (count is None) == (duration is None):
            raise BadOption("give count= (events) or duration= (microseconds), not both")
        size = require_whole("count", count) if duration is None else require_whole("duration", duration)
        if size < 1:
            raise BadOption(f"expected chunks of at least 1, got {size}")
        return self.windows(f"{size}ev" if duration is None else size)

    def windows(
        self,
        length: windowing.Duration = windowing.AUTO,
        stride: windowing.Duration = "",
        *,
        start: windowing.Duration | None = None,
        end: windowing.Duration | None = None,
    ) -> Iterator[Self]:
        """Divide the stream into windows, views, in order; several cover an event if the stride is below the length.

        Windows begin at `start`, then every stride, until one reaches the end of the stream: that one may be shorter.
        Windows of a duration may be empty.

        Args:
            length: a duration (`"100ms"`, or microseconds), a number of events (`"5000ev"`), or `"auto"`: see
                `anybind_events.choose_window`.
            stride: from the start of a window to that of the next, in the same unit. [default: the length]
            start, end: the part to divide, start <= t < end, after the first event. [default: the whole stream]

        Raises:
            BadOption: invalid lengths or times.
        """
        options = windowing.WindowOptions(start, end, length, stride)
        return (window.events for window in divide_stream(self, options))

    def filter(self, filters: Filters) -> EventStream:
        """Return the events that filters leave, such as `stream.filter("background-activity,hot-pixel")`.

        Args:
            filters: names with options, or filters: see `anybind_events.filter_events`.

        Raises:
            UnknownName, BadOption, BadInput: as `anybind_events.filter_events`.
        """
        return filter_events(self, filters)

    def flip_horizontally(self) -> Self:
        """Mirror left and right."""
        return self._replace_columns(x=self._mirror_coordinates(self.x, self.width))

    def flip_vertically(self) -> Self:
        """Mirror top and bottom."""
        return self._replace_columns(y=self._mirror_coordinates(self.y, self.height))

    @staticmethod
    def _mirror_coordinates(column: np.ndarray, size: int) -> np.ndarray:
        return np.subtract(np.uint16(size - 1), column)

    def flip_polarity(self) -> Self:
        """Swap ON and OFF events."""
        return self._replace_columns(p=~self.p)

    def flip_time(self) -> Self:
        """Reverse time between the same first and last time: ON events become OFF events."""
        reverse = slice(None, None, -1)
        time = (int(self.t[0]) + int(self.t[-1])) - self.t[reverse] if len(self) else self.t
        return self._replace_columns(x=self.x[reverse], y=self.y[reverse], t=time, p=~self.p[reverse])

    def crop(self, left: int, top: int, width: int, height: int) -> Self:
        """Crop to a window, whose corner becomes (0, 0).

        Raises:
            BadOption: the window exceeds the sensor, or is not of whole pixels.
        """
        left, top, width, height = (require_whole("crop", each) for each in (left, top, width, height))
        fits = 0 <= left < left + width <= self.width and 0 <= top < top + height <= self.height
        if not fits:
            raise BadOption(
                f"the window {width}x{height} at ({left}, {top}) exceeds the sensor {self.width}x{self.height}"
            )
        # Below the corner the unsigned difference wraps around, which is outside the window as well.
        x, y = self.x - np.uint16(left), self.y - np.uint16(top)
        selected = (x < width) & (y < height)
        return self.from_valid(x[selected], y[selected], self.t[selected], self.p[selected], width, height)

    def rescale(self, width: int, height: int) -> Self:
        """Rescale to another sensor size: x becomes floor(x * width / self.width), y likewise.

        Raises:
            BadOption: the sides are not whole numbers from 1 to 65,535.
        """
        width, height = convert_size(width, height, BadOption)
        columns = np.arange(self.width, dtype=np.int64) * width // self.width
        rows = np.arange(self.height, dtype=np.int64) * height // self.height
        x, y = columns.astype(np.uint16)[self.x], rows.astype(np.uint16)[self.y]
        return self.from_valid(x, y, self.t, self.p, width, height)

    def downsample(self, factor: int) -> Self:
        """Simulate a sensor with pixels `factor` times as wide and high, by integrate and fire.

        The ON minus OFF events in a block of pixels are summed, and each time the sum reaches factor squared in either
        direction the block emits one event and restarts at 0 ("event count" of Gruel et al., 2022).

        Raises:
            BadOption: the factor is not a whole number from 1 to 65,535.
        """
        if not 1 <= (factor := require_whole("factor", factor)) <= MAX_SENSOR:
            raise BadOption(f"expected a factor from 1 to {MAX_SENSOR}, got {factor}")
        from anybind_events.kernels import find_threshold_crossings

        coarse = self.rescale(-(-self.width // factor), -(-self.height // factor))
        x, y = self.x // np.uint16(factor), self.y // np.uint16(factor)
        crossings = find_threshold_crossings(x, y, self.p, coarse.width, coarse.height, factor * factor)
        return self.from_valid(
            x[crossings], y[crossings], self.t[crossings], self.p[crossings], coarse.width, coarse.height
        )

    def _replace_columns(self, **columns: np.ndarray) -> Self:
        x, y, t, p = (columns[name] if name in columns else getattr(self, name) for name in "xytp")
        return self.from_valid(x, y, t, p, self.width, self.height)


def concatenate_streams(streams: Sequence[EventStream]) -> EventStream:
    """Concatenate streams of one sensor in time.

    Raises:
        BadInput: there is no stream, the sensors differ, or a stream begins before the previous one ends.
    """
    if not streams:
        raise BadInput("expected at least one stream to concatenate")
    sizes = {(stream.width, stream.height) for stream in streams}
    if len(sizes) > 1:
        raise BadInput(f"expected streams of one sensor size, got {sorted(sizes)}")
    x, y, t, p = (np.concatenate([getattr(stream, name) for stream in streams]) for name in "xytp")
    require_order(t)
    return EventStream.from_valid(x, y, t, p, streams[0].width, streams[0].height)
