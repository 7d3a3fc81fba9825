"""`EventStream`: what an event camera recorded, as columns."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from anybind.plugin import BadInput, BadOption, pages

MAX_SENSOR = 65_535
"""Widest sensor whose coordinates fit into uint16."""
PREVIEW = 320
"""Longest side of a stream's picture in a notebook, in pixels."""
DTYPES = {"x": np.dtype(np.uint16), "y": np.dtype(np.uint16), "t": np.dtype(np.int64), "p": np.dtype(np.bool_)}


@dataclass(frozen=True, eq=False)
class EventStream:
    """Events in the order of time. Checked when made; the columns are read-only.

    Columns that already have their type, or one of the same width that holds the same numbers, are taken as
    they are: without a copy, also from NumPy structured arrays and torch tensors on the CPU. Whoever made
    them must not change them afterwards.

    Attributes:
        x: (n,) uint16, column, 0 at the left, below `width`.
        y: (n,) uint16, row, 0 at the top, below `height`.
        t: (n,) int64, microseconds, never falling.
        p: (n,) bool, True where brightness rose; given as numbers, those above 0 did.
        width, height: sensor size in pixels.
        notes: what a reader counted on its way (`clock_wraps`, `outside`, ...), by name; parts of a stream
            carry none.

    Raises:
        BadInput: columns of different lengths or no whole numbers, a pixel outside the sensor, or time
            running backwards; the message says at which event.
    """

    x: np.ndarray
    y: np.ndarray
    t: np.ndarray
    p: np.ndarray
    width: int
    height: int
    notes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 < self.width <= MAX_SENSOR and 0 < self.height <= MAX_SENSOR):
            raise BadInput(f"the sensor size {self.width}x{self.height} is not between 1 and {MAX_SENSOR} pixels")
        given = {name: np.asarray(getattr(self, name)) for name in "xytp"}
        lengths = {name: column.shape for name, column in given.items()}
        if len(set(lengths.values())) != 1 or len(lengths["x"]) != 1:
            raise BadInput(f"event columns must be of one length, got {lengths}")
        for name in "xyt":
            _require_whole_numbers(name, given[name])
        _require_inside("x", given["x"], self.width)
        _require_inside("y", given["y"], self.height)
        for name, column in given.items():
            object.__setattr__(self, name, read_only(as_column(name, column)))
        _require_order(self.t)

    @classmethod
    def of_checked(
        cls,
        x: np.ndarray,
        y: np.ndarray,
        t: np.ndarray,
        p: np.ndarray,
        width: int,
        height: int,
        notes: Mapping[str, int] | None = None,
    ) -> Self:
        """A stream of columns that are known to be right (parts of a stream, a decoder's own): nothing is checked."""
        stream = object.__new__(cls)
        values = {"x": x, "y": y, "t": t, "p": p}
        for name, column in values.items():
            object.__setattr__(stream, name, read_only(column))
        for name, value in (("width", width), ("height", height), ("notes", notes or {})):
            object.__setattr__(stream, name, value)
        return stream

    def __len__(self) -> int:
        return len(self.t)

    def __repr__(self) -> str:
        return f"EventStream({len(self)} events, {self.width}x{self.height}, {self.duration_us} us)"

    def _repr_html_(self) -> str:
        """A picture of the event counts (ON red, OFF blue) with the numbers of the stream, for notebooks."""
        from anybind_events.representations.pictures import Tone, red_blue_picture

        side = max(self.width, self.height)
        small = self if side <= PREVIEW else self.rescale(*(-(-n * PREVIEW // side) for n in (self.width, self.height)))
        cells = small.y.astype(np.int64) * small.width + small.x
        off, on = counts = np.stack(
            [
                np.bincount(cells[small.p == polarity], minlength=small.width * small.height)
                for polarity in (False, True)
            ]
        ).reshape(2, small.height, small.width)
        picture = pages.image_uri(red_blue_picture(off, on, Tone.of([counts]).full), PREVIEW)
        return f'<figure><img src="{picture}" alt="event counts"><figcaption>{self!r}</figcaption></figure>'

    def __getitem__(self, events: int | slice | Sequence[int] | np.ndarray) -> Self:
        """Some events on the same sensor: one by its number, a slice, increasing numbers, or a boolean mask, (n,).

        Slices are views.

        Raises:
            IndexError: there is no event of that number, or the mask has another length.
            BadInput: the numbers are not in order of time.
        """
        if not isinstance(events, slice):
            events = np.atleast_1d(np.arange(len(self))[events])
        x, y, t, p = (column[events] for column in (self.x, self.y, self.t, self.p))
        _require_order(t)
        return self.of_checked(x, y, t, p, self.width, self.height)

    @property
    def duration_us(self) -> int:
        """Microseconds from the first event to the last; 0 without events."""
        return int(self.t[-1] - self.t[0]) if len(self) else 0

    def part(self, first: int, last: int) -> Self:
        """Events number `first` to `last`, the latter not included; a view. Numbers beyond the ends are cut off."""
        first, last = max(0, first), max(0, last)
        x, y, t, p = (column[first:last] for column in (self.x, self.y, self.t, self.p))
        return self.of_checked(x, y, t, p, self.width, self.height)

    def head(self, count: int) -> Self:
        """The first `count` events, a view."""
        return self.part(0, count)

    def between(self, start: int, end: int) -> Self:
        """The events with start <= t < end, in microseconds, a view."""
        return self.part(bisect.bisect_left(self.t, start), bisect.bisect_left(self.t, end))

    def chunks(self, *, count: int | None = None, duration: int | None = None) -> Iterator[Self]:
        """The stream in parts, views, in order: of `count` events, or of `duration` microseconds.

        The last part may be shorter; parts of a duration are counted from the first event, and those in which
        nothing happened are empty.

        Raises:
            BadOption: neither or both are given, or a number below 1.
        """
        if (count is None) == (duration is None):
            raise BadOption("give count= (events) or duration= (microseconds), and not both")
        if (count or duration or 0) < 1:
            raise BadOption(f"parts must be of at least 1, got {count if duration is None else duration}")
        return self._chunks(count, duration)

    def _chunks(self, count: int | None, duration: int | None) -> Iterator[Self]:
        if count is not None:
            for first in range(0, len(self), count):
                yield self.part(first, first + count)
        elif duration is not None and len(self):
            for start in range(int(self.t[0]), int(self.t[-1]) + 1, duration):
                yield self.between(start, start + duration)

    def flip_horizontally(self) -> Self:
        """Left becomes right."""
        return self._with(x=self._mirror(self.x, self.width))

    def flip_vertically(self) -> Self:
        """Top becomes bottom."""
        return self._with(y=self._mirror(self.y, self.height))

    @staticmethod
    def _mirror(column: np.ndarray, size: int) -> np.ndarray:
        return np.subtract(np.uint16(size - 1), column)

    def flip_polarity(self) -> Self:
        """Rises become falls."""
        return self._with(p=~self.p)

    def flip_time(self) -> Self:
        """The recording played backwards, from the same first to the same last time: rises become falls."""
        back = slice(None, None, -1)
        time = (int(self.t[0]) + int(self.t[-1])) - self.t[back] if len(self) else self.t
        return self._with(x=self.x[back], y=self.y[back], t=time, p=~self.p[back])

    def crop(self, left: int, top: int, width: int, height: int) -> Self:
        """The events in a window, whose corner becomes (0, 0).

        Raises:
            BadOption: the window does not lie on the sensor.
        """
        inside = 0 <= left < left + width <= self.width and 0 <= top < top + height <= self.height
        if not inside:
            raise BadOption(
                f"the window {width}x{height} at ({left}, {top}) does not lie on the sensor {self.width}x{self.height}"
            )
        # Below the corner, the difference of unsigned numbers goes round and is beyond the window as well.
        x, y = self.x - np.uint16(left), self.y - np.uint16(top)
        kept = (x < width) & (y < height)
        return self.of_checked(x[kept], y[kept], self.t[kept], self.p[kept], width, height)

    def rescale(self, width: int, height: int) -> Self:
        """All events on a sensor of another size: x becomes floor(x * width / self.width), y likewise."""
        if not (0 < width <= MAX_SENSOR and 0 < height <= MAX_SENSOR):
            raise BadOption(f"the sensor size {width}x{height} is not between 1 and {MAX_SENSOR} pixels")
        columns = np.arange(self.width, dtype=np.int64) * width // self.width
        rows = np.arange(self.height, dtype=np.int64) * height // self.height
        x, y = columns.astype(np.uint16)[self.x], rows.astype(np.uint16)[self.y]
        return self.of_checked(x, y, self.t, self.p, width, height)

    def downsample(self, factor: int) -> Self:
        """What a sensor with pixels `factor` times as wide and high would say: integrate and fire.

        The rises less the falls in a block of pixels are summed, and each time the sum reaches factor squared
        in either direction the block emits one event and starts at 0 again ("event count" of Gruel et al., 2022).
        """
        if factor < 1:
            raise BadOption(f"the factor must be at least 1, got {factor}")
        from anybind_events.kernels import fires

        coarse = self.rescale(-(-self.width // factor), -(-self.height // factor))
        x, y = self.x // np.uint16(factor), self.y // np.uint16(factor)
        kept = fires(x, y, self.p, coarse.width, coarse.height, factor * factor)
        return self.of_checked(x[kept], y[kept], self.t[kept], self.p[kept], coarse.width, coarse.height)

    def _with(self, **columns: np.ndarray) -> Self:
        x, y, t, p = (columns[name] if name in columns else getattr(self, name) for name in "xytp")
        return self.of_checked(x, y, t, p, self.width, self.height)


def concatenate_streams(streams: Sequence[EventStream]) -> EventStream:
    """Streams of one sensor, one after the other in time, as one.

    Raises:
        BadInput: there is none, the sensors differ, or one begins before the one in front of it ended.
    """
    if not streams:
        raise BadInput("there are no streams to put together")
    sizes = {(stream.width, stream.height) for stream in streams}
    if len(sizes) > 1:
        raise BadInput(f"streams of different sensors cannot be put together: {sorted(sizes)}")
    x, y, t, p = (np.concatenate([getattr(stream, name) for stream in streams]) for name in "xytp")
    _require_order(t)
    return EventStream.of_checked(x, y, t, p, streams[0].width, streams[0].height)


def as_column(name: str, column: np.ndarray) -> np.ndarray:
    """A column as its type of `DTYPES`, the same memory where that is of the same width and holds the same numbers."""
    wanted = DTYPES[name]
    if column.dtype == wanted:
        return column
    if name == "p":
        flags = column.dtype.itemsize == 1 and column.dtype.kind in "iu"
        return column.view(np.bool_) if flags and _all_flags(column) else column > 0
    if column.dtype.kind in "iu" and column.dtype.itemsize == wanted.itemsize and column.dtype.isnative:
        return column.view(wanted)  # no number is negative or too large: that was checked
    return column.astype(wanted)


def _all_flags(column: np.ndarray) -> bool:
    return not column.size or (int(column.min()) >= 0 and int(column.max()) <= 1)


def read_only(column: np.ndarray) -> np.ndarray:
    """The same memory behind an array that cannot be written to."""
    if column.flags.writeable:
        column = column.view()
        column.flags.writeable = False
    return column


def _require_whole_numbers(name: str, column: np.ndarray) -> None:
    """Seconds taken for microseconds, or pixels between pixels, would be lost unseen."""
    if column.dtype.kind == "f":
        broken = np.flatnonzero(~(np.rint(column) == column) | (np.abs(column) >= 2.0**63))
        if broken.size:
            at = int(broken[0])
            raise BadInput(f"event {at}: {name} = {column[at]} is no whole number (times are in microseconds)")
    elif column.dtype.kind not in "biu":
        raise BadInput(f"the column {name} must hold numbers, not {column.dtype}")
    elif column.dtype == np.uint64 and column.size and int(column.max()) > np.iinfo(np.int64).max:
        at = int(column.argmax())
        raise BadInput(f"event {at}: {name} = {column[at]} is too large")


def _require_inside(name: str, column: np.ndarray, size: int) -> None:
    if not column.size or (column.max() < size and (column.dtype.kind in "bu" or column.min() >= 0)):
        return
    at = int(np.flatnonzero((column < 0) | (column >= size))[0])
    raise BadInput(f"event {at} lies outside the sensor: {name} = {column[at]}, but the size is {size}")


def _require_order(time: np.ndarray) -> None:
    falls = time[1:] < time[:-1]
    if falls.any():
        at = int(falls.argmax())
        raise BadInput(f"time runs backwards at event {at + 1}: {time[at]} us, then {time[at + 1]} us")
