"""EVT 2.0 recordings of Prophesee cameras (`.raw`), and the header of all Prophesee raw formats."""

from __future__ import annotations

import io
import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, ClassVar

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.binary import BinaryReader, check_header_end, read_header_lines
from anybind_events.readers.blocks import FIRST_FREE, BinaryHeader, BlockDecoder, PixelPacking
from anybind_events.readers.evt_encoding import EVT2, write_raw
from anybind_events.stream import EventStream

GENERATIONS = {
    "gen31": (640, 480),
    "gen3": (640, 480),
    "gen4": (1280, 720),
    "imx636": (1280, 720),
    "imx646": (1280, 720),
    "genx320": (320, 320),
    "3.0": (640, 480),
    "3.1": (640, 480),
    "4.0": (1280, 720),
    "4.1": (1280, 720),
    "4.2": (1280, 720),
}
"""Sensor sizes by parts of camera driver names, and by the sensor generation."""
HEADER_PREFIX = b"%"
"""First byte of each header line."""
VERSIONS = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}
CONVERT = "convert it to .h5 or .csv by Prophesee's Metavision SDK"
WRAPS, CLOCK_HIGH, STARTED, TRIGGERS, UNTIMED = range(FIRST_FREE, FIRST_FREE + 5)
"""State indices: clock wraps, upper clock bits, whether the clock has started, counts of skipped words."""
COUNTS = {"clock_wraps": WRAPS, "skipped_triggers": TRIGGERS, "skipped_untimed": UNTIMED}
U = np.uint64
TIME_HIGH = 8
"""Word type, in the upper four bits, of clock words."""
FIRST_NON_EVENT = 1 << 29
"""Smallest word that is not an event."""
LOW_BITS, HIGH_BITS = 6, 28
"""The clock of EVT 2 has 34 bits: six in each event, the others in clock words."""


class RawReader(BinaryReader):
    """A reader of a Prophesee raw format: lines of text that begin with `% `, then words in one of their encodings.

    Source of the formats: Prophesee's documentation of the RAW file format and of each encoding. The sensor size is in
    the header, or that of the camera named there.
    """

    sensors = ((304, 240), (320, 320), (480, 360), (640, 480), (1280, 720))
    encoding: ClassVar[str]

    def sniff(self, head: bytes) -> bool:
        """Check the header for the encoding; raise `BadInput` for an encoding that no reader supports."""
        if not head.startswith(HEADER_PREFIX):
            return False
        fields, _ = read_header_fields(io.BytesIO(head))
        encoding = parse_encoding(fields) or f"EVT{fields.get('evt', '').removesuffix('.0')}"
        if encoding.startswith("EVT") and encoding not in ("EVT", *VERSIONS.values()):
            raise BadInput(f"expected EVT2, EVT2.1 or EVT3, got {encoding[:40]}; {CONVERT}")
        return encoding == self.encoding

    def parse_header(self, file: IO[bytes], path: Path) -> BinaryHeader:
        fields, start = read_header_fields(file)
        check_header_end(file, start, HEADER_PREFIX, path)
        if parse_encoding(fields) != self.encoding:
            raise BadInput(f"{path}: expected encoding {self.encoding}, got {parse_encoding(fields) or 'none'}")
        return BinaryHeader(start, self.create_decoder(fields), parse_sensor_size(fields), parse_start_time(fields))

    @abstractmethod
    def create_decoder(self, fields: Mapping[str, str]) -> BlockDecoder:
        """Create the decoder for a file with these header fields."""


HEADER_ENDS = (b"% end",)
SHORT_HEADER_BYTES = 4096
SHORT_HEADER = re.compile(rb"(?:%[^\n\0]*\n)+")
"""The lines of a header in its first bytes; those after `% end` are not part of it."""


def read_header_fields(file: IO[bytes]) -> tuple[Mapping[str, str], int]:
    """Return the fields of a Prophesee header, by name in lower case, and the byte after it.

    The parts of `format EVT3;height=720;width=1280` are fields too, the first under `format`.
    """
    position = file.tell()
    if (short := SHORT_HEADER.match(file.read(SHORT_HEADER_BYTES))) and short.end() < SHORT_HEADER_BYTES // 2:
        return _parse_header(short[0])
    file.seek(position)
    lines, start = read_header_lines(file, HEADER_PREFIX, HEADER_ENDS)
    return _parse_fields(tuple(lines)), start


@lru_cache(maxsize=256)
def _parse_header(header: bytes) -> tuple[Mapping[str, str], int]:
    """Parse a header; cached, as detection and reader, and often many files, have the same one."""
    lines, start = read_header_lines(io.BytesIO(header), HEADER_PREFIX, HEADER_ENDS)
    return _parse_fields(tuple(lines)), start


