"""Streams from and to what others have: NumPy structured arrays (tonic's among them) and torch tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from anybind.plugin import BadInput
from anybind_events.stream import EventStream

TONIC = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.bool_)])
"""The layout of tonic's data sets."""


def from_structured(table: np.ndarray, width: int, height: int) -> EventStream:
    """A stream over the fields `x`, `y`, `t` (microseconds), `p` of a structured array, in any order of fields.

    Fields of a fitting type are taken as they lie in the array's memory; see `EventStream`.

    Raises:
        BadInput: a field is missing, or the events are not in order or not on the sensor.
    """
    if table.dtype.names is None or not set("xytp") <= set(table.dtype.names):
        raise BadInput(f"a structured array of events has fields x, y, t, p; this one has {table.dtype.names}")
    return EventStream(table["x"], table["y"], table["t"], table["p"], width, height)


def to_structured(stream: EventStream, dtype: Any = TONIC) -> np.ndarray:
    """One structured array, (n,), tonic's layout by default; a copy, since it interleaves the columns.

    Raises:
        BadInput: a coordinate does not fit the type of its field (int16 holds sensors up to 32768 pixels).
    """
    table: Any = np.empty(len(stream), dtype)
    for name in "xytp":
        column = getattr(stream, name)
        table[name] = column
        if column.size and column.dtype.kind == "u" and int(table[name].max()) != int(column.max()):
            raise BadInput(f"{name} up to {int(column.max())} does not fit the field's type {table.dtype[name]}")
    return table


def to_torch(stream: EventStream) -> dict[str, Any]:
    """Tensors `x`, `y` (uint16), `t` (int64), `p` (bool), on the stream's own memory: read them, do not write.

    Columns that lie inside a structured array, or backwards, are copied.
    """
    import torch

    def shared(column: np.ndarray) -> Any:
        if column.strides[0] < 0 or column.strides[0] % column.itemsize:
            column = np.ascontiguousarray(column)  # torch knows no such steps
        # Torch warns of read-only memory; that memory is not to be written to is said above.
        interface = {**column.__array_interface__, "data": (column.__array_interface__["data"][0], False)}
        holder = type("Columns", (), {"__array_interface__": interface, "owner": column})()
        return torch.from_numpy(np.asarray(holder))

    return {name: shared(getattr(stream, name)) for name in "xytp"}
