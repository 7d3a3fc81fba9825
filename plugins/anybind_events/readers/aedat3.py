"""AEDAT 3.1 recordings of cAER (`.aedat`): packets of events of one type each, behind a text header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.aedat2 import DAVIS, DVS128
from anybind_events.readers.binary import BinaryReader, header_lines
from anybind_events.readers.blocks import DUE, FIRST_FREE, LEFT, Body, Decoder, Pixels
from anybind_events.stream import EventStream

MAGIC = b"#!AER-DAT3.1"
END_OF_HEADER = b"#!END-HEADER"
PACKET_BYTES, EVENT_BYTES = 28, 8
POLARITY = 1
"""The type of packet that holds the events of pixels."""
HIGH, IS_POLARITY, INVALID, OTHERS = range(FIRST_FREE, FIRST_FREE + 4)
"""Places in the state: upper part of the clock and type of the packet that goes on, what was passed over."""


class Aedat3Reader(BinaryReader):
    """Packets of 28 bytes and what they say follows; those of pixels hold a pixel and a time of 32 bits an event.

    Events that are marked as not valid, and packets of other types, are passed over and counted. Source of the
    format: iniVation's description.
    """

    sensors = ((128, 128), (240, 180), (346, 260), (640, 480))

    def sniff(self, head: bytes) -> bool:
        """The first line names the format."""
        return head.startswith(MAGIC)

    def read(
        self,
        path: Path,
        *,
        size: tuple[int, int] | None = None,
        strict: bool = False,
        start: int | None = None,
        end: int | None = None,
    ) -> EventStream:
        """As other binary formats; with `start` and `end` only the events from one up to the other.

        Both are microseconds on the recording's own clock, as the tables of DVS128 Gesture have them.
        """
        whole = super().read(path, size=size, strict=strict)
        if (start is None and end is None) or not len(whole):
            return whole
        return whole.between(int(whole.t[0]) if start is None else start, int(whole.t[-1]) + 1 if end is None else end)

    def body(self, file: IO[bytes], path: Path) -> Body:
        lines, start = header_lines(file, b"#", (END_OF_HEADER,))
        if not lines or lines[-1] != "!END-HEADER":
            raise BadInput(f"{path} is truncated at byte {start}, inside its header")
        written = next((line.partition(":")[2].strip() for line in lines if line.startswith("Format:")), "RAW")
        if written != "RAW":
            raise BadInput(f"{path} is of the format {written}; only RAW packets can be read")
        counts = {"skipped_invalid": INVALID, "skipped_packets": OTHERS}
        decoder = Decoder(_decode, np.uint8, 1, Pixels(17, 32767, 2, 32767, 1), event_bytes=EVENT_BYTES, counts=counts)
        return Body(start, decoder, _sensor(lines))


def _sensor(lines: list[str]) -> tuple[int, int] | None:
    """The sensor of the first camera that a header names as its source."""
    for line in lines:
        if re.match(r"Source \d+:", line):
            name = line.partition(":")[2].lower()
            davis = re.search(r"davis[^\d]*(\d{3})", name)
            if davis and davis[1] in DAVIS:
                return DAVIS[davis[1]]
            if "dvs128" in name:
                return DVS128
    return None


@kernel
def _word(data: np.ndarray, i: int) -> int:
    """The signed 32-bit number at byte i, little endian."""
    upper = np.uint32(data[i + 2]) << np.uint32(16) | np.uint32(data[i + 3]) << np.uint32(24)
    return int(np.int32(np.uint32(data[i]) | np.uint32(data[i + 1]) << np.uint32(8) | upper))


@kernel
def _decode(data: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    at = i = 0
    while True:
        if state[DUE] and not state[IS_POLARITY]:
            step = min(state[DUE], len(data) - i)
            state[DUE] -= step
            i += step
        while state[DUE] and state[IS_POLARITY] and i + EVENT_BYTES <= len(data):
            pixel = _word(data, i)
            pixels[at] = pixel & 0xFFFFFFFF
            times[at] = state[HIGH] << 31 | _word(data, i + 4) & 0x7FFFFFFF
            at += pixel & 1
            state[INVALID] += 1 - (pixel & 1)
            state[DUE] -= EVENT_BYTES
            i += EVENT_BYTES
        state[LEFT] = len(data) - i
        if state[DUE] or state[LEFT] < PACKET_BYTES:
            return at
        i = _packet(data, i, state)
        if i < 0:
            return -1


@kernel
def _packet(data: np.ndarray, i: int, state: np.ndarray) -> int:
    """Take in the header of a packet, and return the place behind it; -1 where it makes no sense."""
    kind, size, number = _word(data, i) & 0xFFFF, _word(data, i + 4), _word(data, i + 20)
    offset, high = _word(data, i + 8), _word(data, i + 12)
    state[IS_POLARITY] = kind == POLARITY
    if size <= 0 or number < 0 or high < 0 or (kind == POLARITY and (size != EVENT_BYTES or offset != 4)):
        return -1
    state[HIGH], state[DUE] = high, size * number
    state[OTHERS] += kind != POLARITY
    return i + PACKET_BYTES
