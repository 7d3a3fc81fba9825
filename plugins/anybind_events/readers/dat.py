"""DAT recordings of Prophesee (`.dat`): a text header, then decoded events of 64 bits."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.binary import BinaryReader, check_header_end
from anybind_events.readers.blocks import FIRST_FREE, BinaryHeader, BlockDecoder, PixelPacking
from anybind_events.readers.encoding import FormatLimits
from anybind_events.readers.evt2 import (
    HEADER_PREFIX,
    parse_encoding,
    parse_sensor_size,
    parse_start_time,
    read_header_fields,
)
from anybind_events.stream import EventStream

EVENT_BYTES = 8
TYPES = (0x00, 0x0C)
"""Types of events with a pixel and a polarity: "2D" and "CD"."""
PIXELS_1 = PixelPacking(0, 511, 9, 255, 17)
PIXELS_2 = PixelPacking(0, 16383, 14, 16383, 28)
"""Pixel layout of version 1 and version 2 of the format."""
MAX_TIME = (1 << 32) - 1
WRAPS, PREVIOUS_US = FIRST_FREE, FIRST_FREE + 1


class DatReader(BinaryReader):
    """A reader of lines that begin with `% `, the type and size of the events, then a time and a pixel of 32 bits each.

    Source of the format: Prophesee's documentation, and its tools for version 1.
    """

    sensors = ((120, 100), (304, 240), (320, 320), (480, 360), (640, 480), (1280, 720))  # the first is N-CARS'

    def sniff(self, head: bytes) -> bool:
        """Check the header for a version or a data type, for no encoding, and the event size after it."""
        if not head.startswith(HEADER_PREFIX):
            return False
        fields, start = read_header_fields(io.BytesIO(head))
        is_dat = not parse_encoding(fields) and bool({"version", "data"} & fields.keys())
        return is_dat and head[start + 1 : start + 2] in (b"", bytes([EVENT_BYTES]))

    def parse_header(self, file: IO[bytes], path: Path) -> BinaryHeader:
        fields, start = read_header_fields(file)
        check_header_end(file, start, HEADER_PREFIX, path)
        file.seek(start)
        event_type = file.read(2)
        if len(event_type) < 2:
            raise BadInput(f"{path}: truncated at byte {start}, before the event type")
        if event_type[0] not in TYPES or event_type[1] != EVENT_BYTES:
            raise BadInput(
                f"{path}: expected events of type 0 or 12 and {EVENT_BYTES} bytes at byte {start}, got type"
                f" {event_type[0]} and {event_type[1]} bytes"
            )
        version = fields.get("version", "0")
        pixels = PIXELS_1 if version in ("0", "1") else PIXELS_2
        decoder = BlockDecoder(
            _decode, np.uint64, EVENT_BYTES, pixels,
            counts={"clock_wraps": WRAPS}, find_split=lambda words: 0, join_clock=_join_clock,
        )  # fmt: skip
        return BinaryHeader(start + 2, decoder, parse_sensor_size(fields), parse_start_time(fields))

    def write(self, sample: EventStream, path: Path) -> None:
        """Write a recording; raise `BadInput` if its sensor or times exceed the format's range."""
        FormatLimits(".dat", PIXELS_2.x_mask + 1, PIXELS_2.y_mask + 1, MAX_TIME).check(sample)
        header = f"% Data file containing CD events\n% Version 2\n% Width {sample.width}\n% Height {sample.height}\n"
        packed = np.empty((len(sample), 2), np.dtype("<u4"))
        packed[:, 0] = sample.t
        packed[:, 1] = sample.x | sample.y.astype(np.uint32) << PIXELS_2.y | sample.p.astype(np.uint32) << PIXELS_2.p
        with path.open("wb") as file:
            file.write(header.encode() + bytes((TYPES[1], EVENT_BYTES)))
            file.write(packed.data)


def _join_clock(state: np.ndarray, word: int) -> int:
    state[WRAPS] += int(state[PREVIOUS_US]) - (word & MAX_TIME) > 1 << 31
    return int(state[WRAPS]) << 32


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    n = len(words)
    if n == 0:
        return 0
    low, half = np.uint64(MAX_TIME), np.uint64(1 << 31)
    # A decrease by more than half the range is a wrap: one damaged time shifts later ones by at most one range.
    wraps = np.uint64(state[PREVIOUS_US]) > (words[0] & low) + half
    for i in range(1, n):
        wraps |= (words[i - 1] & low) > (words[i] & low) + half
    if wraps:
        _unwrap(words, state, times)
    else:
        for i in range(n):
            times[i] = (state[WRAPS] << 32) + np.int64(words[i] & low)
    for i in range(n):
        pixels[i] = words[i] >> np.uint64(32)
    state[PREVIOUS_US] = words[n - 1] & low
    return n


@kernel
def _unwrap(words: np.ndarray, state: np.ndarray, times: np.ndarray) -> None:
    before = state[PREVIOUS_US]
    for i in range(len(words)):
        time = np.int64(words[i] & np.uint64(MAX_TIME))
        state[WRAPS] += before - time > 1 << 31
        times[i] = (state[WRAPS] << 32) + time
        before = time
