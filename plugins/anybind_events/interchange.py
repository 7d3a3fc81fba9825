"""Conversion of event streams from and to NumPy structured arrays (tonic, expelliarmus, ...) and torch tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from anybind.plugin import BadInput, BadOption, modalities
from anybind_events.disorder import SORT_HINT, TimeOrder, build_ordered_stream
from anybind_events.event_columns import convert_size
from anybind_events.polarity import PolarityDecoder, PolarityOption
from anybind_events.readers.column_statistics import ColumnStatistics
from anybind_events.readers.columns import check_options, find_smallest_sensor, infer_unit, scale_coordinates
from anybind_events.sources import find_source_column, select_source
from anybind_events.stream import EventStream
from anybind_events.time_unit import TimeUnit, convert_to_microseconds

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

TONIC = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", np.bool_)])
"""Field layout of tonic's datasets."""
COLUMNS = np.dtype([("t", np.int64), ("x", np.uint16), ("y", np.uint16), ("p", np.bool_)])
"""The types of a stream's columns, which hold every event; in expelliarmus' order of fields."""


def is_structured(item: object) -> TypeGuard[np.ndarray]:
    """Return whether an item is a structured array (n,) with the fields `x`, `y`, `t` and `p`, in any order."""
    return isinstance(item, np.ndarray) and item.ndim == 1 and {*"xytp"} <= {*(item.dtype.names or ())}


def from_structured(
    table: np.ndarray,
    width: int | None = None,
    height: int | None = None,
    *,
    time_unit: str | None = None,
    scale: float | None = None,
    source: str | int | None = None,
    polarity: PolarityOption = None,
    on_disorder: str = "clamp",
) -> EventStream:
    """Convert a structured array to a stream, without a copy if the fields have fitting types; see `EventStream`.

    Args:
        table: (n,), with the fields `x`, `y`, `t` and `p` in any order: tonic gives x, y, t, p and expelliarmus
            t, x, y, p.
        width: sensor width in pixels, given with `height`; default: the smallest common sensor that contains all
            events. Give it if it is known: frames of the events depend on it.
        height: sensor height in pixels, given with `width`.
        time_unit: unit of time: s, ms, us or ns; default: that of a field of dates or durations, else seconds for
            fractions and microseconds for whole numbers (nanoseconds from 10^17 on), with a warning if the event rate
            is implausible.
        scale: factor of columns and rows before they are rounded down, such as 1 for sub-pixel coordinates, or
            0.0625 for 1/16 of a pixel.
        source: value of the field `camera`, `sensor`, ...; required if the events have several.
        polarity: the ON code, then the OFF code or codes, such as `"2,1"`; default: certain notations only (booleans, 0
            and 1, -1 and 1, also with -1 stored unsigned).
        on_disorder: for times that decrease: `clamp` raises them to the previous time and notes their number as
            `backwards`; `sort` sorts the events and notes it as `sorted`; `error` raises.

    Raises:
        BadInput: a field is missing, polarity codes are of uncertain meaning, events are outside the sensor or, with
            `on_disorder="error"`, not in time order, or there are no events and no sensor size.
        BadOption: an invalid option, or only one side of the sensor.
    """
    check_options(time_unit, scale, on_disorder)
    if not is_structured(table):
        names = table.dtype.names if isinstance(table, np.ndarray) else None
        content = f"the fields {', '.join(names)}" if names else modalities.describe_type(table)
        raise BadInput(f"expected a structured array (n,) of events with the fields x, y, t, p; got {content}")
    if (width is None) != (height is None):
        raise BadOption(f"expected width= and height= together, got width={width} and height={height}")
    if (field := find_source_column(table.dtype.names or ())) is not None:
        table = table[select_source(table[field], "event array", source)]
    if width is None or height is None:
        if not len(table):
            raise BadInput("the array has no events to infer the sensor size from; give width= and height=")
        sides = (scale_coordinates(float(table[name].max()), scale) for name in "xy")
        width, height = find_smallest_sensor(*sides)
    width, height = convert_size(width, height)
    notes: dict[str, int] = {}
    unit = TimeUnit(time_unit, "option") if time_unit else _infer_unit(table["t"], notes)
    columns = {
        "x": scale_coordinates(table["x"], scale),
        "y": scale_coordinates(table["y"], scale),
        "t": convert_to_microseconds(table["t"], unit.name),
        "p": PolarityDecoder(polarity).decode(table["p"]),
    }
    times = None if on_disorder == "sort" else TimeOrder()
    stream = build_ordered_stream(columns, width, height, on_disorder, times=times, notes=notes, time_unit=unit)
    if times:
        times.warn("event array", SORT_HINT)
    return stream


def _infer_unit(times: np.ndarray, notes: dict[str, int]) -> TimeUnit:
    """Return the unit of the times of an array, and add notes; whole numbers are judged by the first and the last."""
    is_whole, statistics = times.dtype.kind != "f", ColumnStatistics()
    for part in (times[:1], times[-1:]) if is_whole else (times,):
        statistics.add(part)
    return infer_unit(statistics, len(times), "event array", notes)


def to_structured(stream: EventStream, dtype: npt.DTypeLike = TONIC) -> np.ndarray:
    """Convert a stream to one structured array, (n,), by default in tonic's layout; a copy, as columns are interleaved.

    Raises:
        BadInput: a field is missing, or a coordinate or time does not fit the type of its field (int16 holds sensors
            up to 32768 pixels, int32 times up to 35 minutes).
    """
    table = np.zeros(len(stream), dtype)
    if not is_structured(table):
        raise BadInput(f"expected a structured type with the fields x, y, t, p, got {table.dtype}")
    for name in "xytp":
        column, field = getattr(stream, name), table.dtype[name]
        for bound in (column.min(), column.max()) if column.size else ():
            if not _fits(int(bound), field):
                raise BadInput(f"{name} of {int(bound)} does not fit the field's type {field}")
        table[name] = column
    return table


def _fits(value: int, dtype: np.dtype) -> bool:
    """Return whether a type of numbers has all whole numbers from 0 to this one."""
    if dtype.kind in "iu":
        return bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)
    if dtype.kind == "f":
        return abs(value) <= 2 ** (np.finfo(dtype).nmant + 1)
    return dtype.kind == "b" and value in (0, 1)


def to_torch(stream: EventStream) -> dict[str, torch.Tensor]:
    """Convert a stream to read-only tensors `x`, `y` (uint16), `t` (int64), `p` (bool) that share its memory.

    Columns with a negative or unaligned stride (of structured arrays, or reversed) are copied.
    """
    import torch

    def share_memory(column: np.ndarray) -> torch.Tensor:
        if column.strides[0] < 0 or column.strides[0] % column.itemsize:
            column = np.ascontiguousarray(column)  # torch supports no such strides
        # The writable flag avoids torch's warning about read-only memory.
        interface = {**column.__array_interface__, "data": (column.__array_interface__["data"][0], False)}
        holder = type("Columns", (), {"__array_interface__": interface, "owner": column})()
        return torch.from_numpy(np.asarray(holder))

    return {name: share_memory(getattr(stream, name)) for name in "xytp"}
