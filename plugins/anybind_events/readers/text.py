"""Text recordings: one event per line, columns separated by commas, semicolons, tabs or blanks."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, Reader
from anybind_events.event_columns import MAX_SENSOR
from anybind_events.readers.column_statistics import MIN_JUDGED_EVENTS, compute_statistics, infer_column_order
from anybind_events.readers.columns import (
    build_streams,
    check_options,
    check_order,
    find_columns,
    make_read_method,
    name_file_in_errors,
)
from anybind_events.readers.text_lines import (
    COMMENTS,
    MAX_LINE_BYTES,
    NUMBER,
    TextLayout,
    find_end_of_events,
    is_event,
    read_batches,
    split_fields,
)
from anybind_events.sources import find_source_column, select_rows
from anybind_events.stream import EventStream
from anybind_events.time_unit import (
    NANOSECONDS_FROM,
    UNIT_COMMENT,
    parse_unit,
    split_unit,
)

DELIMITERS = (b",", b";", b"\t")
"""Column separators, tried in this order; blanks otherwise."""
GEOMETRY = re.compile(rb"\b(?:geometry|resolution)\s*[:=]?\s*(\d{1,5})\s*[,x]\s*(\d{1,5})\b", re.IGNORECASE)
"""Sensor width and height in a comment, such as `%geometry:1280,720`."""
MAX_HEADER_LINES = 1000
"""Maximum number of comment lines before the first event."""


class TextReader(Reader):
    """A reader of four columns x, y, t and p in any order, with or without a header that names them.

    Lines that begin with `#`, `%` or `//` are comments; one before the events may be the header. A first line of
    two numbers, or `geometry:WIDTH,HEIGHT` in a comment, is the sensor's width and height. Times with fractions are
    seconds and others microseconds (nanoseconds from 10^17 on), unless the header names the unit, as in `t_ns` or
    `time [s]`, or a comment does, as in `time_unit: ns`. Polarities are 0 and 1, or -1 and 1, the latter also with -1
    stored unsigned; the option `polarity` names others.

    The written format is `x,y,t,p` in whole numbers, times in microseconds, with tabs for the suffix `.tsv`; it has no
    sensor size.
    """

    def sniff(self, head: bytes) -> bool | None:
        """Return True for a header of the column names above event values; None for event values without a header."""
        if b"\0" in head:
            return False
        complete = head[: head.rfind(b"\n") + 1] or head  # the last line may be incomplete
        try:
            layout = find_layout(io.BytesIO(complete), None)
        except BadInput:
            return False
        rows = [split_fields(line, layout.delimiter) for line in complete[layout.start :].splitlines()]
        rows = [[float(row[index]) for index in layout.indices[:4]] for row in rows if is_event(row, layout)]
        if not _are_events(list(np.array(rows, float).reshape(-1, 4).T), layout.order):
            return False
        return True if layout.order else None

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
            strict: raise an error for a file that ends inside a line; by default the events before it are returned.
            size: (width, height) of the sensor; default: from the first line, else the smallest common sensor that
                contains all events.
            columns: order of the columns, such as `txyp`, with `-` for one to skip; default: from the header, else
                inferred from their values.
            time_unit: unit of time: s, ms, us or ns; default: from the header or a comment, else seconds for fractions
                and microseconds for whole numbers (nanoseconds from 10^17 on), with a warning if the event rate is
                implausible.
            source: number in the column `camera`, `sensor`, ... of a header; required if the events have several.
            scale, polarity, on_disorder: see `anybind_events.readers.columns`.

        Raises:
            BadInput: a line is not an event (the message names it), or no column can be time or polarity.
            BadOption: invalid columns, an invalid scale or an unknown unit.
        """
        check_options(time_unit, scale, on_disorder)
        with name_file_in_errors(path), path.open("rb") as file:
            layout = find_layout(file, columns)
            stop, notes = find_end_of_events(path, file, layout, strict)
            batches = partial(read_batches, file, layout, stop)
            try:
                yield from build_streams(
                    select_rows(batches, path, source, has_sources=len(layout.indices) > len("xytp")),
                    count,
                    order=layout.order,
                    size=size,
                    stated_size=layout.size,
                    time_unit=time_unit,
                    stated_unit=layout.unit,
                    scale=scale,
                    polarity=polarity,
                    on_disorder=on_disorder,
                    path=path,
                    notes=notes,
                )
            except BadInput as error:
                message = str(error)
                raise BadInput(
                    message if "line" in message else f"{message} (event 0 is on line {layout.line})"
                ) from error

    read = make_read_method(chunks)

    def write(self, sample: EventStream, path: Path) -> None:
        self.write_chunks([sample], path)

    def write_chunks(self, chunks: Iterable[EventStream], path: Path) -> None:
        """Write the chunks of one recording, one after the other, so that it may be larger than memory.

        Raises:
            BadInput: a time is so large that it would be read as nanoseconds.
        """
        import polars

        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        with path.open("wb") as file:
            file.write(delimiter.join("xytp").encode() + b"\n")
            for chunk in chunks:
                if len(chunk) and chunk.t[-1] >= NANOSECONDS_FROM:
                    raise BadInput(f"text supports times below {NANOSECONDS_FROM} us; write .h5 or .npz")
                columns = {"x": chunk.x, "y": chunk.y, "t": chunk.t, "p": chunk.p.view(np.uint8)}
                frame = polars.DataFrame({name: np.ascontiguousarray(column) for name, column in columns.items()})
                frame.write_csv(file, include_header=False, separator=delimiter)


