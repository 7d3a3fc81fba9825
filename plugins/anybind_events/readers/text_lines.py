"""Parsing of text lines into columns of numbers."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput
from anybind_events.readers.column_statistics import Batch
from anybind_events.time_unit import TimeUnit

COMMENTS = (b"#", b"%", b"//")
MAX_LINE_BYTES = 1 << 16
MAX_BLOCK_BYTES = 1 << 24
"""Bytes of text that are parsed at once."""
MIN_SPLIT_BYTES = 1 << 12
"""Smaller texts are parsed line by line if the fast parser rejects them."""
SMALL_TYPES = tuple(map(np.dtype, ("u1", "i2", "u2", "i4", "i8")))
"""Types of whole numbers, which concatenate without becoming fractions."""
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
BOOLEAN = re.compile(rb"\b(?:true|false)\b", re.IGNORECASE)
INTEGER = re.compile(rb"[+-]?\d{1,19}")


class TextLayout(NamedTuple):
    """The layout of a file.

    Attributes:
        delimiter: column separator; a blank stands for any number of blanks.
        indices: indices of the four columns to read, and of that with the source of each event, if there is one.
        order: order of those four; None if it must be inferred from their numbers.
        n_fields: number of columns in a line.
        unit: unit of time, if a header or a comment names it.
        size: (width, height), if the first line is these two numbers.
        start, line: byte and number (from 1) of the first event's line.
        line_bytes: length of that line.
    """

    delimiter: bytes
    indices: tuple[int, ...]
    order: str | None
    n_fields: int
    unit: TimeUnit | None
    size: tuple[int, int] | None
    start: int
    line: int
    line_bytes: int


def split_fields(line: bytes, delimiter: bytes) -> list[bytes]:
    """Split a line into its columns, without blanks around them; quotes are dropped, and booleans are 0 and 1."""
    line = _replace_words(line)
    return line.split() if delimiter == b" " else [field.strip() for field in line.split(delimiter)]


def _replace_words(data: bytes) -> bytes:
    """Return lines without quotes around values, and booleans as 0 and 1, as pandas writes a column of them."""
    if b'"' in data:
        data = data.replace(b'"', b"")
    if b"e" in data or b"E" in data:
        data = BOOLEAN.sub(lambda match: b"1" if match[0].lower() == b"true" else b"0", data)
    return data


def is_event(fields: list[bytes], layout: TextLayout) -> bool:
    """Return whether a line has the expected number of columns, and numbers in those to read."""
    return len(fields) == layout.n_fields and all(NUMBER.fullmatch(fields[index]) for index in layout.indices)


def find_end_of_events(path: Path, file: IO[bytes], layout: TextLayout, strict: bool) -> tuple[int, dict[str, int]]:
    """Return the byte after the last complete event, and the notes about the data after it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(layout.start, size - MAX_LINE_BYTES))
    last = file.read().rpartition(b"\n")[2]
    is_complete = is_event(split_fields(last, layout.delimiter), layout)
    if is_complete or not last.strip() or last.lstrip().startswith(COMMENTS):
        return size, {}
    message = f"{path}: truncated at byte {size} inside a line: {last[:40].decode(errors='replace')!r}"
    if strict or len(last) == MAX_LINE_BYTES:
        raise BadInput(message)
    warnings.warn(f"{message}; the events before are kept", AnybindWarning, stacklevel=2)
    return size - len(last), {"truncated_bytes": len(last)}


def read_batches(file: IO[bytes], layout: TextLayout, stop: int, count: int) -> Iterator[Batch]:
    """Yield the columns in batches of about `count` events: at least one batch, which may be empty."""
    block = min(count * layout.line_bytes, MAX_BLOCK_BYTES)
    position, line, rest, is_empty = file.seek(layout.start), layout.line, b"", True
    while position < stop:
        file.seek(position)  # other batches may be read meanwhile
        data = rest + file.read(min(block, stop - position))
        position = file.tell()
        cut = data.rfind(b"\n") + 1 if position < stop else len(data)
        if not cut and len(data) > MAX_LINE_BYTES + block:
            raise BadInput(f"line {line}: longer than {len(data)} bytes")
        data, rest = data[:cut], data[cut:]
        if data.strip():
            yield parse_lines(data, line, layout)
            is_empty = False
        line += data.count(b"\n")
    if is_empty:
        yield [np.empty(0, np.int64)] * len(layout.indices)


