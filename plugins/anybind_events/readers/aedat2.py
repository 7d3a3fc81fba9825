"""AEDAT 2.0 recordings of jAER (`.aedat`): a text header, then an address and a time of 32 bits per event."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption, kernel
from anybind_events.readers.binary import BinaryReader, check_header_end, read_header_lines
from anybind_events.readers.blocks import FIRST_FREE, BinaryHeader, BlockDecoder, PixelPacking
from anybind_events.stream import EventStream

MAGIC = b"#!AER-DAT2.0"
END_OF_HEADER = b"#End Of ASCII Header"
DVS128 = (128, 128)
DAVIS = {"128": (128, 128), "208": (208, 192), "240": (240, 180), "346": (346, 260), "640": (640, 480)}
"""Sensor sizes by the number in the camera's name."""
UNNAMED_DAVIS = (DAVIS["240"], DAVIS["346"], DAVIS["640"])
"""Sensor sizes that are recognised by their addresses, the smallest first."""
BEYOND_DVS128, SPECIAL, TRIGGER = 0x7FFF0000, 0x80000000, 0x400
"""Address bits: those that a DVS128 never sets; of frame and inertial samples, and triggers, of a DAVIS."""
MAX_OUTSIDE = 0.01
"""Largest fraction of events outside an assumed sensor."""
SCAN_WORDS = 1 << 20
MIN_JUDGED_EVENTS, MAX_JUDGED_EVENTS = 50, 1 << 12
"""Events at the beginning of a file that a named camera is held against."""
(
    WRAPS,
    PREVIOUS_US,
    IS_DAVIS,
    WIDTH,
    HEIGHT,
    TRIGGERS,
    FRAME_SAMPLES,
    IMU_SAMPLES,
    ASSUMED,
) = range(FIRST_FREE, FIRST_FREE + 9)
"""State indices: clock, camera, counts of skipped words, and 1 if the camera is assumed."""
COUNTS = {
    "clock_wraps": WRAPS,
    "skipped_triggers": TRIGGERS,
    "skipped_frame_samples": FRAME_SAMPLES,
    "skipped_imu_samples": IMU_SAMPLES,
    "assumed_camera": ASSUMED,
}
COLUMN_BITS = 14
"""Decoded pixels are packed as column, row, polarity: 14, 14 and 1 bits."""


class Aedat2Reader(BinaryReader):
    """A reader of events of a DVS128 or a DAVIS camera, as named in the header or by the option `camera`.

    Without a name, addresses beyond those of a DVS128 mean a DAVIS, the smallest of 240x180, 346x260 and 640x480 that
    contains all events; this is a warning, and `assumed_camera` in the notes. A camera in the header that most of the
    first addresses do not fit is an error; one of the option `camera` is a warning.

    Other data of a DAVIS (frame pixels, inertial samples, triggers) are skipped and counted. The format counts rows
    from the bottom and columns from the right; the stream starts at the top left. Source of the format: iniVation's
    description, and jAER itself for the columns and polarity of the DVS128, where the two differ.
    """

    magic = MAGIC
    sensors = (DVS128,)

    def read(
        self, path: Path, *, size: tuple[int, int] | None = None, strict: bool = False, camera: str | None = None
    ) -> EventStream:
        """Read a recording.

        Its `notes` count what occurred of `clock_wraps`, `outside` (events dropped), `backwards` (events whose time was
        raised to the previous one), `truncated_bytes`, `assumed_camera`, and what the format skips.

        Args:
            path: the file.
            size: (width, height) of the sensor, outside of which events are dropped; default: that of the camera.
            strict: raise an error for a truncated file; by default the complete events before the end are returned.
            camera: the camera, such as dvs128, davis240, davis346 or davis640; default: from the header, else assumed
                from the addresses.

        Raises:
            BadInput: the file is corrupt (the message names the byte), of an unsupported camera, or of another one than
                its header names.
            BadOption: an invalid size, or an unsupported camera.
        """
        return self._read_events(path, size, strict, camera=camera, sensor_size=size)

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        size: tuple[int, int] | None = None,
        strict: bool = False,
        camera: str | None = None,
    ) -> Iterator[EventStream]:
        """Yield the recording in chunks of `count` events, the last one with the remainder; otherwise as `read`.

        The notes of a chunk count what occurred since the previous chunk.
        """
        yield from self._read_chunks(path, count, size, strict, camera=camera, sensor_size=size)

    def parse_header(
        self, file: IO[bytes], path: Path, camera: str | None = None, sensor_size: tuple[int, int] | None = None
    ) -> BinaryHeader:
        lines, start = read_header_lines(file, b"#", (END_OF_HEADER,))
        check_header_end(file, start, b"#", path)
        chip = _parse_camera_option(camera) or _parse_camera(lines, path)
        if chip and not _fits_camera(file, start, *chip):
            if camera is None:
                raise BadInput(
                    f"{path}: the addresses do not fit the camera in the header, {_name_camera(*chip)}; give camera=,"
                    " such as davis346"
                )
            warnings.warn(f"{path}: the addresses do not fit camera={camera!r}", AnybindWarning, stacklevel=2)
        size, is_davis = chip or _assume_camera(file, path, start, sensor_size)
        pixels = PixelPacking(0, (1 << COLUMN_BITS) - 1, COLUMN_BITS, (1 << COLUMN_BITS) - 1, 2 * COLUMN_BITS)
        decoder = BlockDecoder(_decode, np.uint32, 8, pixels, counts=COUNTS)
        decoder.state[[IS_DAVIS, WIDTH, HEIGHT, ASSUMED]] = is_davis, *size, chip is None
        return BinaryHeader(start, decoder, size)


