"""Recordings as text: one event a line, columns between commas, semicolons, tabs or blanks."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, Reader
from anybind_events.readers.columns import (
    NANOSECONDS_FROM,
    check_order,
    check_unit,
    facts_of,
    find_columns,
    find_order,
    naming,
    streams_of,
    unit_in,
    whole,
)
from anybind_events.readers.text_lines import (
    COMMENTS,
    LONGEST_LINE,
    NUMBER,
    Layout,
    batches_of,
    fields_of,
    is_event,
    whole_lines,
)
from anybind_events.stream import MAX_SENSOR, EventStream

DELIMITERS = (b",", b";", b"\t")
"""What stands between columns, tried in this order; blanks otherwise."""
MOST_LINES_IN_FRONT = 1000
"""Lines of comment in front of the first event."""


class TextReader(Reader):
    """Four columns x, y, t and p in any order, with a header that names them or without one.

    Lines that begin with `#`, `%` or `//` are comments, but one in front may be the header. A first line of two
    numbers is the sensor's width and height. Times with fractions are seconds and others microseconds (nanoseconds
    from 10^17 on), unless the header says the unit, as in `t_ns` or `time [s]`. Polarities are 0 and 1, or -1 and 1.

    Written are `x,y,t,p` in whole numbers, times in microseconds, with tabs where the name ends in `.tsv`; the sensor's
    size is not.
    """

    def sniff(self, head: bytes) -> bool | None:
        """True for a header with the columns' names above such numbers; such numbers alone may be anything."""
        if b"\0" in head:
            return False
        whole = head[: head.rfind(b"\n") + 1] or head  # the last line may be cut
        try:
            layout = _find_layout(io.BytesIO(whole), None)
        except BadInput:
            return False
        rows = [fields_of(line, layout.delimiter) for line in whole[layout.start :].splitlines()]
        rows = [[float(row[place]) for place in layout.places] for row in rows if is_event(row, layout)]
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
        unit: str | None = None,
    ) -> Iterator[EventStream]:
        """Yield the recording in parts; `read` gives it whole.

        Args:
            path: the file.
            count: events in a part.
            strict: refuse a file that ends inside a line, of which else the events before are given.
            size: (width, height) of the sensor; by default what the first line says, else the smallest in use
                that holds all events.
            columns: what they are, such as `txyp`, with `-` for one to be passed over; by default what the
                header says, else found by what they hold.
            unit: of time: s, ms, us or ns; by default what the header says, else by the numbers.

        Raises:
            BadInput: a line is no event (the message says which), or no column can be time or polarity.
            BadOption: columns or a unit that are none.
        """
        check_unit(unit)
        with naming(path), path.open("rb") as file:
            layout = _find_layout(file, columns)
            stop, notes = whole_lines(path, file, layout, strict)
            try:
                yield from streams_of(
                    partial(batches_of, file, layout, stop),
                    count,
                    order=layout.order,
                    size=size or layout.size,
                    unit=unit or layout.unit,
                    notes=notes,
                )
            except BadInput as error:
                told = str(error)
                raise BadInput(told if "line" in told else f"{told} (event 0 is on line {layout.line})") from error

    read = whole(chunks)

    def write(self, sample: EventStream, path: Path) -> None:
        self.write_chunks([sample], path)

    def write_chunks(self, chunks: Iterable[EventStream], path: Path) -> None:
        """Write the parts of one recording, one after the other, so that it may be larger than memory.

        Raises:
            BadInput: a time is so late that it would be read as nanoseconds.
        """
        import polars

        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        with path.open("wb") as file:
            file.write(delimiter.join("xytp").encode() + b"\n")
            for part in chunks:
                if len(part) and part.t[-1] >= NANOSECONDS_FROM:
                    raise BadInput(f"text has room for times below {NANOSECONDS_FROM} us; write .h5 or .npz")
                columns = {"x": part.x, "y": part.y, "t": part.t, "p": part.p.view(np.uint8)}
                frame = polars.DataFrame({name: np.ascontiguousarray(column) for name, column in columns.items()})
                frame.write_csv(file, include_header=False, separator=delimiter)


def _find_layout(file: IO[bytes], columns: str | None) -> Layout:
    """How the file is written, by its lines up to the first event; raises `BadInput` where that is not to be seen."""
    names, size, start = None, None, 0
    for number in range(1, MOST_LINES_IN_FRONT):
        line = file.readline(LONGEST_LINE)
        bare = line.strip()
        fields = fields_of(bare, _delimiter(bare))
        if not line and names is None:
            break
        if line and (not bare or bare.startswith(COMMENTS)):
            names = names or _header(bare.lstrip(b"#%/ "))
        elif names or _are_numbers(fields, columns):
            if len(fields) != 2 or size or names:
                count = len(fields) if line else len(names or ())
                places, order = _places(columns, names, count, number)
                unit = unit_in(names[places[2]]) if names and len(names) == count else None
                return Layout(_delimiter(bare), places, order, count, unit, size, start, number, len(line) or 1)
            size = int(float(fields[0])), int(float(fields[1]))
        else:
            names = _header(bare)
            if names is None and columns is None:
                raise BadInput(f"line {number} is neither an event nor a header that names x, y, t and p")
        start += len(line)
    raise BadInput("it holds no events: there is no line of numbers")


def _are_numbers(fields: list[bytes], columns: str | None) -> bool:
    """Whether all fields are numbers, or those that are not to be passed over."""
    if columns and len(columns) == len(fields):
        fields = [field for field, letter in zip(fields, columns, strict=True) if letter != "-"]
    return all(map(NUMBER.fullmatch, fields))


def _delimiter(line: bytes) -> bytes:
    return next((each for each in DELIMITERS if each in line), b" ")


def _header(line: bytes) -> list[str] | None:
    """The names in a header; None where it does not name all four columns."""
    names = [name.decode(errors="replace").strip("\"'") for name in fields_of(line, _delimiter(line))]
    return names if find_columns(names) else None


def _places(columns: str | None, names: list[str] | None, count: int, line: int) -> tuple[tuple[int, ...], str | None]:
    """Which columns of a line are taken, and what they are, None where only their numbers can tell."""
    if columns is not None:
        check_order(columns.replace("-", ""))
        names = list(columns)
    if names and len(names) != count:
        raise BadInput(f"line {line} has {count} columns, where {len(names)} are named")
    found = find_columns(names or ())
    if found and names:
        return tuple(names.index(found[letter]) for letter in "xytp"), "xytp"
    if count != 4:
        raise BadInput(f"line {line} has {count} columns; say which they are with columns=, such as txyp or txy-p")
    return (0, 1, 2, 3), None


def _are_events(columns: list[np.ndarray], order: str | None) -> bool:
    """Whether some numbers can be events: pixels that are whole numbers from 0 on, polarities, times that rise."""
    facts = facts_of([columns])
    try:
        by_letter = dict(zip(order or find_order(facts), facts, strict=True))
    except BadInput:
        return False
    pixels = by_letter["x"], by_letter["y"]
    return by_letter["p"].flags and all(each.whole and each.low >= 0 and each.high < MAX_SENSOR for each in pixels)
