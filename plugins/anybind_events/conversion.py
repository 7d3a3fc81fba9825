"""Conversion of a recording, or of any other sample, from one file format to another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anybind import read, read_chunks, write
from anybind.plugin import BadInput, BadOption, ReaderSpec, files, find_part, readers
from anybind_events.stream import EventStream
from anybind_events.writing import Totals, find_writer, write_streams


@dataclass(frozen=True)
class Written:
    """The events that a conversion wrote.

    Attributes:
        events: their number.
        width, height: sensor size in pixels.
        notes: what the reader repaired or dropped, by name (`clock_wraps`, `outside`, ...).
    """

    events: int
    width: int
    height: int
    notes: Mapping[str, int]


@dataclass(frozen=True)
class Conversion:
    """A file that was converted.

    Attributes:
        file, output: what was read and written.
        format: name of the reader of `file`.
        recording: the events written; None for a sample of another modality.
    """

    file: str
    format: str
    output: str
    recording: Written | None


def convert(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    reader: str = "",
    start: int | None = None,
    end: int | None = None,
    **options: Any,
) -> Conversion:
    """Write a recording, or a sample of another modality, in the format that the output's ending names.

    Recordings are converted in parts, in bounded memory where the format is written in parts.

    Args:
        file: the file to read.
        output: the file to write, whole or not at all.
        reader: name of the reader. [default: by content, then by file name]
        start: only events of a recording from this time on, in microseconds after the first event.
        end: only events of a recording before this time, in microseconds after the first event.
        options: of the reader.

    Raises:
        BadInput: the file cannot be read, has no events in that time, or no format of the output's ending is written.
        BadOption: an option that the reader does not take, or a time range of something that is no recording.
    """
    file, output = Path(file), Path(output)
    files.check_output(output)
    source = find_part(ReaderSpec, reader) if reader else readers.find_reader(file)
    written = None
    if source.spec.modality == "event":
        target, totals = find_writer(output), Totals()
        write_streams(totals.count(_streams(source, file, start, end, options)), file, output, target)
        written = Written(totals.events, *totals.size, dict(totals.notes))
    elif start is not None or end is not None:
        raise BadOption(f"--start and --end are for recordings of event cameras; {file} holds {source.spec.modality}")
    else:
        write(read(file, reader=source.name, **options), output)
    return Conversion(str(file), source.name, str(output), written)


def _streams(
    source: readers.Part[ReaderSpec], file: Path, start: int | None, end: int | None, options: Mapping[str, Any]
) -> Iterator[EventStream]:
    """The recording in parts, or what of it is between two times after its first event."""
    if start is None and end is None:
        yield from read_chunks(file, reader=source.name, **options)
        return
    first = _first_time(source, file, options)
    low, high = first + (start or 0), None if end is None else first + end
    if source.load().seeks:
        options = {**options, "start": low, "end": high}
    empty = True
    for stream in read_chunks(file, reader=source.name, **options):
        last = int(stream.t[-1]) if len(stream) else low
        chosen = stream.between(low, last + 1 if high is None else high)
        empty &= not len(chosen)
        yield chosen
        if high is not None and last >= high:
            break
    if empty:
        until = "its end" if end is None else f"{end} us"
        raise BadInput(f"{file} has no events between {start or 0} us and {until}")


def _first_time(source: readers.Part[ReaderSpec], file: Path, options: Mapping[str, Any]) -> int:
    for stream in read_chunks(file, reader=source.name, **options):
        if len(stream):
            return int(stream.t[0])
    raise BadInput(f"{file} is an empty recording: it holds no events")
