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
from anybind_events.time_range import TimeRange
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
    absolute: bool = False,
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
        absolute: `start` and `end` are times on the recording's own clock.
        options: options of the reader.

    Raises:
        BadInput: the file cannot be read, has no events in the time range, or no format writes the output's suffix.
        BadOption: the reader has no such option, or a time range was given for a sample that is not a recording.
    """
    file, output = Path(file), Path(output)
    files.check_output(output)
    input_format = find_part(ReaderSpec, reader) if reader else readers.find_reader(file, options=options)
    recording, time_range = None, TimeRange(start, end, absolute)
    if input_format.spec.modality == "event":
        output_format, totals = find_writer(output), RecordingTotals()
        write_streams(
            totals.count_chunks(_read_streams(input_format, file, time_range, options)), file, output, output_format
        )
        recording = WrittenRecording(totals.events, *totals.size, dict(totals.notes))
    elif not time_range.is_whole:
        raise BadOption(f"--start and --end apply to event recordings; {file} is {input_format.spec.modality}")
    else:
        write(read(file, reader=input_format.name, **options), output)
    return Conversion(str(file), input_format.name, str(output), recording)


def _read_streams(
    input_format: readers.Part[ReaderSpec], file: Path, time_range: TimeRange, options: Mapping[str, Any]
) -> Iterator[EventStream]:
    """Yield the recording in chunks, restricted to a time range; raise `BadInput` if it has no events there."""
    if not time_range.is_whole and input_format.load().seeks:
        streams = read_chunks(file, reader=input_format.name, **options, **time_range._asdict())
    else:
        streams = time_range.select(read_chunks(file, reader=input_format.name, **options))
    empty = True
    for stream in streams:
        empty &= not len(stream)
        yield stream
    if empty and not time_range.is_whole:
        raise BadInput(f"{file}: no events {time_range.describe()}")
