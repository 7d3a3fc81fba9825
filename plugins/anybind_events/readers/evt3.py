"""EVT 3.0 recordings of Prophesee cameras (`.raw`): words of 16 bits that encode only changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from anybind.plugin import kernel
from anybind_events.readers.blocks import FIRST_FREE, BlockDecoder, PixelPacking
from anybind_events.readers.evt2 import RawReader
from anybind_events.readers.evt_encoding import EVT3, write_raw
from anybind_events.stream import EventStream

FIELDS, WRAPS, CLOCK, COLUMN, POLARITY, STARTED, TRIGGERS, UNTIMED, LATE, OUTSIDE = range(FIRST_FREE, FIRST_FREE + 10)
"""State indices: fields below, clock wraps, latest time in us, position and polarity of vectors, counts."""
COUNTS = {
    "clock_wraps": WRAPS,
    "skipped_triggers": TRIGGERS,
    "skipped_untimed": UNTIMED,
    "backwards": LATE,
    "outside": OUTSIDE,
}
U = np.uint64
ROW, LOW, HIGH, ROUND = U(12), U(24), U(36), U(48)
"""Bit offsets of 12-bit words in a 64-bit event: column and polarity at 0, row, lower and upper clock bits. The bits
above count clock wraps, so that all from `LOW` on is a time."""
SHIFTS = np.zeros(16, U)
SHIFTS[[0, 6, 8]] = ROW, LOW, HIGH
"""Bit offsets by word type. Words without meaning go to the column, which each event overwrites."""
BITS = U(0xFFF)
COLUMNS = U(2048)
EVENT, BASE, VECTOR_12, VECTOR_8, TIME_HIGH, TRIGGER = 2, 3, 4, 5, 8, 10
BLOCK_WORDS = 1 << 16
"""Words after which the wrap count restarts at 0, before it overflows 16 bits."""
RARE = U(1 << BASE | 1 << VECTOR_12 | 1 << VECTOR_8 | 1 << TRIGGER)


class Evt3Reader(RawReader):
    """A reader of words of 16 bits: row, column and polarity, lower and upper clock bits, flags of up to 12 pixels.

    The lower clock bits restart at 0 when the upper ones change, and a time below an earlier one is raised to it.
    """

    encoding = "EVT3"

    def create_decoder(self, fields: Mapping[str, str]) -> BlockDecoder:
        return BlockDecoder(
            _decode, np.uint16, 2, PixelPacking(0, 2047, int(ROW), 2047, 11), max_events=12, counts=COUNTS
        )

    def write(self, sample: EventStream, path: Path) -> None:
        self.write_chunks([sample], path)

    def write_chunks(self, chunks: Iterable[EventStream], path: Path) -> None:
        """Write the chunks of one recording, one after the other; raise `BadInput` beyond 2048x2048 pixels."""
        write_raw(chunks, path, EVT3)


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    count = 0
    for i in range(0, len(words), BLOCK_WORDS):
        count += _decode_block(words[i : i + BLOCK_WORDS], state, pixels[count:], times[count:])
    return count


@kernel
def _decode_block(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    start = state[WRAPS] << 24
    fields, clock, count = U(state[FIELDS]), U(state[CLOCK] - start), U(0)
    rare = RARE if state[STARTED] else RARE | U(1) << U(TIME_HIGH)
    for i in range(len(words)):
        kind, value = U(words[i]) >> U(12), U(words[i]) & BITS
        if rare >> kind & U(1):
            if kind == TIME_HIGH:  # the first one: events before it have no time
                rare, count = RARE, _drop_untimed(state, count)
                fields, clock = fields & ~(BITS << LOW) | value << HIGH, value << (HIGH - LOW)
                state[STARTED] = 1
            elif kind == BASE:
                state[COLUMN], state[POLARITY] = value & U(2047), value & COLUMNS
            elif kind == TRIGGER:
                state[TRIGGERS] += 1
            else:
                count = _write_vector(value, U(12) if kind == VECTOR_12 else U(8), fields, clock, state, times, count)
            continue
        moved = fields & ~(BITS << SHIFTS[kind]) | value << SHIFTS[kind]
        if (moved ^ fields) >> HIGH:
            moved &= ~(BITS << LOW)
            if fields >> HIGH & BITS > (moved >> HIGH & BITS) + U(2048):
                moved += U(1) << ROUND
        fields = moved
        # Always written, but counted only for an event: cheaper than a branch.
        if fields >> LOW < clock:
            state[LATE] += kind == EVENT
            times[count] = clock << LOW | fields & U(0xFFFFFF)
        else:
            clock = fields >> LOW
            times[count] = fields
        count += U(kind == EVENT)
    for i in range(count):
        pixels[i] = np.uint32(times[i])
        times[i] = start + np.int64(U(times[i]) >> LOW)
    state[FIELDS], state[CLOCK] = fields & ((U(1) << ROUND) - U(1)), start + np.int64(clock)
    state[WRAPS] += np.int64(fields >> ROUND)
    return int(count if state[STARTED] else _drop_untimed(state, count))


@kernel
def _drop_untimed(state: np.ndarray, count: np.uint64) -> np.uint64:
    """Drop the events so far, since the clock has not started."""
    state[UNTIMED] += np.int64(count)
    state[LATE] = 0
    return U(0)


@kernel
def _write_vector(
    flags: np.uint64,
    width: np.uint64,
    fields: np.uint64,
    clock: np.uint64,
    state: np.ndarray,
    times: np.ndarray,
    count: np.uint64,
) -> np.uint64:
    """Write an event for each flag that is set, and return the new count."""
    event = clock << LOW | fields & BITS << ROW | U(state[POLARITY])
    column = U(state[COLUMN])
    state[COLUMN] += np.int64(width)
    for bit in range(width):
        if flags >> U(bit) & U(1):
            if column + U(bit) < COLUMNS:
                times[count] = event | column + U(bit)
                count += U(1)
                state[LATE] += fields >> LOW < clock
            else:
                state[OUTSIDE] += 1
    return count
