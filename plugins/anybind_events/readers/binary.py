"""The base of the readers of binary event formats: a header, or none, and events to the end of the file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from io import BufferedReader
from pathlib import Path
from typing import IO, ClassVar

from anybind.plugin import Reader
from anybind_events.readers.blocks import Body, Columns, Run
from anybind_events.readers.halves import read_halves
from anybind_events.stream import MAX_SENSOR, EventStream, concatenate_streams

LONGEST_LINE = 1 << 16
"""Bytes after which a line of a header that has not ended is none."""


class BinaryReader(Reader):
    """A format whose events follow a header, or none, to the end of the file."""

    sensors: ClassVar[Sequence[tuple[int, int]]]
    """Sizes of sensors that record in this format, the smallest first."""

    @abstractmethod
    def body(self, file: IO[bytes], path: Path) -> Body:
        """Read the header of a file that stands at its beginning; raises `BadInput` where it makes no sense."""

    def _run(self, file: BufferedReader, path: Path, size: tuple[int, int] | None) -> Run:
        file.seek(0)
        return Run(file, path, self.body(file, path), size)

    def read(self, path: Path, *, size: tuple[int, int] | None = None, strict: bool = False) -> EventStream:
        """The recording. Its `notes` count what occurred of `clock_wraps`, `outside` (events dropped), `backwards`
        (events whose time was lifted), `truncated_bytes`, and what the format skips.

        Args:
            path: the file.
            size: (width, height) of the sensor, outside of which events are dropped. By default what the header
                says, else the smallest of the sensors in use that holds all events.
            strict: refuse a truncated file, of which else the whole events before the cut are given.

        Raises:
            BadInput: the file is corrupt (the message says at which byte), or has events outside every sensor.
            BadOption: a size that is none.
        """
        with path.open("rb") as file:
            run = self._run(file, path, size)
            run, columns = (read_halves(run, size) if run.paired else None) or _one_pass(run)
        run.end(strict)
        return columns.stream(run.size or run.smallest(self.sensors), run.notes())

    def chunks(
        self, path: Path, *, count: int, size: tuple[int, int] | None = None, strict: bool = False
    ) -> Iterator[EventStream]:
        """The recording in parts of `count` events, the last of what is left; otherwise as `read`.

        The notes of a part count what occurred since the one before. Where nothing says the sensor's size, the file
        is read twice.
        """
        with path.open("rb") as file:
            run = self._run(file, path, size)
            if run.size is None:
                while run.step(Columns(run, 0)):
                    pass
                run = self._run(file, path, run.smallest(self.sensors))
            yield from _regroup(run, count, strict)


def _one_pass(run: Run) -> tuple[Run, Columns]:
    with ThreadPoolExecutor(1) if run.paired else nullcontext() as pool:
        columns = Columns(run, run.bytes // run.decoder.event_bytes, pool)
        while run.step(columns):
            pass
    return run, columns


def _regroup(run: Run, count: int, strict: bool) -> Iterator[EventStream]:
    """The events of a run in parts of `count`: at least one part, which may be empty."""
    size = run.size or (MAX_SENSOR, MAX_SENSOR)
    held, total = [Columns(run, 0).stream(size, {})], 0
    told: dict[str, int] | None = None
    while run.step(columns := Columns(run, 0)):
        held.append(columns.stream(size, {}))
        total += len(held[-1])
        if total >= count:
            whole, total = concatenate_streams(held), total % count
            for first in range(0, len(whole) - total, count):
                yield _with_notes(whole.part(first, first + count), run.notes(), told or {})
                told = run.notes()
            held = [whole.part(len(whole) - total, len(whole))]
    run.end(strict)
    if total or run.notes() != told:
        yield _with_notes(concatenate_streams(held), run.notes(), told or {})


def _with_notes(part: EventStream, notes: Mapping[str, int], told: Mapping[str, int]) -> EventStream:
    fresh = {name: number - told.get(name, 0) for name, number in notes.items() if number > told.get(name, 0)}
    return EventStream.of_checked(part.x, part.y, part.t, part.p, part.width, part.height, fresh)


def header_lines(file: IO[bytes], mark: bytes, ends: Sequence[bytes] = ()) -> tuple[list[str], int]:
    """The lines at the beginning of a file that begin with `mark`, without it, and the byte behind them.

    A line that is one of `ends` is the last. Lines that hold a zero byte are data that happen to begin like one.
    """
    lines, start = [], 0
    while (line := file.readline(LONGEST_LINE)).startswith(mark) and line.endswith(b"\n") and b"\0" not in line:
        start += len(line)
        lines.append(line.removeprefix(mark).strip().decode(errors="replace"))
        if line.strip() in ends:
            break
    return lines, start
