"""AEDAT 3.1 recordings of cAER (`.aedat`): a text header, then packets of events of one type each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.aedat2 import find_sensor
from anybind_events.readers.binary import AEDAT_MAGIC, BinaryReader, read_header_lines
from anybind_events.readers.blocks import FIRST_FREE, PENDING, UNREAD, BinaryHeader, BlockDecoder, PixelPacking
from anybind_events.stream import EventStream

MAGIC = b"#!AER-DAT3.1"
END_OF_HEADER = b"#!END-HEADER"
PACKET_BYTES, EVENT_BYTES = 28, 8
POLARITY = 1
"""Packet type of polarity events."""
CLOCK_HIGH, IS_POLARITY, INVALID, OTHER_PACKETS = range(FIRST_FREE, FIRST_FREE + 4)
"""State indices: upper clock bits and type of the current packet, counts of skipped data."""


class Aedat3Reader(BinaryReader):
    """A reader of packets with a header of 28 bytes; polarity packets have a pixel and a time of 32 bits per event.

    Invalid events, and packets of other types, are skipped and counted. Source of the format: iniVation's description.
    """

    magic, signatures = MAGIC, (AEDAT_MAGIC,)
    sensors = ((128, 128), (240, 180), (346, 260), (640, 480))

    def read(
        self,
        path: Path,
        *,
        size: tuple[int, int] | None = None,
        strict: bool = False,
        start: int | None = None,
        end: int | None = None,
    ) -> EventStream:
        """Read a recording as other binary formats; with `start` and `end`, only the events with start <= t < end.

        Both are microseconds on the recording's own clock, as in the tables of DVS128 Gesture.
        """
        recording = super().read(path, size=size, strict=strict)
        if (start is None and end is None) or not len(recording):
            return recording
        return recording.between(
            int(recording.t[0]) if start is None else start, int(recording.t[-1]) + 1 if end is None else end
        )

    def parse_header(self, file: IO[bytes], path: Path) -> BinaryHeader:
        lines, start = read_header_lines(file, b"#", (END_OF_HEADER,))
        if not lines or lines[-1] != "!END-HEADER":
            raise BadInput(f"{path}: truncated at byte {start}, inside the header")
        encoding = next((line.partition(":")[2].strip() for line in lines if line.startswith("Format:")), "RAW")
        if encoding != "RAW":
            raise BadInput(f"{path}: expected RAW packets, got {encoding}")
        counts = {"skipped_invalid": INVALID, "skipped_packets": OTHER_PACKETS}
        decoder = BlockDecoder(
            _decode, np.uint8, 1, PixelPacking(17, 32767, 2, 32767, 1), event_bytes=EVENT_BYTES, counts=counts
        )
        sources = (line.partition(":")[2] for line in lines if re.match(r"Source \d+:", line))
        return BinaryHeader(start, decoder, next(filter(None, map(find_sensor, sources)), None))


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
    state[IS_POLARITY] = kind == POLARITY
    if size <= 0 or number < 0 or clock_high < 0 or (kind == POLARITY and (size != EVENT_BYTES or offset != 4)):
        return -1
    state[CLOCK_HIGH], state[PENDING] = clock_high, size * number
    state[OTHER_PACKETS] += kind != POLARITY
    return i + PACKET_BYTES
