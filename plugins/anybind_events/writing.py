"""Recordings that are counted and written in parts, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, Reader, ReaderSpec, files, list_parts, readers
from anybind_events.readers.columns import join_streams
from anybind_events.stream import EventStream


class Totals:
    """Numbers of a recording whose parts pass through.

    Attributes:
        parts: how many parts there were.
        events, on_events: number of events, and of ON events.
        size: width and height of the sensor in pixels.
        start_us, end_us: times of the first and last event; None and 0 without events.
        notes: what the reader repaired or dropped, by name.
    """

    def __init__(self) -> None:
        self.parts = self.events = self.on_events = self.end_us = 0
        self.size = 0, 0
        self.start_us: int | None = None
        self.notes: Counter[str] = Counter()

    def count(self, streams: Iterable[EventStream]) -> Iterator[EventStream]:
        """Yield the parts of a recording as they are, and count them."""
        for stream in streams:
            self.parts, self.size = self.parts + 1, (stream.width, stream.height)
            self.notes.update(stream.notes)
            if len(stream):
                self.events, self.on_events = (
                    self.events + len(stream),
                    self.on_events + int(np.count_nonzero(stream.p)),
                )
                self.start_us = int(stream.t[0]) if self.start_us is None else self.start_us
                self.end_us = int(stream.t[-1])
            yield stream

    @property
    def duration_us(self) -> int:
        """Microseconds from the first event to the last; 0 without events."""
        return 0 if self.start_us is None else self.end_us - self.start_us


def find_writer(output: Path) -> readers.Part[ReaderSpec]:
    """Find the format that writes events to such a file; raises `BadInput` where none does."""
    formats = [part for part in list_parts(ReaderSpec) if part.spec.modality == "event"]
    able = [part for part in formats if part.load().write is not Reader.write]
    for part in able:
        if output.suffix.lower() in part.spec.suffixes:
            return part
    known = sorted({suffix for part in able for suffix in part.spec.suffixes})
    raise BadInput(f"cannot write events to {output}: no format of that ending is written (known: {', '.join(known)})")


def write_streams(streams: Iterator[EventStream], source: Path, output: Path, target: readers.Part[ReaderSpec]) -> None:
    """Write the parts of a recording, one after the other where the format can.

    Args:
        streams: the parts.
        source: the file that they come from, which errors in them name.
        output: the file to write, whole or not at all.
        target: its format.

    Raises:
        BadInput: what the parts raise, or the format cannot hold the recording.
    """
    writer: Reader = target.load()()
    with files.atomic_path(output) as temporary, target.explain_missing_extra():
        try:
            if type(writer).write_chunks is not Reader.write_chunks:
                writer.write_chunks(streams, temporary)
            else:
                writer.write(join_streams(list(streams)), temporary)
        except BadInput as error:  # a writer knows only the temporary path
            raise BadInput(str(error) if str(source) in str(error) else f"cannot write {output}: {error}") from error