def find_layout(file: IO[bytes], columns: str | None) -> TextLayout:
    """Find the layout from the lines up to the first event; raise `BadInput` if it is ambiguous."""
    names, size, start, unit = None, None, 0, None
    for number in range(1, MAX_HEADER_LINES):
        line = file.readline(MAX_LINE_BYTES)
        if number == 1 and line.startswith(codecs.BOM_UTF8):
            line, start = line.removeprefix(codecs.BOM_UTF8), len(codecs.BOM_UTF8)
        text = line.strip()
        fields = split_fields(text, _find_delimiter(text))
        if not line and names is None:
            break
        if line and (not text or text.startswith(COMMENTS)):
            names = names or _parse_header(text.lstrip(b"#%/ "))
            if geometry := GEOMETRY.search(text):
                size = int(geometry[1]), int(geometry[2])
            if comment := UNIT_COMMENT.search(text.decode(errors="replace")):
                unit = parse_unit(comment[1], "comment")
        elif names or _are_numbers(fields, columns):
            if len(fields) != 2 or size or names:
                count = len(fields) if line else len(names or ())
                places, order = _match_columns(columns, names, count, number)
                named_unit = split_unit(names[places[2]])[1] if names and len(names) == count else None
                unit = named_unit or unit
                return TextLayout(
                    _find_delimiter(text), places, order, count, unit, size, start, number, len(line) or 1
                )
            sides = float(fields[0]), float(fields[1])
            if not 0 < max(sides) <= MAX_SENSOR:
                raise BadInput(f"line {number}: expected width and height of a sensor, or an event")
            size = int(sides[0]), int(sides[1])
        else:
            names = _parse_header(text)
            if names is None and columns is None:
                raise BadInput(f"line {number}: expected an event, or a header that names x, y, t and p")
        start += len(line)
    raise BadInput("no events: the file has no line of numbers")


def _are_numbers(fields: list[bytes], columns: str | None) -> bool:
    """Return whether all fields are numbers, except those to skip."""
    if columns and len(columns) == len(fields):
        fields = [field for field, letter in zip(fields, columns, strict=True) if letter != "-"]
    return all(map(NUMBER.fullmatch, fields))


def _find_delimiter(line: bytes) -> bytes:
    return next((each for each in DELIMITERS if each in line), b" ")


def _parse_header(line: bytes) -> list[str] | None:
    """Return the names in a header; None if it does not name all four columns."""
    names = [name.decode(errors="replace").strip("\"'") for name in split_fields(line, _find_delimiter(line))]
    return names if find_columns(names) else None


def _match_columns(
    columns: str | None, names: list[str] | None, count: int, line: int
) -> tuple[tuple[int, ...], str | None]:
    """Return the indices of the columns to read, and their order; None if it must be inferred from their numbers."""
    if columns is not None:
        check_order(columns.replace("-", ""))
        names = list(columns)
    if names and len(names) != count:
        raise BadInput(f"line {line}: expected {len(names)} columns, got {count}")
    matches = find_columns(names or ())
    if matches and names:
        places = [names.index(matches[letter]) for letter in "xytp"]
        if (source := find_source_column(names)) is not None:
            places.append(names.index(source))
        return tuple(places), "xytp"
    if count != 4:
        raise BadInput(f"line {line}: expected 4 columns, got {count}; name them with columns=, such as txyp or txy-p")
    return (0, 1, 2, 3), None


def _are_events(columns: list[np.ndarray], order: str | None) -> bool:
    """Return whether numbers can be events: non-negative pixels, polarities, times that do not decrease."""
    statistics = compute_statistics([columns])
    try:
        by_letter = dict(zip(order or infer_column_order(statistics), statistics, strict=True))
    except BadInput:
        return False
    pixels = by_letter["x"], by_letter["y"]
    # Sub-pixel coordinates below a header, and polarity codes of uncertain meaning, are errors of reading.
    is_named, polarity = order is not None, by_letter["p"]
    is_long = is_named and polarity.n_numbers >= MIN_JUDGED_EVENTS
    return (polarity.is_binary or polarity.has_two_codes or is_long) and all(
        each.low >= 0 and ((is_named and polarity.is_binary) or (each.is_integer and each.high < MAX_SENSOR))
        for each in pixels
    )
