"""NPY recordings: one NumPy array, structured or of four columns."""

from __future__ import annotations

import ast
import contextlib
import io
import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, Reader
from anybind_events.readers.column_statistics import Batch
from anybind_events.readers.columns import (
    build_streams,
    check_options,
    find_columns,
    make_read_method,
    name_file_in_errors,
    reject_order,
    split_batches,
)
from anybind_events.readers.trailing import note_trailing_bytes
from anybind_events.sources import find_source_column, select_rows
from anybind_events.stream import EventStream
from anybind_events.time_unit import split_unit

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 10_000
"""Maximum size of an array header; NumPy's own limit."""
MAX_REASON = 200
"""Maximum number of characters that an error quotes of a header."""
LITERALS = re.compile(r"(?:[\s{}()\[\],:]|'[^'\\\n]*'|\"[^\"\\\n]*\"|-?\d+(?!\w)|(?:True|False|None)\b)*")
"""What a header may contain: a dictionary of texts, whole numbers, tuples and lists."""
OLD_TEXT = re.compile(r"[,:]\s*['\"][<>|=]?a\d*['\"]")
"""An alias of a type of texts, which NumPy does not write and warns of."""
LONG = re.compile(r"('[^']*'|\"[^\"]*\")|(?<=\d)L\b")
"""Texts, and the suffix of whole numbers in Python 2."""


class ArrayHeader(NamedTuple):
    """The header of an array.

    Attributes:
        dtype, shape, fortran_order: as in NumPy.
        n_bytes: length of the header: where the data begin.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran_order: bool
    n_bytes: int

    @property
    def data_bytes(self) -> int:
        """Number of data bytes that must follow."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def fields(self) -> dict[str, str] | None:
        """Names of the fields with x, y, t and p of a structured array of events; None otherwise."""
        return find_columns(self.dtype.names) if self.dtype.names and len(self.shape) == 1 else None

    @property
    def source_field(self) -> str | None:
        """Name of the field of a structured array with the source of each event; None if there is none."""
        return find_source_column(self.dtype.names or ())

    @property
    def has_four_columns(self) -> bool:
        """Whether it is a table of numbers with four columns."""
        return len(self.shape) == 2 and self.shape[1] == 4 and self.dtype.kind in "biuf"


def read_header(file: IO[bytes]) -> ArrayHeader:
    """Read an array header at the position of a file; raise `BadInput` if it is invalid or unsafe."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise BadInput(f"unsupported header version {version[0]}.{version[1]}; supported: 1.0, 2.0")
        n_bytes = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
        if n_bytes > MAX_HEADER_BYTES:
            raise BadInput(f"damaged header: {n_bytes} bytes, expected up to {MAX_HEADER_BYTES}")
        text = file.read(n_bytes).decode("latin1")
        if len(text) < n_bytes:
            raise BadInput(f"damaged header: truncated after {len(text)} of {n_bytes} bytes")
        dtype, shape, fortran = _parse_header(text)
    except BadInput:
        raise
    except Exception as error:  # a damaged description of a dtype can raise anything
        raise BadInput(f"damaged header: {' '.join(str(error).split())[:MAX_REASON]}") from error
    if dtype.hasobject:
        raise BadInput("contains Python objects, which are never unpickled; save plain numbers")
    if min(shape, default=0) < 0:
        raise BadInput(f"damaged header: the shape {shape}")
    return ArrayHeader(dtype, shape, fortran, file.tell())


def _parse_header(text: str) -> tuple[np.dtype, tuple[int, ...], bool]:
    """Parse a header; NumPy's own parser warns of some damage, and of headers that Python 2 wrote."""
    text = LONG.sub(lambda match: match[1] or "", text)
    if not LITERALS.fullmatch(text) or OLD_TEXT.search(text):
        raise ValueError(f"cannot parse {text.strip()!r}")
    fields = _evaluate(text.strip())
    descr, shape, fortran = (fields.pop(name) for name in ("descr", "shape", "fortran_order"))
    if fields or type(fortran) is not bool or not all(type(side) is int for side in (*shape,)):
        raise ValueError(f"invalid fields in {text.strip()!r}")
    return np.lib.format.descr_to_dtype(descr), tuple(shape), fortran


def _evaluate(text: str) -> dict[str, Any]:
    """Evaluate a literal; again where another thread parsed meanwhile, which CPython 3.11 reports as `SystemError`."""
    for _ in range(9):
        with contextlib.suppress(SystemError):
            return ast.literal_eval(text)
    return ast.literal_eval(text)


