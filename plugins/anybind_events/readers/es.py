"""Event Stream recordings (`.es`): events of one to several bytes, with times relative to the previous event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.binary import BinaryReader
from anybind_events.readers.blocks import FIRST_FREE, UNREAD, BinaryHeader, BlockDecoder, PixelPacking

MAGIC = b"Event Stream"
HEADER_BYTES = len(MAGIC) + 8
"""The name is followed by a version (3 bytes), a type, and the sensor's width and height (2 bytes each)."""
EVENT_BYTES = 5
DVS, ATIS = 1, 2
"""Stream types; also the number of bits of an event's first byte that are not time."""
OTHER_TYPES = {0: "generic", 3: "asynchronous and modular display", 4: "colour"}
X_BITS, Y_BITS = 15, 16
CLOCK_US, HEIGHT, EXPOSURES = range(FIRST_FREE, FIRST_FREE + 3)
"""State indices: clock, sensor height, count of skipped exposure events."""


class EsReader(BinaryReader):
    """A reader of DVS events, or of the brightness changes among ATIS events, whose exposure measurements are skipped.

    Source of the format: the Event Stream specification, version 2, by the International Centre for Neuromorphic
    Systems. It counts rows from the bottom; the stream counts them from the top.
    """

    magic = MAGIC
    sensors = ()  # always in the header

    def parse_header(self, file: IO[bytes], path: Path) -> BinaryHeader:
        head = file.read(HEADER_BYTES)
        if not head.startswith(MAGIC):
            raise BadInput(f"{path}: not an Event Stream recording: expected {MAGIC.decode()!r} at byte 0")
        version, kind = head[12:15], head[15] if len(head) > 15 else DVS
        if version and version[0] != 2:
            raise BadInput(f"{path}: expected Event Stream version 2, got {version[0]}")
        if kind not in (DVS, ATIS):
            name = OTHER_TYPES.get(kind, "unknown")
            raise BadInput(f"{path}: expected an Event Stream of type DVS or ATIS, got type {kind} ({name})")
        if len(head) < HEADER_BYTES:
            raise BadInput(f"{path}: truncated: its header of {HEADER_BYTES} bytes ends at byte {len(head)}")
        width, height = (int.from_bytes(head[at : at + 2], "little") for at in (16, 18))
        pixels = PixelPacking(x=0, x_mask=(1 << X_BITS) - 1, y=X_BITS, y_mask=(1 << Y_BITS) - 1, p=X_BITS + Y_BITS)
        decoder = BlockDecoder(
            DECODERS[kind], np.uint8, 1, pixels, EVENT_BYTES, counts={"skipped_exposures": EXPOSURES}
        )
        decoder.state[HEIGHT] = height
        return BinaryHeader(HEADER_BYTES, decoder, (width, height))


@kernel
def _pack_pixel(data: np.ndarray, index: int, height: int, polarity: np.int64) -> np.int64:
    """Pack column, row from the top, and polarity; values out of range become the last, outside any sensor."""
    x = np.int64(data[index]) | np.int64(data[index + 1]) << 8
    y = np.int64(data[index + 2]) | np.int64(data[index + 3]) << 8
    row = height - 1 - y if y < height else (1 << Y_BITS) - 1
    return min(x, (1 << X_BITS) - 1) | row << X_BITS | polarity << (X_BITS + Y_BITS)


def _compile_decoder(bits: int) -> Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], int]:
    """Compile the kernel of a stream type, whose bits are compile-time constants.

    The first byte of an event has its time, polarity and, for ATIS, an exposure flag; column and row follow. Overflow
    bytes only advance the clock. The lowest bit of ATIS events is the exposure flag, the next one the polarity, which
    is the lowest of DVS events.
    """
    step = (256 >> bits) - 1

    @kernel
    def decode(data: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
        at, count, time, height = 0, 0, state[CLOCK_US], state[HEIGHT]
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
                pixels[count], times[count] = _pack_pixel(data, at + 1, height, first >> (bits - 1) & 1), time
                count += 1
            at += EVENT_BYTES
        state[CLOCK_US], state[UNREAD] = time, len(data) - at
        return count

    return decode


DECODERS = {DVS: _compile_decoder(DVS), ATIS: _compile_decoder(ATIS)}
