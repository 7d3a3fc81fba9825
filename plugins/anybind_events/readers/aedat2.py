"""AEDAT 2.0 recordings of jAER (`.aedat`): an address and a time of 32 bits each, behind a text header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.binary import BinaryReader, header_lines
from anybind_events.readers.blocks import FIRST_FREE, Body, Decoder, Pixels

MAGIC = b"#!AER-DAT2.0"
END_OF_HEADER = b"#End Of ASCII Header"
DVS128 = (128, 128)
DAVIS = {"128": (128, 128), "208": (208, 192), "240": (240, 180), "346": (346, 260), "640": (640, 480)}
"""Sensors by the number in the camera's name."""
WRAPS, BEFORE, IS_DAVIS, WIDTH, HEIGHT, TRIGGERS, SAMPLES, IMU = range(FIRST_FREE, FIRST_FREE + 8)
"""Places in the state: of the clock, the camera, and words passed over."""
COUNTS = {
    "clock_wraps": WRAPS,
    "skipped_triggers": TRIGGERS,
    "skipped_frame_samples": SAMPLES,
    "skipped_imu_samples": IMU,
}
COLUMN_BITS = 14
"""Decoded pixels are packed as column, row, polarity: 14, 14 and 1 bits."""


class Aedat2Reader(BinaryReader):
    """Events of a DVS128 or a DAVIS, as the header names the camera; a DVS128 where it names none.

    What else a DAVIS writes (pixels of its frames, its inertial sensor, triggers) is passed over and counted. The
    format counts rows from the bottom and columns from the right; the stream's begin at the top left. Source of the
    format: iniVation's description, and for columns and the polarity of the DVS128, where that differs from what
    jAER wrote and shows, jAER.
    """

    sensors = (DVS128,)

    def sniff(self, head: bytes) -> bool:
        """The first line names the format."""
        return head.startswith(MAGIC)

    def body(self, file: IO[bytes], path: Path) -> Body:
        lines, start = header_lines(file, b"#", (END_OF_HEADER,))
        size, is_davis = _camera(lines, path)
        pixels = Pixels(0, (1 << COLUMN_BITS) - 1, COLUMN_BITS, (1 << COLUMN_BITS) - 1, 2 * COLUMN_BITS)
        decoder = Decoder(_decode, np.uint32, 8, pixels, counts=COUNTS)
        decoder.state[[IS_DAVIS, WIDTH, HEIGHT]] = is_davis, *size
        return Body(start, decoder, size)


def _camera(lines: list[str], path: Path) -> tuple[tuple[int, int], bool]:
    """The sensor that a header names, and whether it is a DAVIS."""
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("AEChip:", "HardwareInterface:"))]
    for name in reversed(named):  # the chip, which stands behind the interface, is the more exact
        if "dvs128" in name.lower():
            return DVS128, False
        davis = re.search(r"davis[^\d]*(\d{3})", name.lower())
        if davis and davis[1] in DAVIS:
            return DAVIS[davis[1]], True
    if named:
        raise BadInput(
            f"{path} was recorded by {named[-1]}, whose addresses are not known; a DVS128's and a DAVIS's are"
        )
    return DVS128, False


@kernel
def _big_endian(word: np.uint32) -> np.uint32:
    low = (word & np.uint32(0xFF00)) << np.uint32(8) | word << np.uint32(24)
    return np.uint32(low | (word >> np.uint32(8) & np.uint32(0xFF00)) | word >> np.uint32(24))


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    at = 0
    for i in range(0, len(words), 2):
        address, time = np.int64(_big_endian(words[i])), np.int64(_big_endian(words[i + 1]))
        # A fall by more than half the range is a wrap: one damaged time moves those behind it by a range at most.
        state[WRAPS] += state[BEFORE] - time > 1 << 31
        state[BEFORE] = time
        if state[IS_DAVIS]:
            if address >> 31:
                state[IMU if address >> 10 & 3 == 3 else SAMPLES] += 1
                continue
            column, row, rise, trigger = address >> 12 & 1023, address >> 22 & 511, address >> 11 & 1, address >> 10 & 1
        else:
            column, row, rise = address >> 1 & 127, address >> 8 & 127, ~address & 1
            trigger = address >> 15 & 1 | address >> 31
        if trigger:
            state[TRIGGERS] += 1
            continue
        # Beyond the sensor, the numbers go round and stay beyond it.
        column, row = (
            (state[WIDTH] - 1 - column) & (1 << COLUMN_BITS) - 1,
            (state[HEIGHT] - 1 - row) & (1 << COLUMN_BITS) - 1,
        )
        pixels[at] = column | row << COLUMN_BITS | rise << 2 * COLUMN_BITS
        times[at] = (state[WRAPS] << 32) + time
        at += 1
    return at