def parse_lines(data: bytes, line: int, layout: TextLayout) -> Batch:
    """Parse the columns of complete lines, the first of which is number `line`."""
    columns = _parse_fast(data, layout)
    middle = data.find(b"\n", len(data) // 2) + 1
    if columns is not None:
        # Small types, since a whole file may be kept in memory.
        return [column.astype(_find_smallest_type(column), copy=False) for column in columns]
    if len(data) < MIN_SPLIT_BYTES or not 0 < middle < len(data):
        return _parse_line_by_line(data, line, layout)
    # Bisection: only the few lines around an error are parsed one by one.
    halves = (data[:middle], line), (data[middle:], line + data.count(b"\n", 0, middle))
    parsed = [parse_lines(half, first, layout) for half, first in halves if half]
    return [np.concatenate(parts) for parts in zip(*parsed, strict=True)]


def _find_smallest_type(column: np.ndarray) -> np.dtype:
    if column.dtype.kind != "i" or not column.size:
        return column.dtype
    low, high = int(column.min()), int(column.max())
    return next(each for each in SMALL_TYPES if np.iinfo(each).min <= low and high <= np.iinfo(each).max)


def _parse_fast(data: bytes, layout: TextLayout) -> list[np.ndarray] | None:
    """Parse the columns by polars; None if it rejects a line."""
    import polars

    if layout.delimiter == b" " and any(each in data for each in (b"  ", b"\t", b"\n ", b" \n", b" \r")):
        data = re.sub(rb"[ \t]+", b" ", data).replace(b"\n ", b"\n").replace(b" \r", b"\r").replace(b" \n", b"\n")
    data = _replace_words(data.strip())
    first = split_fields(data.partition(b"\n")[0], layout.delimiter)
    if len(first) != layout.n_fields:
        return None
    guessed = [polars.Int64 if INTEGER.fullmatch(field) else polars.Float64 for field in first]
    for types in (guessed, [polars.Float64] * layout.n_fields):
        schema = {str(i): types[i] if i in layout.indices else polars.String for i in range(layout.n_fields)}
        try:
            frame = polars.read_csv(
                data, has_header=False, schema=schema, separator=layout.delimiter.decode(), quote_char=None
            )
        except polars.exceptions.PolarsError:
            continue
        columns = [frame[str(index)] for index in layout.indices]
        if any(column.null_count() for column in columns):
            return None
        columns = [column.to_numpy() for column in columns]
        return columns if all(np.isfinite(column).all() for column in columns) else None
    return None


def _parse_line_by_line(data: bytes, line: int, layout: TextLayout) -> list[np.ndarray]:
    """Parse the columns in Python; raise `BadInput` with the number of an invalid line."""
    rows = []
    for number, text in enumerate(data.split(b"\n"), line):
        fields = split_fields(text, layout.delimiter)
        if not text.strip() or text.lstrip().startswith(COMMENTS):
            continue
        if len(fields) != layout.n_fields:
            raise BadInput(f"line {number}: expected {layout.n_fields} columns, got {len(fields)}")
        numbers = [fields[index] for index in layout.indices]
        invalid = next((field for field in numbers if not NUMBER.fullmatch(field)), None)
        if invalid is not None:
            raise BadInput(f"line {number}: expected a number, got {invalid[:40].decode(errors='replace')!r}")
        rows.append([int(field) if INTEGER.fullmatch(field) else float(field) for field in numbers])
    return (
        [np.array(column) for column in zip(*rows, strict=True)]
        if rows
        else [np.empty(0, np.int64)] * len(layout.indices)
    )
