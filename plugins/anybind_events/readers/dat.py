"""DAT recordings of Prophesee (`.dat`): decoded events of 64 bits behind a text header."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.binary import BinaryReader
from anybind_events.readers.blocks import FIRST_FREE, Body, Decoder, Pixels
from anybind_events.readers.evt2 import encoding_of, header_fields, sensor_of, start_of
from anybind_events.stream import EventStream

EVENT_BYTES = 8
TYPES = (0x00, 0x0C)
"""Types of the events that have a pixel and a polarity: "2D" and "CD"."""
PIXELS_1 = Pixels(0, 511, 9, 255, 17)
PIXELS_2 = Pixels(0, 16383, 14, 16383, 28)
"""How version 1 and version 2 of the format pack pixels."""
LAST_TIME = (1 << 32) - 1
WRAPS, BEFORE = FIRST_FREE, FIRST_FREE + 1


class DatReader(BinaryReader):
    """Lines of text that begin with `% `, the type and size of the events, then a time and a pixel of 32 bits each.

    Source of the format: Prophesee's documentation, and for version 1 what its tools read.
    """

    sensors = ((120, 100), (304, 240), (320, 320), (480, 360), (640, 480), (1280, 720))  # the first is N-CARS'

    def sniff(self, head: bytes) -> bool:
        """The header has a version, or says what the data are, and no encoding; behind it the events' size stands."""
        fields, start = header_fields(io.BytesIO(head))
        told = not encoding_of(fields) and bool({"version", "data"} & fields.keys())
        return told and head[start + 1 : start + 2] in (b"", bytes([EVENT_BYTES]))

    def body(self, file: IO[bytes], path: Path) -> Body:
        fields, start = header_fields(file)
        file.seek(start)
        said = file.read(2)
        if len(said) < 2:
            raise BadInput(f"{path} is truncated at byte {start}: it ends in front of the type of its events")
        if said[0] not in TYPES or said[1] != EVENT_BYTES:
            raise BadInput(
                f"{path}: its events, from byte {start} on, are of type {said[0]} and {said[1]} bytes; only types 0 and"
                f" 12 of {EVENT_BYTES} bytes have pixels"
            )
        version = fields.get("version", "0")
        pixels = PIXELS_1 if version in ("0", "1") else PIXELS_2
        seams = {"seam": lambda words: 0, "turns": _turns}
        decoder = Decoder(_decode, np.uint64, EVENT_BYTES, pixels, counts={"clock_wraps": WRAPS}, **seams)
        return Body(start + 2, decoder, sensor_of(fields), start_of(fields))

    def write(self, sample: EventStream, path: Path) -> None:
        """Write a recording; raises `BadInput` where the format has no room for its sensor or its times."""
        if max(sample.width, sample.height) > PIXELS_2.x_mask + 1:
            raise BadInput(
                f".dat has room for sensors up to 16384x16384, not {sample.width}x{sample.height}; write .npz"
            )
        if len(sample) and not 0 <= sample.t[0] <= sample.t[-1] <= LAST_TIME:
            raise BadInput(f".dat has room for times from 0 to {LAST_TIME} us; shift the recording or write .npz")
        header = f"% Data file containing CD events\n% Version 2\n% Width {sample.width}\n% Height {sample.height}\n"
        packed = np.empty((len(sample), 2), np.dtype("<u4"))
        packed[:, 0] = sample.t
        packed[:, 1] = sample.x | sample.y.astype(np.uint32) << PIXELS_2.y | sample.p.astype(np.uint32) << PIXELS_2.p
        with path.open("wb") as file:
            file.write(header.encode() + bytes((TYPES[1], EVENT_BYTES)))
            file.write(packed.data)


def _turns(state: np.ndarray, word: int) -> int:
    state[WRAPS] += int(state[BEFORE]) - (word & LAST_TIME) > 1 << 31
    return int(state[WRAPS]) << 32


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    n = len(words)
    if n == 0:
        return 0
    low, half = np.uint64(LAST_TIME), np.uint64(1 << 31)
    # A fall by more than half the range is a wrap: one damaged time moves those behind it by a range at most.
    wraps = np.uint64(state[BEFORE]) > (words[0] & low) + half
    for i in range(1, n):
        wraps |= (words[i - 1] & low) > (words[i] & low) + half
    if wraps:
        _unwrap(words, state, times)
    else:
        for i in range(n):
            times[i] = (state[WRAPS] << 32) + np.int64(words[i] & low)
    for i in range(n):
        pixels[i] = words[i] >> np.uint64(32)
    state[BEFORE] = words[n - 1] & low
    return n


@kernel
def _unwrap(words: np.ndarray, state: np.ndarray, times: np.ndarray) -> None:
    before = state[BEFORE]
    for i in range(len(words)):
        time = np.int64(words[i] & np.uint64(LAST_TIME))
        state[WRAPS] += before - time > 1 << 31
        times[i] = (state[WRAPS] << 32) + time
        before = time
