"""`EventStream`: what an event camera recorded, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybind import BadInput

MAX_SENSOR = 65_535
"""Widest sensor whose coordinates fit into uint16."""


@dataclass(frozen=True, eq=False)
class EventStream:
    """Events in the order of time. Checked when made; the columns are read-only.

    Attributes:
        x: (n,) uint16, column, 0 at the left, below `width`.
        y: (n,) uint16, row, 0 at the top, below `height`.
        t: (n,) int64, microseconds, never falling.
        p: (n,) bool, True where brightness rose; given as numbers, those above 0 did.
        width, height: sensor size in pixels.

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

    def __post_init__(self) -> None:
        if not (0 < self.width <= MAX_SENSOR and 0 < self.height <= MAX_SENSOR):
            raise BadInput(f"the sensor size {self.width}x{self.height} is not between 1 and {MAX_SENSOR} pixels")
        lengths = {name: np.shape(getattr(self, name)) for name in "xytp"}
        if len(set(lengths.values())) != 1 or len(lengths["x"]) != 1:
            raise BadInput(f"event columns must be of one length, got {lengths}")
        x, y, t = (_whole_numbers(name, getattr(self, name)) for name in "xyt")
        _require_inside("x", x, self.width)
        _require_inside("y", y, self.height)
        rose = np.asarray(self.p) > 0
        for name, given, dtype in (("x", x, np.uint16), ("y", y, np.uint16), ("t", t, np.int64), ("p", rose, np.bool_)):
            column = np.array(given, dtype=dtype)
            column.setflags(write=False)
            object.__setattr__(self, name, column)
        backwards = np.flatnonzero(self.t[1:] < self.t[:-1])
        if backwards.size:
            at = int(backwards[0])
            raise BadInput(f"time runs backwards at event {at + 1}: {self.t[at]} us, then {self.t[at + 1]} us")

    def __len__(self) -> int:
        return len(self.t)

    @property
    def duration_us(self) -> int:
        """Microseconds from the first event to the last; 0 without events."""
        return int(self.t[-1] - self.t[0]) if len(self) else 0

    def between(self, start: int, end: int) -> EventStream:
        """The events with start <= t < end, in microseconds."""
        first, last = np.searchsorted(self.t, (start, end))
        x, y, t, p = (column[first:last] for column in (self.x, self.y, self.t, self.p))
        return EventStream(x, y, t, p, self.width, self.height)

    def __repr__(self) -> str:
        return f"EventStream({len(self)} events, {self.width}x{self.height}, {self.duration_us} us)"


def _whole_numbers(name: str, column: np.ndarray) -> np.ndarray:
    """The column, checked: seconds taken for microseconds, or pixels between pixels, would be lost unseen."""
    column = np.asarray(column)
    if column.dtype.kind == "f":
        broken = np.flatnonzero(~(np.rint(column) == column) | (np.abs(column) >= 2.0**63))
        if broken.size:
            at = int(broken[0])
            raise BadInput(f"event {at}: {name} = {column[at]} is no whole number (times are in microseconds)")
    elif column.dtype.kind not in "biu":
        raise BadInput(f"the column {name} must hold numbers, not {column.dtype}")
    return column


def _require_inside(name: str, column: np.ndarray, size: int) -> None:
    outside = np.flatnonzero((column < 0) | (column >= size))
    if outside.size:
        at = int(outside[0])
        raise BadInput(f"event {at} lies outside the sensor: {name} = {column[at]}, but the size is {size}")
