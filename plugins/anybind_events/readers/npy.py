"""NPY recordings: one NumPy array, of events with fields or of four columns."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, Reader
from anybind_events.readers.columns import (
    Batch,
    batches_by,
    check_order,
    check_unit,
    find_columns,
    naming,
    streams_of,
    unit_in,
    whole,
)
from anybind_events.stream import EventStream

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
"""Bytes of the description in front of an array that are looked at; NumPy's own limit."""


class Header(NamedTuple):
    """What an array says about itself in front of its data.

    Attributes:
        dtype, shape, fortran: as NumPy has them.
        bytes: how long the header is: where the data begin.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    bytes: int

    @property
    def data_bytes(self) -> int:
        """How many bytes of data must follow."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def fields(self) -> dict[str, str] | None:
        """Names of the fields with x, y, t and p, where it is a list of events with such fields."""
        return find_columns(self.dtype.names) if self.dtype.names and len(self.shape) == 1 else None

    @property
    def four_columns(self) -> bool:
        """Whether it is a table of numbers with four columns."""
        return len(self.shape) == 2 and self.shape[1] == 4 and self.dtype.kind in "biuf"


def read_header(file: IO[bytes]) -> Header:
    """The header at the place where a file stands; raises `BadInput` when it is none that is safe to read."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise BadInput(f"its header is of version {version[0]}.{version[1]}, which no events are written in")
        first = version == (1, 0)
        parse = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = parse(file, max_header_size=LONGEST_HEADER)
    except BadInput:
        raise
    except Exception as error:  # a damaged description of a dtype can raise anything
        raise BadInput(f"its header is damaged: {' '.join(str(error).split())}") from error
    if dtype.hasobject:
        raise BadInput("it holds Python objects, which are never unpickled; save plain numbers")
    if min(shape, default=0) < 0:
        raise BadInput(f"its header is damaged: the shape {shape}")
    return Header(dtype, shape, fortran, file.tell())


class NpyReader(Reader):
    """An array of events with fields x, y, t (or ts, timestamp, ...) and p (or polarity, ...), or of shape (n, 4).

    Times are microseconds, or seconds where they have fractions. No pickle is ever read.
    """

    def sniff(self, head: bytes) -> bool | None:
        """True for a list of events with fields; four columns may be anything."""
        if not head.startswith(MAGIC):
            return False
        try:
            header = read_header(io.BytesIO(head))
        except BadInput:
            return None  # so that reading tells what is wrong with it
        return True if header.fields else None if header.four_columns else False

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        columns: str | None = None,
        unit: str | None = None,
    ) -> Iterator[EventStream]:
        """Yield the recording in parts; `read` gives it whole.

        Args:
            path: the file.
            count: events in a part.
            strict: refuse a truncated file, of which else the whole events before the cut are given.
            size: (width, height) of the sensor; by default the smallest in use that holds all events.
            columns: what those of an (n, 4) array are, such as `txyp`; found by what they hold by default.
            unit: of time: s, ms, us or ns; by default seconds where times have fractions, else microseconds.

        Raises:
            BadInput: the array is damaged, holds Python objects or no events, or time runs backwards.
            BadOption: columns or a unit that are none.
        """
        check_order(columns)
        check_unit(unit)
        with naming(path), path.open("rb") as file:
            header = read_header(file)
            rows, notes = _rows(path, header, os.fstat(file.fileno()).st_size, strict)
            batches = batches_by(lambda first, last: _batch(file, header, first, last), 0, rows)
            if header.fields:
                columns, unit = "xytp", unit or unit_in(header.fields["t"])
            yield from streams_of(batches, count, order=columns, size=size, unit=unit, notes=notes)

    read = whole(chunks)


def _rows(path: Path, header: Header, file_bytes: int, strict: bool) -> tuple[int, dict[str, int]]:
    """How many whole events the file holds, whatever its header claims, and what is to be noted of that."""
    if not (header.fields or header.four_columns):
        raise BadInput(f"it holds no events, but an array of shape {header.shape} and type {header.dtype}")
    claimed, held = header.data_bytes, file_bytes - header.bytes
    if held >= claimed:
        return header.shape[0], {}
    told = f"{path} is truncated: its header promises {claimed} bytes of events, and it ends at byte {file_bytes}"
    if strict or header.fortran:  # column after column, a cut leaves no whole event
        raise BadInput(told)
    rows, over = divmod(held, claimed // header.shape[0])
    warnings.warn(f"{told}; the {rows} whole events are kept", AnybindWarning, stacklevel=2)
    return rows, {"truncated_bytes": over}


def _batch(file: IO[bytes], header: Header, first: int, last: int) -> Batch:
    """The columns of events number `first` to `last`, read from the file."""
    if header.fortran and not header.fields:
        starts = (header.bytes + (header.shape[0] * i + first) * header.dtype.itemsize for i in range(4))
        return [_numbers(file, header.dtype, start, last - first) for start in starts]
    columns = 1 if header.fields else 4
    start = header.bytes + first * columns * header.dtype.itemsize
    table = _numbers(file, header.dtype, start, (last - first) * columns)
    if header.fields:
        return [table[header.fields[letter]] for letter in "xytp"]
    return list(table.reshape(-1, 4).T)


def _numbers(file: IO[bytes], dtype: np.dtype, start: int, count: int) -> np.ndarray:
    file.seek(start)
    return np.fromfile(file, dtype, count)
