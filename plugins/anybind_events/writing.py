"""Counting and writing of recordings in chunks, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from anybind.plugin import BadInput, BadOption, Reader, ReaderSpec, files, list_parts, readers
from anybind_events.readers.columns import join_streams
from anybind_events.stream import EventStream
from anybind_events.time_unit import FORMAT_UNIT

T = TypeVar("T")


class RecordingTotals:
    """Running statistics of a recording that is read in chunks.

    Attributes:
        n_chunks: number of chunks.
        events, on_events: number of events, and of ON events.
        size: sensor width and height in pixels.
        start_us, end_us: times of the first and last event; None and 0 without events.
        notes: counts of what the reader repaired or dropped, by name.
        time_unit: the unit that the times had in the file, and how it is known.
    """

    def __init__(self) -> None:
        self.n_chunks = self.events = self.on_events = self.end_us = 0
        self.size = 0, 0
        self.start_us: int | None = None
        self.notes: Counter[str] = Counter()
        self.time_unit = FORMAT_UNIT

    def count_chunks(self, streams: Iterable[EventStream]) -> Iterator[EventStream]:
        """Yield the chunks of a recording unchanged, and count them."""
        for stream in streams:
            self.n_chunks, self.size = self.n_chunks + 1, (stream.width, stream.height)
            self.notes.update(stream.notes)
            self.time_unit = stream.time_unit or self.time_unit
            if len(stream):
                self.events += len(stream)
                self.on_events += int(np.count_nonzero(stream.p))
                self.start_us = int(stream.t[0]) if self.start_us is None else self.start_us
                self.end_us = int(stream.t[-1])
            yield stream

    @property
    def duration_us(self) -> int:
        """Microseconds from the first event to the last; 0 without events."""
        return 0 if self.start_us is None else self.end_us - self.start_us


def track_progress(items: Iterable[T], advance: Callable[[int], None]) -> Iterator[T]:
    """Yield the items unchanged, and advance a progress bar by one for each."""
    for item in items:
        yield item
        advance(1)


def find_writer(output: Path, format: str = "") -> readers.Part[ReaderSpec]:
    """Find the format to write events in.

    Args:
        output: the file to write, whose suffix selects the format; for `.raw`, EVT2.
        format: the format by name (`evt3`) or by suffix, instead.

    Raises:
        BadInput: no format that can be written has the output's suffix.
        BadOption: no such format can be written, or its files have another suffix than the output.
    """
    if format:
        part, _ = find_format(format)
        if output.suffix.lower() not in (suffixes := part.spec.written_suffixes):
            raise BadOption(f"{output}: files of format {part.name!r} end in {' or '.join(suffixes)}")
        return part
    writers = _list_writers()
    for part in writers:
        if output.suffix.lower() in part.spec.written_suffixes:
            return part
    suffixes = sorted({suffix for part in writers for suffix in part.spec.written_suffixes})
    raise BadInput(f"{output}: not a format that events can be written to; supported: {', '.join(suffixes)}")


def find_format(format: str) -> tuple[readers.Part[ReaderSpec], str]:
    """Find a format that events can be written in, by its name or by a suffix, and the suffix of its files.

    Raises:
        BadOption: there is none.
    """
    writers, suffix = _list_writers(), "." + format.lower().removeprefix(".")
    for part in writers:
        if part.name == format:
            return part, part.spec.written_suffixes[0]
    for part in writers:
        if suffix in part.spec.written_suffixes:
            return part, suffix
    names = [part.name for part in writers]
    raise BadOption(f"events cannot be written in the format {format!r}; expected {', '.join(names)} or their suffixes")


def _list_writers() -> list[readers.Part[ReaderSpec]]:
    formats = [part for part in list_parts(ReaderSpec) if part.spec.modality == "event"]
    return [part for part in formats if part.load().write is not Reader.write]


def write_streams(streams: Iterator[EventStream], source: Path, output: Path, target: readers.Part[ReaderSpec]) -> None:
    """Write the chunks of a recording, one after the other if the format supports it.

    Args:
        streams: the chunks.
        source: the file that they come from, named in errors.
        output: the file to write; an interrupted write leaves no partial file.
        target: its format.

    Raises:
        BadInput: raised by the chunks, or the format cannot store the recording.
    """
    writer: Reader = target.load()()
    with files.atomic_path(output) as temporary, target.explain_missing_extra():
        try:
            if type(writer).write_chunks is not Reader.write_chunks:
                writer.write_chunks(streams, temporary)
            else:
                writer.write(join_streams(list(streams)), temporary)
        except BadInput as error:  # the writer only has the temporary path
            raise BadInput(str(error) if str(source) in str(error) else f"cannot write {output}: {error}") from error
