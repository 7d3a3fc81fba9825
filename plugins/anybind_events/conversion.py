"""Conversion of recordings and other samples from one file format to another."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anybind import AnybindError, read, read_chunks, write
from anybind.plugin import BadInput, BadOption, ReaderSpec, errors, files, find_part, readers
from anybind_events.batch import Batch, Sources, plan_outputs, process_files, require_single_file
from anybind_events.filter import Filter, Filters, create_filters, filter_chunks
from anybind_events.stream import EventStream
from anybind_events.time_range import TimeRange
from anybind_events.writing import RecordingTotals, find_format, find_writer, write_streams


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
    format: str = "",
    reader: str = "",
    start: int | None = None,
    end: int | None = None,
    absolute: bool = False,
    filters: Filters = (),
    **options: object,
) -> Conversion:
    """Convert a recording, or a sample of another modality, to another file format.

    Recordings are converted in chunks, in bounded memory if the output format supports it (`.h5`, `.raw`, `.aedat4`,
    text). `convert_folder` converts several.

    Args:
        file: the file to read.
        output: the file to write; an interrupted conversion leaves no partial file.
        format: format to write a recording in, by name such as `evt3`; default: by the output's suffix, EVT2 for
            `.raw`.
        reader: name of the reader; default: by content, then by file name.
        start: only events of a recording from this time on, in microseconds after the first event.
        end: only events of a recording before this time, in microseconds after the first event.
        absolute: `start` and `end` are times on the recording's own clock.
        filters: filters of the events, from the first one of the recording on; see `filter_events`.
        options: options of the reader.

    Raises:
        BadInput: the file cannot be read, has no events in the time range or after the filters, is the output of a part
            of it, or no format writes the output's suffix; or the format cannot represent the sensor size or the times:
            then nothing is written.
        BadOption: the reader has no such option, the format has another suffix or cannot be written, or a format, a
            time range or filters were given for a sample that is not a recording.
        UnknownName: no such filter is installed.
    """
    file, output, created = Path(file), Path(output), create_filters(filters)
    require_single_file(file, "convert_folder")
    recording, time_range = None, TimeRange.parse(start, end, absolute)
    loses_events = created or not time_range.is_whole  # a whole recording can be converted in place
    files.check_output(output, inputs=[file] if loses_events else [])
    input_format = find_part(ReaderSpec, reader) if reader else readers.find_reader(file, options=options)
    if input_format.spec.modality == "event":
        output_format, totals = find_writer(output, format), RecordingTotals()
        streams = _read_streams(input_format, file, time_range, created, options)
        write_streams(totals.count_chunks(streams), file, output, output_format)
        recording = WrittenRecording(totals.events, *totals.size, dict(totals.notes))
    elif not time_range.is_whole or format or created:
        raise BadOption(
            f"--format, --start, --end and --filter apply to event recordings; {file} is {input_format.spec.modality}"
        )
    else:
        write(read(file, reader=input_format.name, **options), output)
    return Conversion(str(file), input_format.name, str(output), recording)


def convert_folder(
    sources: Sources,
    output: str | os.PathLike[str],
    *,
    format: str,
    overwrite: bool = False,
    on_bad: errors.OnBad | None = None,
    **options: Any,
) -> Batch[Conversion]:
    """Convert the recordings in folders, or several files, each to a file in an output folder.

    The structure of the folders is kept. A later call continues an interrupted one: outputs of this format that are
    newer than their files are kept, whatever other options they were written with.

    Args:
        sources: a folder or file, or several.
        output: the output folder, made if it is missing.
        format: the format to write, by name (`evt3`) or suffix (`.h5`).
        overwrite: convert again what is already there.
        on_bad: called with the path and the error of a file that cannot be converted; without it, the error is raised.
        options: further arguments of `convert`.

    Raises:
        BadInput: a file cannot be converted, two files have the same output, or an output is a source.
        BadOption: no such format can be written, or an option is invalid.
    """
    part, suffix = find_format(format)
    plan = plan_outputs(sources, Path(output), suffix)

    def has_format(file: Path) -> bool:
        with contextlib.suppress(AnybindError):
            return readers.find_reader(file).name == part.name
        return False

    def convert_file(file: Path, target: Path) -> Conversion:
        return convert(file, target, format=part.name, **options)

    return process_files(plan, convert_file, "converting", is_complete=has_format, overwrite=overwrite, on_bad=on_bad)


def _read_streams(
    input_format: readers.Part[ReaderSpec],
    file: Path,
    time_range: TimeRange,
    filters: Sequence[Filter],
    options: Mapping[str, Any],
) -> Iterator[EventStream]:
    """Yield the recording in chunks, filtered, in a time range; raise `BadInput` if it has no events there."""
    if not time_range.is_whole and not filters and input_format.load().seeks:
        streams = read_chunks(file, reader=input_format.name, **options, **time_range._asdict())
    else:
        streams = read_chunks(file, reader=input_format.name, **options)
        streams = _filter_range(streams, time_range, filters) if filters else time_range.select(streams)
    empty = True
    for stream in streams:
        empty &= not len(stream)
        yield stream
    if empty and filters:
        raise BadInput(f"{file}: no events {time_range.describe()} are left by the filters")
    if empty and not time_range.is_whole:
        raise BadInput(f"{file}: no events {time_range.describe()}")


def _filter_range(
    streams: Iterator[EventStream], time_range: TimeRange, filters: Sequence[Filter]
) -> Iterator[EventStream]:
    """Yield the filtered events in a time range, which is relative to the first event before the filters."""
    seen: list[EventStream] = []
    for stream in streams:
        seen.append(stream)
        if len(stream):
            break
    first_us = int(seen[-1].t[0]) if seen and len(seen[-1]) else 0
    absolute = TimeRange(*time_range.resolve(first_us), absolute=True)
    return absolute.select(filter_chunks(itertools.chain(seen, streams), filters))
