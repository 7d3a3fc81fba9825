"""Conversion of recordings and other samples from one file format to another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anybind import read, read_chunks, write
from anybind.plugin import BadInput, BadOption, ReaderSpec, files, find_part, readers
from anybind_events.stream import EventStream
from anybind_events.writing import RecordingTotals, find_writer, write_streams


@dataclass(frozen=True)
class WrittenRecording:
    """Statistics of a written recording.

    Attributes:
        events: number of events.
        width, height: sensor size in pixels.
        notes: counts of what the reader repaired or dropped, by name (`clock_wraps`, `outside`, ...).
    """

    events: int
    width: int
    height: int
    notes: Mapping[str, int]


@dataclass(frozen=True)
class Conversion:
    """Result of a conversion.

    Attributes:
        file, output: the input file and the written file.
        format: name of the reader of `file`.
        recording: statistics of the written events; None for a sample of another modality.
    """

    file: str
    format: str
    output: str
    recording: WrittenRecording | None


def convert(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    reader: str = "",
    start: int | None = None,
    end: int | None = None,
    **options: Any,
) -> Conversion:
    """Convert a recording, or a sample of another modality, to the file format that the output's suffix names.

    Recordings are converted in chunks, in bounded memory if the output format supports it (`.h5`, text).

    Args:
        file: the file to read.
        output: the file to write; an interrupted conversion leaves no partial file.
        reader: name of the reader; default: by content, then by file name.
        start: only events of a recording from this time on, in microseconds after the first event.
        end: only events of a recording before this time, in microseconds after the first event.
        options: options of the reader.

    Raises:
        BadInput: the file cannot be read, has no events in the time range, or no format writes the output's suffix.
        BadOption: the reader has no such option, or a time range was given for a sample that is not a recording.
    """
    file, output = Path(file), Path(output)
    files.check_output(output)
    input_format = find_part(ReaderSpec, reader) if reader else readers.find_reader(file, options=options)
    recording = None
    if input_format.spec.modality == "event":
        output_format, totals = find_writer(output), RecordingTotals()
        write_streams(
            totals.count_chunks(_read_streams(input_format, file, start, end, options)), file, output, output_format
        )
        recording = WrittenRecording(totals.events, *totals.size, dict(totals.notes))
    elif start is not None or end is not None:
        raise BadOption(f"--start and --end apply to event recordings; {file} is {input_format.spec.modality}")
    else:
        write(read(file, reader=input_format.name, **options), output)
    return Conversion(str(file), input_format.name, str(output), recording)


def _read_streams(
    input_format: readers.Part[ReaderSpec], file: Path, start: int | None, end: int | None, options: Mapping[str, Any]
) -> Iterator[EventStream]:
    """Yield the recording in chunks, restricted to a time range after its first event."""
    if start is None and end is None:
        yield from read_chunks(file, reader=input_format.name, **options)
        return
    first_us = next(
        (int(stream.t[0]) for stream in read_chunks(file, reader=input_format.name, **options) if len(stream)), None
    )
    if first_us is None:
        raise BadInput(f"{file}: the recording is empty: it has no events")
    low, high = first_us + (start or 0), None if end is None else first_us + end
    if input_format.load().seeks:
        options = {**options, "start": low, "end": high}
    empty = True
    for stream in read_chunks(file, reader=input_format.name, **options):
        last_us = int(stream.t[-1]) if len(stream) else low
        selection = stream.between(low, last_us + 1 if high is None else high)
        empty &= not len(selection)
        yield selection
        if high is not None and last_us >= high:
            break
    if empty:
        end_text = "its end" if end is None else f"{end} us"
        raise BadInput(f"{file}: no events between {start or 0} us and {end_text}")