class NpyReader(Reader):
    """A reader of a structured array with x, y, t (or ts, ...) and p (or polarity, ...), or of an (n, 4) array.

    Times are microseconds, or seconds if they have fractions, unless the name or the type of their field states the
    unit. No pickle is ever read.
    """

    def sniff(self, head: bytes) -> bool | None:
        """Return True for a structured array of events; None for four columns, which may be anything."""
        if not head.startswith(MAGIC):
            return False
        try:
            header = read_header(io.BytesIO(head))
        except BadInput:
            return None  # reading then reports the error
        return True if header.fields else None if header.has_four_columns else False

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        columns: str | None = None,
        time_unit: str | None = None,
        scale: float | None = None,
        source: str | int | None = None,
        polarity: str | Sequence[int] | None = None,
        on_disorder: str = "clamp",
    ) -> Iterator[EventStream]:
        """Yield the recording in chunks; `read` returns it whole.

        Args:
            path: the file.
            count: events per chunk.
            strict: raise an error for a truncated file; by default the complete events before the end are returned.
            size: (width, height) of the sensor; default: the smallest common sensor that contains all events.
            columns: order of the columns of an (n, 4) array, such as `txyp`; default: inferred from their values.
            time_unit: unit of time: s, ms, us or ns; default: from the name or type of the field, else seconds for
                fractions and microseconds for whole numbers (nanoseconds from 10^17 on), with a warning if the event
                rate is implausible.
            source: value of the field `camera`, `sensor`, ...; required if the events have several.
            scale, polarity, on_disorder: see `anybind_events.readers.columns`.

        Raises:
            BadInput: the array is damaged, contains Python objects or no events, or with
                `on_disorder="error"` time decreases.
            BadOption: invalid columns, columns of an array that names them, an invalid scale or an unknown unit.
        """
        check_options(time_unit, scale, on_disorder, columns)
        with name_file_in_errors(path), path.open("rb") as file:
            header = read_header(file)
            rows, notes = _count_rows(path, header, os.fstat(file.fileno()).st_size, strict)
            batches = split_batches(lambda first, last: _read_batch(file, header, first, last), 0, rows)
            stated_unit = None
            if header.fields:
                reject_order(columns, header.fields.values())
                columns, (_, stated_unit) = "xytp", split_unit(header.fields["t"])
            yield from build_streams(
                select_rows(batches, path, source, has_sources=header.source_field is not None),
                count,
                order=columns,
                size=size,
                time_unit=time_unit,
                stated_unit=stated_unit,
                scale=scale,
                polarity=polarity,
                on_disorder=on_disorder,
                path=path,
                notes=notes,
            )

    read = make_read_method(chunks)


def list_fields(header: ArrayHeader) -> tuple[str, ...]:
    """Return the fields of a structured array to read: x, y, t, p, and that with the source of each event, if any."""
    fields = tuple((header.fields or {})[letter] for letter in "xytp")
    return fields if header.source_field is None else (*fields, header.source_field)


def _count_rows(path: Path, header: ArrayHeader, file_bytes: int, strict: bool) -> tuple[int, dict[str, int]]:
    """Return the number of complete events in the file, whatever its header states, and the notes about it."""
    if not (header.fields or header.has_four_columns):
        raise BadInput(f"expected an array of events, got shape {header.shape} and type {header.dtype}")
    expected_bytes, data_bytes = header.data_bytes, file_bytes - header.n_bytes
    if data_bytes >= expected_bytes:
        return header.shape[0], note_trailing_bytes(path, data_bytes - expected_bytes, strict)
    message = (
        f"{path}: truncated: {expected_bytes} bytes of events stated in the header, file ends at byte {file_bytes}"
    )
    if strict or header.fortran_order:  # column-major data have no complete event before their end
        raise BadInput(message)
    rows, rest_bytes = divmod(data_bytes, expected_bytes // header.shape[0])
    warnings.warn(f"{message}; the {rows} complete events are kept", AnybindWarning, stacklevel=2)
    return rows, {"truncated_bytes": rest_bytes}


def _read_batch(file: IO[bytes], header: ArrayHeader, first: int, last: int) -> Batch:
    """Read the columns of the events from `first` to before `last`."""
    if header.fortran_order and not header.fields:
        starts = (header.n_bytes + (header.shape[0] * i + first) * header.dtype.itemsize for i in range(4))
        return [_read_numbers(file, header.dtype, start, last - first) for start in starts]
    columns = 1 if header.fields else 4
    start = header.n_bytes + first * columns * header.dtype.itemsize
    table = _read_numbers(file, header.dtype, start, (last - first) * columns)
    if header.fields:
        return [table[name] for name in list_fields(header)]
    return list(table.reshape(-1, 4).T)


def _read_numbers(file: IO[bytes], dtype: np.dtype, start: int, count: int) -> np.ndarray:
    file.seek(start)
    return np.fromfile(file, dtype, count)
