"""Columns of event streams: their types, and checks of their values."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind_events.polarity import PolarityDecoder

MAX_SENSOR = 65_535
"""Largest sensor side whose coordinates fit into uint16."""
DTYPES = {"x": np.dtype(np.uint16), "y": np.dtype(np.uint16), "t": np.dtype(np.int64), "p": np.dtype(np.bool_)}


def parse_size(size: tuple[int, int] | str) -> tuple[int, int]:
    """Check a sensor size that a user gave: (width, height) in pixels, or a text such as `640x480`.

    Raises:
        BadOption: another text, or sides beyond 1 to 65,535 pixels.
    """
    sides = size.split("x") if isinstance(size, str) else size if isinstance(size, Sequence) else ()
    if len(sides) != 2 or not all(str(side).isdecimal() and 0 < int(side) <= MAX_SENSOR for side in sides):
        raise BadOption(f"size: expected width and height of 1 to {MAX_SENSOR} pixels, such as 640x480, got {size!r}")
    return int(sides[0]), int(sides[1])


def convert_whole(value: object) -> int | None:
    """Return a whole number of any type as an `int`: of NumPy's types products overflow. None for anything else."""
    if isinstance(value, float | np.floating):
        return int(value) if value.is_integer() else None
    try:
        return None if isinstance(value, bool | np.bool_) else operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return None


def convert_size(width: object, height: object, error: type[BadInput] | type[BadOption] = BadInput) -> tuple[int, int]:
    """Return a sensor size as two `int`; raise `error` unless they are whole numbers from 1 to 65,535."""
    size = [convert_whole(side) or 0 for side in (width, height)]
    if not all(0 < side <= MAX_SENSOR for side in size):
        raise error(f"invalid sensor size {width}x{height}: expected sides of 1 to {MAX_SENSOR} pixels")
    return size[0], size[1]


def require_whole(name: str, value: object) -> int:
    """Return a whole number as an `int`; raise `BadOption`, with the option's name, for anything else."""
    if (number := convert_whole(value)) is None:
        raise BadOption(f"{name}: expected a whole number, got {value!r}")
    return number


def select_indices(length: int, rows: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the indices of rows that are given by index, slice, indices or mask; raise `IndexError` for others."""
    indices = np.atleast_1d(np.arange(length)[rows])
    if indices.ndim != 1:
        raise IndexError(f"expected an index, a slice, indices or a mask, (n,), got shape {indices.shape}")
    return indices


class DecreasingTime(BadInput):
    """Events that are not in time order."""


class UnscaledPixel(BadInput):
    """A column or row in another unit than pixels: not a whole number, or beyond 16 bits."""


def convert_column(name: str, column: np.ndarray) -> np.ndarray:
    """Convert a column to its type of `DTYPES`; without a copy if the width and the values are the same."""
    dtype = DTYPES[name]
    if column.dtype == dtype:
        return column
    if name == "p":
        return PolarityDecoder().decode(column)
    if column.dtype.kind in "iu" and column.dtype.itemsize == dtype.itemsize and column.dtype.isnative:
        return column.view(dtype)  # the values were checked to be in range
    return column.astype(dtype)


def make_read_only(column: np.ndarray) -> np.ndarray:
    """Return a read-only view of an array."""
    if column.flags.writeable:
        column = column.view()
        column.setflags(write=False)
    return column


def require_whole_numbers(name: str, column: np.ndarray) -> None:
    """Raise `BadInput` for fractions: times in seconds, or sub-pixel coordinates, would be truncated silently."""
    if column.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # signalling NaN
            invalid = np.flatnonzero(~(np.rint(column) == column) | (np.abs(column) >= 2.0**63))
        if invalid.size:
            index = int(invalid[0])
            error = BadInput if name == "t" or not np.isfinite(column[index]) else UnscaledPixel
            raise error(f"event {index}: expected a whole number (times in microseconds), got {name} = {column[index]}")
    elif column.dtype.kind not in "biu":
        raise BadInput(f"column {name}: expected numbers, got {column.dtype}")
    elif column.dtype == np.uint64 and column.size and int(column.max()) > np.iinfo(np.int64).max:
        index = int(column.argmax())
        raise BadInput(f"event {index}: {name} = {column[index]} is too large")


def require_inside(name: str, column: np.ndarray, size: int) -> None:
    """Raise `BadInput` for a coordinate outside the sensor."""
    if not column.size or (column.max() < size and (column.dtype.kind in "bu" or column.min() >= 0)):
        return
    index = int(np.flatnonzero((column < 0) | (column >= size))[0])
    error = UnscaledPixel if column[index] > MAX_SENSOR else BadInput
    raise error(f"event {index} is outside the sensor: {name} = {column[index]}, expected below {size}")


def require_order(time: np.ndarray) -> None:
    """Raise `DecreasingTime` for times that decrease."""
    decreasing = time[1:] < time[:-1]
    if decreasing.any():
        index = int(decreasing.argmax())
        raise DecreasingTime(f"time decreases at event {index + 1}: {time[index]} us, then {time[index + 1]} us")
