"""AEDAT 3.1 recordings of cAER (`.aedat`): a text header, then packets of events of one type each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, BadOption, kernel
from anybind_events.readers.aedat2 import find_sensor
from anybind_events.readers.binary import BinaryReader, check_header_end, read_header_lines
from anybind_events.readers.blocks import FIRST_FREE, PENDING, UNREAD, BinaryHeader, BlockDecoder, PixelPacking
from anybind_events.sources import choose_source
from anybind_events.stream import EventStream
from anybind_events.time_range import TimeRange, select_times

MAGIC = b"#!AER-DAT3.1"
END_OF_HEADER = b"#!END-HEADER"
PACKET_BYTES, EVENT_BYTES = 28, 8
POLARITY = 1
"""Packet type of polarity events."""
CLOCK_HIGH, IS_POLARITY, INVALID, OTHER_PACKETS, SOURCE, OTHER_SOURCE = range(FIRST_FREE, FIRST_FREE + 6)
"""State indices: upper clock bits and type of the current packet, counts of skipped data, number of the source that is
read and of another one with events; -1: none yet."""


class Aedat3Reader(BinaryReader):
    """A reader of packets with a header of 28 bytes; polarity packets have a pixel and a time of 32 bits per event.

    Invalid events, and packets of other types or of other sources than that of the option `source`, are skipped and
    counted. Source of the format: iniVation's description.
    """

    magic = MAGIC
    sensors = ((128, 128), (240, 180), (346, 260), (640, 480))

    def read(
        self,
        path: Path,
        *,
        size: tuple[int, int] | None = None,
        strict: bool = False,
        source: str | int | None = None,
        start: int | None = None,
        end: int | None = None,
        absolute: bool = False,
    ) -> EventStream:
        """Read a recording as other binary formats; with `start` and `end`, only the events with start <= t < end.

        Args:
            path: the file.
            size: (width, height) of the sensor; default: from the header.
            strict: raise an error for a truncated file; by default the complete events before the end are returned.
            source: number of the source in the file; required if several have events.
            start, end: microseconds after the first event; default: the first and the last event.
            absolute: `start` and `end` are times on the recording's own clock, as in the tables of DVS128 Gesture.

        Raises:
            BadInput: the file is corrupt (the message names the byte), has events outside every sensor, or of several
                sources.
            BadOption: an invalid size, or an unknown source.
        """
        time_range = TimeRange.parse(start, end, absolute)
        recording = self._read_events(path, size, strict, source=source)
        if time_range.is_whole or not len(recording):
            return recording
        selection = select_times(recording, *time_range.resolve(int(recording.t[0])))
        if not len(selection):
            time_range.warn_empty(str(path), time_range.describe_recording(recording))
        return selection

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        size: tuple[int, int] | None = None,
        strict: bool = False,
        source: str | int | None = None,
    ) -> Iterator[EventStream]:
        """Yield the recording in chunks of `count` events, the last one with the remainder; otherwise as `read`."""
        yield from self._read_chunks(path, count, size, strict, source=source)

    def parse_header(self, file: IO[bytes], path: Path, source: str | int | None = None) -> BinaryHeader:
        lines, start = read_header_lines(file, b"#", (END_OF_HEADER,))
        check_header_end(file, start, b"#", path)
        if not lines or lines[-1] != "!END-HEADER":
            raise BadInput(f"{path}: truncated at byte {start}, inside the header")
        encoding = next((line.partition(":")[2].strip() for line in lines if line.startswith("Format:")), "RAW")
        if encoding != "RAW":
            raise BadInput(f"{path}: expected RAW packets, got {encoding}")
        counts = {"skipped_invalid": INVALID, "skipped_packets": OTHER_PACKETS}
        matches = (re.match(r"Source (\d+):\s*(.*)", line) for line in lines)
        cameras = {match[1]: match[2].strip() for match in matches if match}
        chosen = None if source is None else _parse_source(path, cameras, source)
        decoder = BlockDecoder(
            partial(_decode_source, path, cameras, chosen),
            np.uint8, 1, PixelPacking(17, 32767, 2, 32767, 1), event_bytes=EVENT_BYTES, counts=counts,
        )  # fmt: skip
        decoder.state[[SOURCE, OTHER_SOURCE]] = -1 if chosen is None else chosen, -1
        names = cameras.values() if chosen is None else [cameras.get(str(chosen), "")]
        return BinaryHeader(start, decoder, next(filter(None, map(find_sensor, names)), None))


def _parse_source(path: Path, cameras: Mapping[str, str], source: str | int) -> int:
    """Return the number of the option `source`, which must be in the header if that lists the sources."""
    if not str(source).isdecimal():
        raise BadOption(f"source: expected the number of a source, got {source!r}")
    return int(choose_source(path, cameras, source)) if cameras else int(source)


def _decode_source(
    path: Path, cameras: Mapping[str, str], chosen: int | None,
    data: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray,
) -> int:  # fmt: skip
    """Decode a block; raise `BadInput` if several sources have events and none is chosen."""
    count = _decode(data, state, pixels, times)
    if chosen is None and state[OTHER_SOURCE] >= 0:
        with_events = sorted(int(number) for number in state[[SOURCE, OTHER_SOURCE]])
        choose_source(path, {**dict.fromkeys(map(str, with_events), ""), **cameras}, None)
    return count


@kernel
def _read_int32(data: np.ndarray, i: int) -> int:
    """Return the signed 32-bit number at byte i, little endian."""
    upper = np.uint32(data[i + 2]) << np.uint32(16) | np.uint32(data[i + 3]) << np.uint32(24)
    return int(np.int32(np.uint32(data[i]) | np.uint32(data[i + 1]) << np.uint32(8) | upper))


@kernel
def _decode(data: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    count = i = 0
    while True:
        if state[PENDING] and not state[IS_POLARITY]:
            step = min(state[PENDING], len(data) - i)
            state[PENDING] -= step
            i += step
        while state[PENDING] and state[IS_POLARITY] and i + EVENT_BYTES <= len(data):
            pixel = _read_int32(data, i)
            pixels[count] = pixel & 0xFFFFFFFF
            times[count] = state[CLOCK_HIGH] << 31 | _read_int32(data, i + 4) & 0x7FFFFFFF
            count += pixel & 1
            state[INVALID] += 1 - (pixel & 1)
            state[PENDING] -= EVENT_BYTES
            i += EVENT_BYTES
        state[UNREAD] = len(data) - i
        if state[PENDING] or state[UNREAD] < PACKET_BYTES:
            return count
        i = _parse_packet_header(data, i, state)
        if i < 0:
            return -1


@kernel
def _parse_packet_header(data: np.ndarray, i: int, state: np.ndarray) -> int:
    """Parse a packet header, and return the index after it; -1 if it is invalid."""
    kind, size, number = _read_int32(data, i) & 0xFFFF, _read_int32(data, i + 4), _read_int32(data, i + 20)
    offset, clock_high = _read_int32(data, i + 8), _read_int32(data, i + 12)
    if size <= 0 or number < 0 or clock_high < 0 or (kind == POLARITY and (size != EVENT_BYTES or offset != 4)):
        return -1
    state[IS_POLARITY] = kind == POLARITY
    if kind == POLARITY and number:
        source = _read_int32(data, i) >> 16 & 0xFFFF
        if state[SOURCE] < 0:
            state[SOURCE] = source
        elif source != state[SOURCE]:
            state[OTHER_SOURCE], state[IS_POLARITY] = source, 0
    state[CLOCK_HIGH], state[PENDING] = clock_high, size * number
    state[OTHER_PACKETS] += not state[IS_POLARITY]
    return i + PACKET_BYTES
