"""Replay of recordings, as if a camera sent them now."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from anybind import read_chunks
from anybind.plugin import BadInput, BadOption, Item, readers
from anybind_events.live_source import LiveSource
from anybind_events.stream import EventStream

CHUNK_S, HEARTBEAT_S = 0.005, 0.1
"""Seconds of a chunk, as a camera's driver sends it, and between empty chunks while there are no events."""
READ_EVENTS = 1 << 18
"""Events that are read from the file at once."""


class Replay(LiveSource):
    """A recording of any format that can be read, sent in real time, faster, slower or at an event rate.

    The file is read in parts: it may be larger than memory.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        reader_options: Mapping[str, object] | None = None,
        *,
        speed: float | None = None,
        rate: float | None = None,
        loop: bool = False,
    ) -> None:
        """Set the recording and the speed.

        Args:
            path: the recording.
            reader_options: options of the reader.
            speed: seconds of the recording that are sent in a second; times stay those of the recording. 0: as fast as
                it can be read. [default: 1, real time]
            rate: send this many events per second on average, instead of `speed`: times are scaled to match, as of a
                sensor that records so many.
            loop: begin anew after the end, with times that continue.

        Raises:
            BadOption: both `speed` and `rate`, an invalid value, or an option that the reader does not take.
            BadInput: the file is missing or of an unknown format, or has no events.
        """
        if speed is not None and rate is not None:
            raise BadOption("give speed or rate, not both")
        for name, value in (("speed", speed), ("rate", rate)):
            valid = isinstance(value, int | float) and type(value) is not bool and 0 <= value < math.inf
            if value is not None and not (valid and (value or name == "speed")):
                raise BadOption(f"{name}: expected a number above 0, got {value!r}")
        if not isinstance(path, str | os.PathLike):
            raise BadOption(f"path: expected the path of a recording, got {path!r}")
        if not isinstance(loop, bool):
            raise BadOption(f"loop: expected true or false, got {loop!r}")
        if not isinstance(reader_options, Mapping | None):
            raise BadOption(f"reader_options: expected options by name, got {reader_options!r}")
        self._path, self._loop = Path(path), loop
        self._options = dict(reader_options or {})
        self._speed, self._rate = 1.0 if speed is None else float(speed), rate
        self._reader = readers.find_reader(self._path, "event", self._options)
        if self._reader.spec.modality != "event":
            raise BadInput(f"{path}: expected an event recording, got a file of {self._reader.spec.modality}")
        readers.add_options([Item(str(path), readers.SampleFile(self._path, self._reader))], self._options)
        self._closed = False
        self._start_s: float | None = None
        self._last_sent_s = 0.0

    @property
    def settings(self) -> Mapping[str, object]:
        return {
            "path": str(self._path),
            "speed": self._speed,
            "rate": self._rate,
            "loop": self._loop,
            "reader_options": self._options,
        }

    @property
    def start_s(self) -> float:
        """When the first event was due, in seconds of `time.monotonic`; 0 before the start."""
        return self._start_s or 0.0

    def close(self) -> None:
        self._closed = True

    def prepare(self) -> tuple[int, int] | None:
        for part in self._read():
            _ = part.x, part.y, part.t, part.p
            return part.width, part.height
        return None

    def chunks(self) -> Iterator[EventStream]:
        scale = 1.0 if self._rate is None else self._measure_rate() / self._rate
        shift, first = 0, None
        while not self._closed:
            last = None
            for part in self._read():
                t = part.t if scale == 1.0 else np.rint(part.t * scale).astype(np.int64)
                if not len(t):
                    continue
                first = int(t[0]) if first is None else first
                if last is None and shift:
                    shift += 1 - int(t[0])
                t = t + shift if shift else t
                last = int(t[-1])
                sent = EventStream.from_valid(part.x, part.y, t, part.p, part.width, part.height, part.notes)
                yield from self._send(sent, first)
            if last is None:
                raise BadInput(f"{self._path}: the recording is empty: it has no events")
            if not self._loop:
                return
            shift = last

    def _read(self) -> Iterator[EventStream]:
        return read_chunks(self._path, count=READ_EVENTS, reader=self._reader, **self._options)

    def _measure_rate(self) -> float:
        """Return the mean event rate of the recording, per second."""
        count, first, last = 0, 0, 0
        for part in self._read():
            if len(part):
                first, last = (first if count else int(part.t[0])), int(part.t[-1])
                count += len(part)
        return count / max(1, last - first + 1) * 1e6

    def _send(self, part: EventStream, first_us: int) -> Iterator[EventStream]:
        """Yield events, each chunk when its last event is due."""
        if not self._speed:
            yield part
            return
        if self._start_s is None:
            self._start_s = time.monotonic()
        step_us = CHUNK_S * self._speed * 1e6
        notes, low = part.notes, 0
        while low < len(part):
            number = (int(part.t[low]) - first_us) // step_us  # of the chunk
            high = max(low + 1, int(np.searchsorted(part.t, first_us + math.ceil((number + 1) * step_us))))
            due_s = self._start_s + (int(part.t[high - 1]) - first_us) / self._speed / 1e6
            while not self._closed and (wait_s := due_s - time.monotonic()) > 0:
                time.sleep(min(wait_s, HEARTBEAT_S))
                if wait_s > HEARTBEAT_S:
                    yield part.slice_events(0, 0)
            if self._closed:
                return
            yield part.slice_events(low, high).with_notes(notes, None)
            notes, low = {}, high
