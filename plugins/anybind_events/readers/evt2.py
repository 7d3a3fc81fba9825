"""EVT 2.0 recordings of Prophesee cameras (`.raw`), and the header that all their raw formats share."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import IO, ClassVar

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.binary import BinaryReader, header_lines
from anybind_events.readers.blocks import FIRST_FREE, Body, Decoder, Pixels

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
"""Sensors by what names of camera drivers hold, and by the number of the sensor's generation."""
VERSIONS = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}
WRAPS, HIGH, STARTED, TRIGGERS, UNTIMED = range(FIRST_FREE, FIRST_FREE + 5)
"""Places in the state: how often the clock went round, its high part, whether it was told yet; words passed over."""
COUNTS = {"clock_wraps": WRAPS, "skipped_triggers": TRIGGERS, "skipped_untimed": UNTIMED}
U = np.uint64
TIME_HIGH = 8
"""The kind, in the upper four bits of a word, of those that tell the clock."""
OTHERS = 1 << 29
"""From this number on a word is no event."""
LOW_BITS, HIGH_BITS = 6, 28
"""The clock of EVT 2 is of 34 bits: six come with each event, the rest in words of their own."""


class RawReader(BinaryReader):
    """A raw format of Prophesee: lines of text that begin with `% `, then words in one of their encodings.

    Source of the formats: Prophesee's documentation of the RAW file format and of each encoding. The sensor is what
    the header says, or that of the camera that it names.
    """

    sensors = ((304, 240), (320, 320), (480, 360), (640, 480), (1280, 720))
    encoding: ClassVar[str]

    def sniff(self, head: bytes) -> bool:
        """The header names the encoding."""
        return encoding_of(header_fields(io.BytesIO(head))[0]) == self.encoding

    def body(self, file: IO[bytes], path: Path) -> Body:
        fields, start = header_fields(file)
        if encoding_of(fields) != self.encoding:
            raise BadInput(f"{path} is no recording in {self.encoding}: its header does not say so")
        return Body(start, self.decoder(fields), sensor_of(fields), start_of(fields))

    @abstractmethod
    def decoder(self, fields: Mapping[str, str]) -> Decoder:
        """The decoder for a file with these fields in its header."""


def header_fields(file: IO[bytes]) -> tuple[dict[str, str], int]:
    """What a header of Prophesee's says, by name in lower case, and the byte behind it.

    The parts of `format EVT3;height=720;width=1280` are fields too, the first under `format`.
    """
    lines, start = header_lines(file, b"%", (b"% end",))
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.lower().partition(" ")
        fields[name] = value.strip()
    fields["format"], *parts = fields.get("format", "").split(";")
    for part in parts:
        name, _, value = part.partition("=")
        fields[name.strip()] = value.strip()
    return fields, start


def encoding_of(fields: Mapping[str, str]) -> str:
    """`EVT2`, `EVT21` or `EVT3`, or else what the header says."""
    return fields["format"].upper() or VERSIONS.get(fields.get("evt", ""), "")


def sensor_of(fields: Mapping[str, str]) -> tuple[int, int] | None:
    """The sensor's (width, height), where the header says it or names the camera."""
    sides = fields.get("geometry", "").split("x")
    width, height = map(_number, sides if len(sides) == 2 else (fields.get("width", ""), fields.get("height", "")))
    if width is not None and height is not None:
        return width, height
    camera = fields.get("plugin_name", ""), fields.get("sensor_generation", fields.get("generation", ""))
    return next((size for name, size in GENERATIONS.items() if name in camera[0] or name == camera[1]), None)


def start_of(fields: Mapping[str, str]) -> int:
    """Microseconds to add to all times: what faery calls t0."""
    return _number(fields.get("t0", "")) or 0


def _number(text: str) -> int | None:
    """A whole number, None where it is none that fits into 60 bits."""
    return int(text) if text.isdecimal() and len(text) <= 18 else None


class Evt2Reader(RawReader):
    """Words of 32 bits: one event each, or the clock's upper 28 bits; external triggers and others are passed over."""

    encoding = "EVT2"

    def decoder(self, fields: Mapping[str, str]) -> Decoder:
        pixels = Pixels(11, 2047, 0, 2047, 28)
        seams = {"seam": _first_time, "events": _events, "turns": _turns}
        return Decoder(_decode, np.uint32, 4, pixels, counts=COUNTS, **seams)


def _first_time(words: np.ndarray) -> int:
    """The place of the first word with the clock's upper bits."""
    found = np.flatnonzero(words >> np.uint32(HIGH_BITS) == TIME_HIGH)
    return int(found[0]) if len(found) else len(words)


@kernel
def _events(words: np.ndarray) -> int:
    """How many of the words are events."""
    found = 0
    for word in words:
        found += word < np.uint32(OTHERS)
    return found


def _turns(state: np.ndarray, word: int) -> int:
    set_clock(state, np.uint32(word))
    return int(state[WRAPS]) << (HIGH_BITS + LOW_BITS)


@kernel
def set_clock(state: np.ndarray, word: np.uint32) -> int:
    """Take in a word with the upper bits of the clock; the time in microseconds that it stands for.

    A fall by more than half the range is a wrap. So one damaged word moves the clock by a range at most.
    """
    high = np.int64(word & np.uint32((1 << HIGH_BITS) - 1))
    if state[STARTED] and state[HIGH] - high > 1 << (HIGH_BITS - 1):
        state[WRAPS] += 1
    state[HIGH], state[STARTED] = high, 1
    return time_high(state)


@kernel
def time_high(state: np.ndarray) -> int:
    """The time in microseconds that the upper bits of the clock stand for."""
    return (state[WRAPS] << HIGH_BITS | state[HIGH]) << LOW_BITS


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    # Places are unsigned, since the compiler would ask of each signed one whether it is negative.
    clock, n = time_high(state), U(len(words))
    at = i = U(0)
    while i < n:
        end = _end_of_events(words, i)
        for j in range(end - i):
            pixels[at + j] = words[i + j]
        for j in range(end - i):
            times[at + j] = clock | np.int64(words[i + j] >> np.uint32(22) & np.uint32(63))
        at += end - i
        if end < n:
            kind = words[end] >> np.uint32(28)
            if kind == TIME_HIGH:
                if not state[STARTED]:  # what came before the first time has none
                    state[UNTIMED] += np.int64(at)
                    at = U(0)
                clock = set_clock(state, words[end])
            state[TRIGGERS] += kind == 10
        i = end + U(1)
    if not state[STARTED]:
        state[UNTIMED] += np.int64(at)
        at = U(0)
    return int(at)


@kernel
def _end_of_events(words: np.ndarray, i: np.uint64) -> np.uint64:
    """The place, from `i` on, of the first word that is no event. Sixteen are asked at once, by their upper bits."""
    n, other = U(len(words)), np.uint32(OTHERS)
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
