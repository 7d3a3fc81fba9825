"""Streams from and to what others have: NumPy structured arrays (of tonic, expelliarmus, ...) and torch tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from anybind.plugin import BadInput
from anybind_events.readers.columns import smallest_sensor
from anybind_events.stream import EventStream

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

TONIC = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.bool_)])
"""The layout of tonic's data sets."""


def is_structured(item: object) -> TypeGuard[np.ndarray]:
    """Whether it is a structured array (n,) with the fields `x`, `y`, `t` and `p`, in any order."""
    return isinstance(item, np.ndarray) and item.ndim == 1 and {*"xytp"} <= {*(item.dtype.names or ())}


def from_structured(table: np.ndarray, width: int | None = None, height: int | None = None) -> EventStream:
    """A stream over a structured array, without a copy where the fields have fitting types; see `EventStream`.

    Args:
        table: (n,), with the fields `x`, `y`, `t` (microseconds) and `p` (above 0: ON) in any order: tonic gives
            x, y, t, p and expelliarmus t, x, y, p.
        width: of the sensor, in pixels; given with `height`. By default the smallest size in use that holds all events,
            as for files that lack it. Give it where it is known: frames made of the events depend on it.
        height: of the sensor, in pixels.

    Raises:
        BadInput: a field is missing, the events are not in order of time or not on the sensor, or no sensor size is
            given and there are no events to take it from.
    """
    if not is_structured(table):
        names = table.dtype.names
        raise BadInput(f"expected a structured array (n,) of events with the fields x, y, t, p; got the fields {names}")
    if width is None or height is None:
        if not len(table):
            raise BadInput("the array holds no events to take the sensor size from; give width= and height=")
        width, height = smallest_sensor(float(table["x"].max()), float(table["y"].max()))
    return EventStream(table["x"], table["y"], table["t"], table["p"], width, height)


def to_structured(stream: EventStream, dtype: npt.DTypeLike = TONIC) -> np.ndarray:
    """One structured array, (n,), tonic's layout by default; a copy, since it interleaves the columns.

    Raises:
        BadInput: a coordinate does not fit the type of its field (int16 holds sensors up to 32768 pixels).
    """
    table = np.empty(len(stream), dtype)
    for name in "xytp":
        column = getattr(stream, name)
        table[name] = column
        if column.size and column.dtype.kind == "u" and int(table[name].max()) != int(column.max()):
            raise BadInput(f"{name} up to {int(column.max())} does not fit the field's type {table.dtype[name]}")
    return table


def to_torch(stream: EventStream) -> dict[str, torch.Tensor]:
    """Tensors `x`, `y` (uint16), `t` (int64), `p` (bool), on the stream's own memory: read them, do not write.

    Columns that lie inside a structured array, or backwards, are copied.
    """
    import torch

    def shared(column: np.ndarray) -> torch.Tensor:
        if column.strides[0] < 0 or column.strides[0] % column.itemsize:
            column = np.ascontiguousarray(column)  # torch knows no such steps
        # Torch warns of read-only memory; that memory is not to be written to is said above.
        interface = {**column.__array_interface__, "data": (column.__array_interface__["data"][0], False)}
        holder = type("Columns", (), {"__array_interface__": interface, "owner": column})()
        return torch.from_numpy(np.asarray(holder))

    return {name: shared(getattr(stream, name)) for name in "xytp"}
