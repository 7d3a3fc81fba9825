"""The base class of readers of binary event formats: an optional header, then events to the end of the file."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import IO, ClassVar

from anybind.plugin import BadInput, Reader
from anybind_events.event_columns import MAX_SENSOR
from anybind_events.readers.blocks import BLOCK_BYTES, BinaryHeader, DecodingPass, EventColumns, EventFile
from anybind_events.readers.halves import read_halves
from anybind_events.readers.unpacking import LAST_US
from anybind_events.stream import EventStream, concatenate_streams

AEDAT_MAGIC, AEDAT_VERSIONS = b"#!AER-DAT", (b"2.0", b"3.1", b"4.0")
PRINTABLE = re.compile(rb"[\t\r -~]{2,}")
"""Text on one line. Events that happen to begin with the prefix of a header have other bytes, or an end of line."""
MAX_LINE_BYTES = 1 << 16
"""Longest line that is treated as a header line."""


class BinaryReader(Reader):
    """A reader of a format whose events follow an optional header, to the end of the file."""

    sensors: ClassVar[Sequence[tuple[int, int]]]
    """Sizes of sensors that record in this format, the smallest first."""

    magic: ClassVar[bytes] = b""
    """First bytes of the format; empty if it has no signature."""

    def sniff(self, head: bytes) -> bool | None:
        if not self.magic:
            return None
        if head.startswith(AEDAT_MAGIC) and self.magic.startswith(AEDAT_MAGIC):
            version = head[len(AEDAT_MAGIC) : len(AEDAT_MAGIC) + 3]
            if len(version) == 3 and version not in AEDAT_VERSIONS:
                text = version.decode(errors="replace")
                raise BadInput(
                    f"expected AEDAT 2.0, 3.1 or 4.0, got AEDAT {text}; convert it to 2.0 by jAER, or to .csv"
                )
        return head.startswith(self.magic)

    @abstractmethod
    def parse_header(self, file: IO[bytes], path: Path) -> BinaryHeader:
        """Parse the header of a file at its beginning; raise `BadInput` if it is invalid."""

    def _start_pass(
        self, file: EventFile, path: Path, size: tuple[int, int] | None, **header_options: object
    ) -> DecodingPass:
        file.seek(0)
        return DecodingPass(file, path, self.parse_header(file, path, **header_options), size)

    def read(self, path: Path, *, size: tuple[int, int] | None = None, strict: bool = False) -> EventStream:
        """Read a recording.

        Its `notes` count what occurred of `clock_wraps`, `outside` (events dropped), `backwards` (events whose time was
        raised to the previous one), `truncated_bytes`, and what the format skips.

        Args:
            path: the file.
            size: (width, height) of the sensor, outside of which events are dropped; default: the header's, else the
                smallest common sensor that contains all events.
            strict: raise an error for a truncated file; by default the complete events before the end are returned.

        Raises:
            BadInput: the file is corrupt (the message names the byte), or has events outside every sensor.
            BadOption: an invalid size.
        """
        return self._read_events(path, size, strict)

    def _read_events(
        self, path: Path, size: tuple[int, int] | None, strict: bool, **header_options: object
    ) -> EventStream:
        with _open_recording(path) as file:
            decoding = self._start_pass(file, path, size, **header_options)
            decoding, columns = (read_halves(decoding, size) if decoding.parallel else None) or _read_sequentially(
                decoding
            )
        stream = columns.build_stream(
            decoding.size or decoding.find_smallest_sensor(self.sensors), decoding.collect_notes()
        )
        decoding.report_damage(strict, len(stream), stream.duration_us)
        return stream

    def chunks(
        self, path: Path, *, count: int, size: tuple[int, int] | None = None, strict: bool = False
    ) -> Iterator[EventStream]:
        """Yield the recording in chunks of `count` events, the last one with the remainder; otherwise as `read`.

        The notes of a chunk count what occurred since the previous chunk. If the sensor size is unknown, the file is
        read twice.
        """
        yield from self._read_chunks(path, count, size, strict)

    def _read_chunks(
        self, path: Path, count: int, size: tuple[int, int] | None, strict: bool, **header_options: object
    ) -> Iterator[EventStream]:
        with path.open("rb") as file:
            decoding = self._start_pass(file, path, size, **header_options)
            if decoding.size is None:
                decoding.decode_all(EventColumns(decoding, 0))
                decoding = self._start_pass(file, path, decoding.find_smallest_sensor(self.sensors), **header_options)
            yield from _split_chunks(decoding, count, strict)


def _open_recording(path: Path) -> EventFile:
    """Open a file. One of up to a block is read at once: for thousands of small files, system calls take the time."""
    descriptor = os.open(path, os.O_RDONLY)
    n_bytes = os.fstat(descriptor).st_size
    if n_bytes <= BLOCK_BYTES and len(data := os.read(descriptor, n_bytes)) == n_bytes:
        os.close(descriptor)
        return BytesIO(data)
    return os.fdopen(descriptor, "rb")


def _read_sequentially(decoding: DecodingPass) -> tuple[DecodingPass, EventColumns]:
    with ThreadPoolExecutor(1) if decoding.parallel else nullcontext() as pool:
        columns = EventColumns(decoding, decoding.n_bytes // decoding.decoder.event_bytes, pool)
        decoding.decode_all(columns)
    return decoding, columns


def _split_chunks(decoding: DecodingPass, count: int, strict: bool) -> Iterator[EventStream]:
    """Yield the decoded events in chunks of `count`: at least one chunk, which may be empty."""
    size = decoding.size or (MAX_SENSOR, MAX_SENSOR)
    pending, total, n_events, first_us = [EventColumns(decoding, 0).build_stream(size, {})], 0, 0, None
    previous: dict[str, int] | None = None
    while decoding.decode_block(columns := EventColumns(decoding, 0)):
        pending.append(columns.build_stream(size, {}))
        total, n_events = total + len(pending[-1]), n_events + len(pending[-1])
        first_us = int(pending[-1].t[0]) if first_us is None and len(pending[-1]) else first_us
        if total >= count:
            joined, total = concatenate_streams(pending), total % count
            for first in range(0, len(joined) - total, count):
                yield _attach_new_notes(
                    joined.slice_events(first, first + count), decoding.collect_notes(), previous or {}
                )
                previous = decoding.collect_notes()
            pending = [joined.slice_events(len(joined) - total, len(joined))]
    duration_us = int(decoding.counts[LAST_US]) + decoding.start_us - first_us if first_us is not None else 0
    decoding.report_damage(strict, n_events, duration_us)
    if total or decoding.collect_notes() != previous:
        yield _attach_new_notes(concatenate_streams(pending), decoding.collect_notes(), previous or {})


def _attach_new_notes(chunk: EventStream, notes: Mapping[str, int], previous: Mapping[str, int]) -> EventStream:
    notes = dict(Counter(notes) - Counter(previous))
    return EventStream.from_valid(chunk.x, chunk.y, chunk.t, chunk.p, chunk.width, chunk.height, notes)


def read_header_lines(file: IO[bytes], prefix: bytes, ends: Sequence[bytes] = ()) -> tuple[list[str], int]:
    """Return the lines at the beginning of a file that begin with `prefix`, without it, and the byte after them.

    A line that is one of `ends` is the last. Lines with a zero byte are data that happen to begin with the prefix.
    """
    lines, start = [], 0
    while (line := file.readline(MAX_LINE_BYTES)).startswith(prefix) and line.endswith(b"\n") and b"\0" not in line:
        start += len(line)
        lines.append(line.removeprefix(prefix).strip().decode(errors="replace"))
        if line.strip() in ends:
            break
    return lines, start


def check_header_end(file: IO[bytes], start: int, prefix: bytes, path: Path) -> None:
    """Raise `BadInput` for a file that ends inside a line of its header, which is not data; `start` is that line."""
    file.seek(start)
    line = file.read(MAX_LINE_BYTES)
    if line.startswith(prefix) and PRINTABLE.fullmatch(line):
        raise BadInput(f"{path}: truncated at byte {start + len(line)}, inside the header; copy the file again")