def _parse_camera_option(camera: str | None) -> tuple[tuple[int, int], bool] | None:
    if camera is None:
        return None
    if not (size := find_sensor(str(camera))):
        raise BadOption(f"camera: expected dvs128, {', '.join(f'davis{number}' for number in DAVIS)}, got {camera!r}")
    return size, "dvs128" not in str(camera).lower()


def _name_camera(size: tuple[int, int], is_davis: bool) -> str:
    return f"{'DAVIS' if is_davis else 'DVS128'} {size[0]}x{size[1]}"


def _fits_camera(file: IO[bytes], start: int, size: tuple[int, int], is_davis: bool) -> bool:
    """Return whether most of the first addresses are those of a camera; True for too few of them."""
    file.seek(start)
    n_beyond, n_events, outside = _count_addresses(file.read(8 * MAX_JUDGED_EVENTS), [size])
    if n_events < MIN_JUDGED_EVENTS:
        return True
    return 2 * n_beyond > n_events >= 2 * outside[0] if is_davis else 2 * n_beyond <= n_events


def _count_addresses(data: bytes, sensors: Sequence[tuple[int, int]]) -> tuple[int, int, np.ndarray]:
    """Count the addresses beyond those of a DVS128, all addresses, and for each DAVIS sensor those outside of it."""
    address = np.frombuffer(data[: len(data) // 8 * 8], ">u4")[::2].astype(np.uint32)
    address = address[address & SPECIAL == 0]
    n_events, n_beyond = len(address), int(np.count_nonzero(address & BEYOND_DVS128))
    address = address[address & TRIGGER == 0]
    column, row = address >> 12 & 1023, address >> 22 & 511
    outside = [np.count_nonzero((column >= width) | (row >= height)) for width, height in sensors]
    return n_beyond, n_events, np.array(outside, np.int64)


def _assume_camera(
    file: IO[bytes], path: Path, start: int, sensor_size: tuple[int, int] | None
) -> tuple[tuple[int, int], bool]:
    """Return the sensor size of the camera that the addresses fit, and whether it is a DAVIS, with a warning."""
    n_events = n_beyond = 0
    outside = np.zeros(len(UNNAMED_DAVIS), np.int64)
    file.seek(start)
    while len(data := file.read(8 * SCAN_WORDS)) >= 8:
        counts = _count_addresses(data, UNNAMED_DAVIS)
        n_beyond, n_events, outside = n_beyond + counts[0], n_events + counts[1], outside + counts[2]
    is_davis = bool(2 * n_beyond > n_events)
    if is_davis and not sensor_size and outside[-1] > MAX_OUTSIDE * n_events:
        raise BadInput(
            f"{path}: the header names no camera, and the addresses fit neither a DVS128 nor a DAVIS; give camera="
        )
    index = int(np.flatnonzero(outside == outside.min())[0])
    if sensor_size and len(sensor_size) != 2:
        sensor_size = None  # an error of the pass
    size = sensor_size or (UNNAMED_DAVIS[index] if is_davis else DVS128)
    if n_events:
        message = f"{path}: the header names no camera; {_name_camera(size, is_davis)} assumed from the addresses"
        warnings.warn(f"{message}; give camera=, such as davis346, if it is another", AnybindWarning, stacklevel=2)
    return size, is_davis


def _parse_camera(lines: list[str], path: Path) -> tuple[tuple[int, int], bool] | None:
    """Return the sensor size of the camera in the header, and whether it is a DAVIS; None if no camera is named."""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("AEChip:", "HardwareInterface:"))]
    for name in reversed(names):  # the chip, written after the interface, is more precise
        if size := find_sensor(name):
            return size, "dvs128" not in name.lower()
    if names:
        raise BadInput(f"{path}: unsupported camera {names[-1]}; supported: DVS128, DAVIS")
    return None


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
