"""Event Stream recordings (`.es`): events of one to several bytes, timed by their distance from the one before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.binary import BinaryReader
from anybind_events.readers.blocks import FIRST_FREE, LEFT, Body, Decoder, Pixels

MAGIC = b"Event Stream"
HEADER_BYTES = len(MAGIC) + 8
"""The name is followed by a version (3 bytes), a type, and the sensor's width and height (2 bytes each)."""
EVENT_BYTES = 5
DVS, ATIS = 1, 2
"""Types of streams; also the bits of an event's first byte that are not of its time."""
OTHER_TYPES = {0: "generic", 3: "asynchronous and modular display", 4: "colour"}
X_BITS, Y_BITS = 15, 16
TIME, HEIGHT, EXPOSURES = range(FIRST_FREE, FIRST_FREE + 3)
"""Places in the state: the clock, the sensor's height, events of exposure passed over."""


class EsReader(BinaryReader):
    """DVS events, or the brightness changes among ATIS events, whose exposure measurements are passed over.

    Source of the format: the Event Stream specification, version 2, by the International Centre for Neuromorphic
    Systems. There rows are counted from the bottom; here from the top.
    """

    sensors = ()  # the header always says it

    def sniff(self, head: bytes) -> bool:
        """The first bytes name the format."""
        return head.startswith(MAGIC)

    def body(self, file: IO[bytes], path: Path) -> Body:
        head = file.read(HEADER_BYTES)
        if not head.startswith(MAGIC):
            raise BadInput(f"{path} is no Event Stream recording: its first bytes are not that of the format")
        version, kind = head[12:15], head[15] if len(head) > 15 else DVS
        if version and version[0] != 2:
            raise BadInput(f"{path} is an Event Stream of version {version[0]}, and only version 2 can be read")
        if kind not in (DVS, ATIS):
            name = OTHER_TYPES.get(kind, "unknown")
            raise BadInput(f"{path} is an Event Stream of type {kind} ({name}), which holds no brightness changes")
        if len(head) < HEADER_BYTES:
            raise BadInput(f"{path} is truncated: its header of {HEADER_BYTES} bytes ends at byte {len(head)}")
        width, height = (int.from_bytes(head[at : at + 2], "little") for at in (16, 18))
        pixels = Pixels(x=0, x_mask=(1 << X_BITS) - 1, y=X_BITS, y_mask=(1 << Y_BITS) - 1, p=X_BITS + Y_BITS)
        decoder = Decoder(DECODERS[kind], np.uint8, 1, pixels, EVENT_BYTES, counts={"skipped_exposures": EXPOSURES})
        decoder.state[HEIGHT] = height
        return Body(HEADER_BYTES, decoder, (width, height))


@kernel
def _packed(data: np.ndarray, at: int, height: int, polarity: np.int64) -> np.int64:
    """A pixel's column, row from the top, and polarity; what has no room becomes the last, which no sensor has."""
    x = np.int64(data[at]) | np.int64(data[at + 1]) << 8
    y = np.int64(data[at + 2]) | np.int64(data[at + 3]) << 8
    row = height - 1 - y if y < height else (1 << Y_BITS) - 1
    return min(x, (1 << X_BITS) - 1) | row << X_BITS | polarity << (X_BITS + Y_BITS)


def _decoder(bits: int) -> Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], int]:
    """Compile the kernel of a type of stream, whose bits are constants to the compiler.

    The first byte of an event has its time, polarity and, of ATIS, exposure; column and row follow. High bytes only
    move the clock. The lowest bit of ATIS events tells of an exposure, the next one of the polarity, which is the
    lowest of DVS events.
    """
    step = (256 >> bits) - 1

    @kernel
    def decode(data: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
        at, count, time, height = 0, 0, state[TIME], state[HEIGHT]
        while at < len(data):
            first = np.int64(data[at])
            if first >> bits == step:
                time += step * (first & ((1 << bits) - 1))
                at += 1
                continue
            if at + EVENT_BYTES > len(data):
                break
            time += first >> bits
            if bits == 2 and first & 1:
                state[EXPOSURES] += 1
            else:
                pixels[count], times[count] = _packed(data, at + 1, height, first >> (bits - 1) & 1), time
                count += 1
            at += EVENT_BYTES
        state[TIME], state[LEFT] = time, len(data) - at
        return count

    return decode


DECODERS = {DVS: _decoder(DVS), ATIS: _decoder(ATIS)}
