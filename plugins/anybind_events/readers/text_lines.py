"""From lines of text to columns of numbers."""

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
from anybind_events.readers.columns import Batch

COMMENTS = (b"#", b"%", b"//")
LONGEST_LINE = 1 << 16
LARGEST_BLOCK = 1 << 24
"""Bytes of text that are parsed at once."""
FEW_BYTES = 1 << 12
"""Text that is parsed line by line where it cannot be parsed fast."""
SMALL_TYPES = tuple(map(np.dtype, ("u1", "i2", "u2", "i4", "i8")))
"""What whole numbers are kept as: types that go together without becoming fractions."""
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
WHOLE = re.compile(rb"[+-]?\d{1,19}")


class Layout(NamedTuple):
    """How a file is written.

    Attributes:
        delimiter: between columns; a blank stands for any number of blanks.
        places: of four columns among those of a line.
        order: what those four are; None where only their numbers can tell.
        fields: columns in a line.
        unit: of time, where a header says it.
        size: (width, height), where the first line is these two numbers.
        start, line: byte and number (from 1) of the first event's line.
        line_bytes: the length of that line.
    """

    delimiter: bytes
    places: tuple[int, ...]
    order: str | None
    fields: int
    unit: str | None
    size: tuple[int, int] | None
    start: int
    line: int
    line_bytes: int


def fields_of(line: bytes, delimiter: bytes) -> list[bytes]:
    """The columns of a line, without blanks around them."""
    return line.split() if delimiter == b" " else [field.strip() for field in line.split(delimiter)]


def is_event(fields: list[bytes], layout: Layout) -> bool:
    """Whether a line has as many columns as it should have, and numbers in the four that are taken."""
    return len(fields) == layout.fields and all(NUMBER.fullmatch(fields[place]) for place in layout.places)


def whole_lines(path: Path, file: IO[bytes], layout: Layout, strict: bool) -> tuple[int, dict[str, int]]:
    """The byte behind the last whole event, and what is to be noted of those behind it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(layout.start, size - LONGEST_LINE))
    last = file.read().rpartition(b"\n")[2]
    event = is_event(fields_of(last, layout.delimiter), layout)
    if event or not last.strip() or last.lstrip().startswith(COMMENTS):
        return size, {}
    told = f"{path} is truncated: it ends at byte {size} inside a line, {last[:40].decode(errors='replace')!r}"
    if strict or len(last) == LONGEST_LINE:
        raise BadInput(told)
    warnings.warn(f"{told}; the events before are kept", AnybindWarning, stacklevel=2)
    return size - len(last), {"truncated_bytes": len(last)}


def batches_of(file: IO[bytes], layout: Layout, stop: int, count: int) -> Iterator[Batch]:
    """The columns in batches of about `count` events: at least one batch, which may be empty."""
    block = min(count * layout.line_bytes, LARGEST_BLOCK)
    at, line, rest, empty = file.seek(layout.start), layout.line, b"", True
    while at < stop:
        data = rest + file.read(min(block, stop - at))
        at = file.tell()
        cut = data.rfind(b"\n") + 1 if at < stop else len(data)
        if not cut and len(data) > LONGEST_LINE + block:
            raise BadInput(f"line {line} does not end within {len(data)} bytes")
        data, rest = data[:cut], data[cut:]
        if data.strip():
            yield _parsed(data, line, layout)
            empty = False
        line += data.count(b"\n")
    if empty:
        yield [np.empty(0, np.int64)] * 4


def _parsed(data: bytes, line: int, layout: Layout) -> Batch:
    """The columns of whole lines, the first of which is number `line`."""
    columns = _parsed_fast(data, layout)
    middle = data.find(b"\n", len(data) // 2) + 1
    if columns is not None:
        # Small numbers as small types, since a whole file may be kept.
        return [column.astype(_smallest_type(column), copy=False) for column in columns]
    if len(data) < FEW_BYTES or not middle:
        return _parsed_line_by_line(data, line, layout)
    # What is amiss is in one half, and so on: only the few lines around it are looked at one by one.
    halves = (data[:middle], line), (data[middle:], line + data.count(b"\n", 0, middle))
    parsed = [_parsed(half, first, layout) for half, first in halves if half]
    return [np.concatenate(parts) for parts in zip(*parsed, strict=True)]


def _smallest_type(column: np.ndarray) -> np.dtype:
    if column.dtype.kind != "i" or not column.size:
        return column.dtype
    low, high = int(column.min()), int(column.max())
    return next(each for each in SMALL_TYPES if np.iinfo(each).min <= low and high <= np.iinfo(each).max)


def _parsed_fast(data: bytes, layout: Layout) -> list[np.ndarray] | None:
    """The columns by polars; None where it finds fault with a line."""
    import polars

    if layout.delimiter == b" " and any(each in data for each in (b"  ", b"\t", b"\n ", b" \n", b" \r")):
        data = re.sub(rb"[ \t]+", b" ", data).replace(b"\n ", b"\n").replace(b" \r", b"\r").replace(b" \n", b"\n")
    data = data.strip()
    first = fields_of(data.partition(b"\n")[0], layout.delimiter)
    if len(first) != layout.fields:
        return None
    guessed = [polars.Int64 if WHOLE.fullmatch(field) else polars.Float64 for field in first]
    for types in (guessed, [polars.Float64] * layout.fields):
        schema = {str(i): types[i] if i in layout.places else polars.String for i in range(layout.fields)}
        try:
            frame = polars.read_csv(
                data, has_header=False, schema=schema, separator=layout.delimiter.decode(), quote_char=None
            )
        except polars.exceptions.PolarsError:
            continue
        taken = [frame[str(place)] for place in layout.places]
        if any(column.null_count() for column in taken):
            return None
        columns = [column.to_numpy() for column in taken]
        return columns if all(np.isfinite(column).all() for column in columns) else None
    return None


def _parsed_line_by_line(data: bytes, line: int, layout: Layout) -> list[np.ndarray]:
    """The columns by Python; raises `BadInput` with the number of a line that is no event."""
    rows = []
    for number, text in enumerate(data.split(b"\n"), line):
        fields = fields_of(text, layout.delimiter)
        if not text.strip() or text.lstrip().startswith(COMMENTS):
            continue
        if len(fields) != layout.fields:
            raise BadInput(f"line {number} has {len(fields)} columns instead of {layout.fields}")
        taken = [fields[place] for place in layout.places]
        wrong = next((field for field in taken if not NUMBER.fullmatch(field)), None)
        if wrong is not None:
            raise BadInput(f"line {number}: {wrong[:40].decode(errors='replace')!r} is no number")
        rows.append([int(field) if WHOLE.fullmatch(field) else float(field) for field in taken])
    return [np.array(column) for column in zip(*rows, strict=True)] if rows else [np.empty(0, np.int64)] * 4
