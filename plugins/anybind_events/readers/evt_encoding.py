"""Writing of EVT 2.0 and EVT 3.0 recordings (`.raw`).

Source of the formats: Prophesee's documentation of the RAW file format and of each encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.encoding import FormatLimits, split_blocks
from anybind_events.stream import EventStream

MAX_SIDE = 2048
"""Largest sensor side in pixels: columns and rows have 11 bits."""
MAX_TIME = (1 << 59) - 1
"""Latest time in microseconds: readers of `t0` accept 18 digits."""
MAX_WRAPS = 1 << 20
"""Largest number of clock wraps between two events: half a year in EVT 3, centuries in EVT 2."""
CLOCK_WORDS = 6
"""Largest number of clock words per wrap: one a quarter, the last one before the wrap, and one where a block begins."""
HEADER = """% evt {version}
% format {name};height={height};width={width}
% geometry {width}x{height}
% integrator_name anybind
{start}% end
"""
"""A reader of `t0` (this one, faery) adds it to all times; others give times after it."""


class EvtEncoding(NamedTuple):
    """How one version of the format is written.

    Attributes:
        name, version: as in the header.
        word_type: type of the words.
        low_bits, high_bits: bits of the clock in or before each event, and in the words of the upper clock bits.
        max_words: largest number of words of an event, including that of the upper clock bits.
        encode: `encode(x, y, t, p, state, words) -> int` writes the words and returns their number. `state` is
            (2,) int64: the upper clock bits with wraps, and the row, of the previous event; -1 before the first one.
    """

    name: str
    version: str
    word_type: type[np.unsignedinteger]
    low_bits: int
    high_bits: int
    max_words: int
    encode: Callable[..., int]

    @property
    def range_us(self) -> int:
        """Microseconds until the clock wraps."""
        return 1 << (self.low_bits + self.high_bits)


def write_raw(chunks: Iterable[EventStream], path: Path, encoding: EvtEncoding) -> None:
    """Write the chunks of one recording, one after the other.

    A recording that begins after the first wrap of the clock is written relative to the wrap before it, which the
    header names as `t0`: without it, a reader could not tell how often the clock had wrapped.

    Raises:
        BadInput: a sensor of more than 2048x2048 pixels, negative or decreasing times, or a pause of centuries.
    """
    start_us, size, state = -1, (0, 0), np.full(2, -1, np.int64)
    limits = FormatLimits(encoding.name, MAX_SIDE, MAX_SIDE, MAX_TIME, ".h5 or .npz")
    with path.open("wb") as file:
        for block in split_blocks(chunks, limits):
            size = block.width, block.height
            if start_us < 0 and len(block):
                start_us = int(block.t[0]) // encoding.range_us * encoding.range_us
                file.write(_format_header(encoding, size, start_us))
            if len(block):
                file.write(_encode_block(block, start_us, state, encoding).data)
        if start_us < 0:
            file.write(_format_header(encoding, size, 0))


def _format_header(encoding: EvtEncoding, size: tuple[int, int], start_us: int) -> bytes:
    start = f"% t0 {start_us}\n" if start_us else ""
    width, height = size
    return HEADER.format(version=encoding.version, name=encoding.name, start=start, width=width, height=height).encode()


def _encode_block(block: EventStream, start_us: int, state: np.ndarray, encoding: EvtEncoding) -> np.ndarray:
    times = block.t - start_us
    n_wraps = (int(times[-1]) - (max(int(state[0]), 0) << encoding.low_bits)) // encoding.range_us + 1
    if n_wraps > MAX_WRAPS:
        pause_us = MAX_WRAPS * encoding.range_us
        raise BadInput(f"{encoding.name} supports pauses of up to {pause_us} us; select a range by --start and --end")
    words = np.empty(encoding.max_words * len(block) + CLOCK_WORDS * (n_wraps + 1), encoding.word_type)
    return words[: encoding.encode(block.x, block.y, times, block.p, state, words)]


@kernel
def _advance_clock(words: np.ndarray, count: int, previous: int, high: int, bits: int, kind: int) -> int:
    """Write the upper clock bits, and before them each quarter of the range and the last value before each wrap.

    Decoders recognise a wrap by a large decrease, and a large increase as a late word, as a pause would cause.
    """
    mask, step = (1 << bits) - 1, 1 << (bits - 2)
    mark = (previous // step + 1) * step
    while mark <= high:
        if mark & mask == 0 and mark - 1 > previous:
            words[count] = kind | mask
            count += 1
        if mark < high:
            words[count] = kind | (mark & mask)
            count += 1
        mark += step
    words[count] = kind | (high & mask)
    return count + 1


@kernel
def _encode_evt2(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, state: np.ndarray, words: np.ndarray
) -> int:
    count, high = 0, state[0]
    for i in range(len(t)):
        if t[i] >> 6 != high:
            count = _advance_clock(words, count, high, t[i] >> 6, 28, 8 << 28)
            high = t[i] >> 6
        words[count] = np.int64(p[i]) << 28 | (t[i] & 63) << 22 | np.int64(x[i]) << 11 | np.int64(y[i])
        count += 1
    state[0] = high
    return count


@kernel
def _encode_evt3(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, state: np.ndarray, words: np.ndarray
) -> int:
    count, high, row, previous_us = 0, state[0], state[1], np.int64(-1)
    for i in range(len(t)):
        if t[i] >> 12 != high:
            count = _advance_clock(words, count, high, t[i] >> 12, 12, 8 << 12)
            high = t[i] >> 12
        if t[i] != previous_us:
            words[count] = 6 << 12 | (t[i] & 4095)
            count, previous_us = count + 1, t[i]
        if y[i] != row:
            words[count] = y[i]
            count, row = count + 1, np.int64(y[i])
        words[count] = 2 << 12 | np.int64(p[i]) << 11 | np.int64(x[i])
        count += 1
    state[0], state[1] = high, row
    return count


EVT2 = EvtEncoding("EVT2", "2.0", np.uint32, 6, 28, 2, _encode_evt2)
EVT3 = EvtEncoding("EVT3", "3.0", np.uint16, 12, 12, 4, _encode_evt3)