def _parse_fields(lines: tuple[str, ...]) -> Mapping[str, str]:
    """Return the fields of header lines."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.lower().partition(" ")
        fields[name] = value.strip()
    fields["format"], *parts = fields.get("format", "").split(";")
    for part in parts:
        name, _, value = part.partition("=")
        fields[name.strip()] = value.strip()
    return fields


def parse_encoding(fields: Mapping[str, str]) -> str:
    """Return `EVT2`, `EVT21` or `EVT3`, or the header's own text."""
    return fields["format"].upper() or VERSIONS.get(fields.get("evt", ""), "")


def parse_sensor_size(fields: Mapping[str, str]) -> tuple[int, int] | None:
    """Return the sensor's (width, height), from the header or the camera named there; None if unknown."""
    sides = fields.get("geometry", "").split("x")
    width, height = map(
        _parse_number, sides if len(sides) == 2 else (fields.get("width", ""), fields.get("height", ""))
    )
    if width is not None and height is not None:
        return width, height
    camera = fields.get("plugin_name", ""), fields.get("sensor_generation", fields.get("generation", ""))
    return next((size for name, size in GENERATIONS.items() if name in camera[0] or name == camera[1]), None)


def parse_start_time(fields: Mapping[str, str]) -> int:
    """Return the microseconds to add to all times: the field t0 of faery."""
    return _parse_number(fields.get("t0", "")) or 0


def _parse_number(text: str) -> int | None:
    """Return a whole number; None if it is invalid or exceeds 60 bits."""
    return int(text) if text.isdecimal() and len(text) <= 18 else None


class Evt2Reader(RawReader):
    """A reader of words of 32 bits: one event each, or the clock's upper 28 bits; triggers and others are skipped."""

    encoding = "EVT2"

    def create_decoder(self, fields: Mapping[str, str]) -> BlockDecoder:
        pixels = PixelPacking(11, 2047, 0, 2047, 28)
        return BlockDecoder(
            _decode, np.uint32, 4, pixels,
            counts=COUNTS, find_split=_find_first_time, count_events=_count_events, join_clock=_join_clock,
        )  # fmt: skip

    def write(self, sample: EventStream, path: Path) -> None:
        self.write_chunks([sample], path)

    def write_chunks(self, chunks: Iterable[EventStream], path: Path) -> None:
        """Write the chunks of one recording, one after the other; raise `BadInput` beyond 2048x2048 pixels."""
        write_raw(chunks, path, EVT2)


def _find_first_time(words: np.ndarray) -> int:
    """Return the index of the first clock word."""
    indices = np.flatnonzero(words >> np.uint32(HIGH_BITS) == TIME_HIGH)
    return int(indices[0]) if len(indices) else len(words)


@kernel
def _count_events(words: np.ndarray) -> int:
    """Count the words that are events."""
    count = 0
    for word in words:
        count += word < np.uint32(FIRST_NON_EVENT)
    return count


def _join_clock(state: np.ndarray, word: int) -> int:
    set_clock(state, np.uint32(word))
    return int(state[WRAPS]) << (HIGH_BITS + LOW_BITS)


@kernel
def set_clock(state: np.ndarray, word: np.uint32) -> int:
    """Set the clock by a clock word; return its time in microseconds.

    A decrease by more than half the range is a wrap: one damaged word shifts the clock by at most one range.
    """
    high = np.int64(word & np.uint32((1 << HIGH_BITS) - 1))
    if state[STARTED] and state[CLOCK_HIGH] - high > 1 << (HIGH_BITS - 1):
        state[WRAPS] += 1
    state[CLOCK_HIGH], state[STARTED] = high, 1
    return compute_high_time(state)


@kernel
def compute_high_time(state: np.ndarray) -> int:
    """Return the time in microseconds of the upper clock bits."""
    return (state[WRAPS] << HIGH_BITS | state[CLOCK_HIGH]) << LOW_BITS


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    # Unsigned indices avoid a check for negative ones at each access.
    clock, n = compute_high_time(state), U(len(words))
    count = i = U(0)
    while i < n:
        end = _find_end_of_events(words, i)
        for j in range(end - i):
            pixels[count + j] = words[i + j]
        for j in range(end - i):
            times[count + j] = clock | np.int64(words[i + j] >> np.uint32(22) & np.uint32(63))
        count += end - i
        if end < n:
            kind = words[end] >> np.uint32(28)
            if kind == TIME_HIGH:
                if not state[STARTED]:  # events before the first clock word have no time
                    state[UNTIMED] += np.int64(count)
                    count = U(0)
                clock = set_clock(state, words[end])
            state[TRIGGERS] += kind == 10
        i = end + U(1)
    if not state[STARTED]:
        state[UNTIMED] += np.int64(count)
        count = U(0)
    return int(count)


@kernel
def _find_end_of_events(words: np.ndarray, i: np.uint64) -> np.uint64:
    """Return the index, from `i` on, of the first word that is not an event. Sixteen are tested at once."""
    n, other = U(len(words)), np.uint32(FIRST_NON_EVENT)
    while i + U(16) <= n:
        kinds = np.uint32(0)
        for j in range(U(16)):
            kinds |= words[i + j]
        if kinds >= other:
            break
        i += U(16)
    while i < n and words[i] < other:
        i += U(1)
    return i
