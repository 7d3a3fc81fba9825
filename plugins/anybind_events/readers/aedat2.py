"""AEDAT 2.0 recordings of jAER (`.aedat`): a text header, then an address and a time of 32 bits per event."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.binary import BinaryReader, read_header_lines
from anybind_events.readers.blocks import FIRST_FREE, BinaryHeader, BlockDecoder, PixelPacking

MAGIC = b"#!AER-DAT2.0"
END_OF_HEADER = b"#End Of ASCII Header"
DVS128 = (128, 128)
DAVIS = {"128": (128, 128), "208": (208, 192), "240": (240, 180), "346": (346, 260), "640": (640, 480)}
"""Sensor sizes by the number in the camera's name."""
WRAPS, PREVIOUS_US, IS_DAVIS, WIDTH, HEIGHT, TRIGGERS, FRAME_SAMPLES, IMU_SAMPLES = range(FIRST_FREE, FIRST_FREE + 8)
"""State indices: clock, camera, and counts of skipped words."""
COUNTS = {
    "clock_wraps": WRAPS,
    "skipped_triggers": TRIGGERS,
    "skipped_frame_samples": FRAME_SAMPLES,
    "skipped_imu_samples": IMU_SAMPLES,
}
COLUMN_BITS = 14
"""Decoded pixels are packed as column, row, polarity: 14, 14 and 1 bits."""


class Aedat2Reader(BinaryReader):
    """A reader of events of a DVS128 or a DAVIS camera, as named in the header; a DVS128 by default.

    Other data of a DAVIS (frame pixels, inertial samples, triggers) are skipped and counted. The format counts rows
    from the bottom and columns from the right; the stream starts at the top left. Source of the format: iniVation's
    description, and jAER itself for the columns and polarity of the DVS128, where the two differ.
    """

    magic = MAGIC
    sensors = (DVS128,)

    def parse_header(self, file: IO[bytes], path: Path) -> BinaryHeader:
        lines, start = read_header_lines(file, b"#", (END_OF_HEADER,))
        size, is_davis = _parse_camera(lines, path)
        pixels = PixelPacking(0, (1 << COLUMN_BITS) - 1, COLUMN_BITS, (1 << COLUMN_BITS) - 1, 2 * COLUMN_BITS)
        decoder = BlockDecoder(_decode, np.uint32, 8, pixels, counts=COUNTS)
        decoder.state[[IS_DAVIS, WIDTH, HEIGHT]] = is_davis, *size
        return BinaryHeader(start, decoder, size)


def _parse_camera(lines: list[str], path: Path) -> tuple[tuple[int, int], bool]:
    """Return the sensor size of the camera in the header, and whether it is a DAVIS."""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("AEChip:", "HardwareInterface:"))]
    for name in reversed(names):  # the chip, written after the interface, is more precise
        if size := find_sensor(name):
            return size, "dvs128" not in name.lower()
    if names:
        raise BadInput(f"{path}: unsupported camera {names[-1]}; supported: DVS128, DAVIS")
    return DVS128, False


def find_sensor(camera: str) -> tuple[int, int] | None:
    """Return the sensor size of a camera by its name, None if unknown."""
    if "dvs128" in camera.lower():
        return DVS128
    davis = re.search(r"davis[^\d]*(\d{3})", camera.lower())
    return DAVIS.get(davis[1]) if davis else None


@kernel
def _swap_bytes(word: np.uint32) -> np.uint32:
    low = (word & np.uint32(0xFF00)) << np.uint32(8) | word << np.uint32(24)
    return np.uint32(low | (word >> np.uint32(8) & np.uint32(0xFF00)) | word >> np.uint32(24))


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    count = 0
    for i in range(0, len(words), 2):
        address, time = np.int64(_swap_bytes(words[i])), np.int64(_swap_bytes(words[i + 1]))
        # A decrease by more than half the range is a wrap: one damaged time shifts later ones by at most one range.
        state[WRAPS] += state[PREVIOUS_US] - time > 1 << 31
        state[PREVIOUS_US] = time
        if state[IS_DAVIS]:
            if address >> 31:
                state[IMU_SAMPLES if address >> 10 & 3 == 3 else FRAME_SAMPLES] += 1
                continue
            column, row, on, trigger = address >> 12 & 1023, address >> 22 & 511, address >> 11 & 1, address >> 10 & 1
        else:
            column, row, on = address >> 1 & 127, address >> 8 & 127, ~address & 1
            trigger = address >> 15 & 1 | address >> 31
        if trigger:
            state[TRIGGERS] += 1
            continue
        # Coordinates outside the sensor wrap around and stay outside.
        column, row = (
            (state[WIDTH] - 1 - column) & (1 << COLUMN_BITS) - 1,
            (state[HEIGHT] - 1 - row) & (1 << COLUMN_BITS) - 1,
        )
        pixels[count] = column | row << COLUMN_BITS | on << 2 * COLUMN_BITS
        times[count] = (state[WRAPS] << 32) + time
        count += 1
    return count
