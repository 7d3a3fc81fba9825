"""EVT 3.0 recordings of Prophesee cameras (`.raw`): words of 16 bits that say only what changes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anybind.plugin import kernel
from anybind_events.readers.blocks import FIRST_FREE, Decoder, Pixels
from anybind_events.readers.evt2 import RawReader

FIELDS, WRAPS, CLOCK, COLUMN, RISE, STARTED, TRIGGERS, UNTIMED, LATE, OUTSIDE = range(FIRST_FREE, FIRST_FREE + 10)
"""Places in the state: the fields below, wraps, latest time in us, where vectors go on, words passed over, events."""
COUNTS = {
    "clock_wraps": WRAPS,
    "skipped_triggers": TRIGGERS,
    "skipped_untimed": UNTIMED,
    "backwards": LATE,
    "outside": OUTSIDE,
}
U = np.uint64
ROW, LOW, HIGH, ROUND = U(12), U(24), U(36), U(48)
"""Where the 12 bits of a word go among 64: column and polarity at 0, row, lower and upper part of the clock. The bits
above them count how often the clock went round, so that all from `LOW` on is a time."""
SHIFTS = np.zeros(16, U)
SHIFTS[[0, 6, 8]] = ROW, LOW, HIGH
"""The same by type of word. Words of no meaning go where the column is, which each event brings anew."""
BITS = U(0xFFF)
COLUMNS = U(2048)
EVENT, BASE, VECTOR_12, VECTOR_8, TIME_HIGH, TRIGGER = 2, 3, 4, 5, 8, 10
AT_ONCE = 1 << 16
"""Words after which the count of rounds starts at 0 again, before it could fill its 16 bits."""
RARE = U(1 << BASE | 1 << VECTOR_12 | 1 << VECTOR_8 | 1 << TRIGGER)


class Evt3Reader(RawReader):
    """Words of 16 bits: row, column and polarity, lower and upper part of the clock, flags of up to 12 pixels.

    The lower part of the clock starts at 0 when the upper part changes, and a time below one that was told before
    is taken for that one.
    """

    encoding = "EVT3"

    def decoder(self, fields: Mapping[str, str]) -> Decoder:
        return Decoder(_decode, np.uint16, 2, Pixels(0, 2047, int(ROW), 2047, 11), most=12, counts=COUNTS)


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    at = 0
    for i in range(0, len(words), AT_ONCE):
        at += _decode_some(words[i : i + AT_ONCE], state, pixels[at:], times[at:])
    return at


@kernel
def _decode_some(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    start = state[WRAPS] << 24
    fields, clock, at = U(state[FIELDS]), U(state[CLOCK] - start), U(0)
    rare = RARE if state[STARTED] else RARE | U(1) << U(TIME_HIGH)
    for i in range(len(words)):
        kind, value = U(words[i]) >> U(12), U(words[i]) & BITS
        if rare >> kind & U(1):
            if kind == TIME_HIGH:  # the first one: what came before has no time
                rare, at = RARE, _forget(state, at)
                fields, clock = fields & ~(BITS << LOW) | value << HIGH, value << (HIGH - LOW)
                state[STARTED] = 1
            elif kind == BASE:
                state[COLUMN], state[RISE] = value & U(2047), value & COLUMNS
            elif kind == TRIGGER:
                state[TRIGGERS] += 1
            else:
                at = _vector(value, U(12) if kind == VECTOR_12 else U(8), fields, clock, state, times, at)
            continue
        moved = fields & ~(BITS << SHIFTS[kind]) | value << SHIFTS[kind]
        if (moved ^ fields) >> HIGH:
            moved &= ~(BITS << LOW)
            if fields >> HIGH & BITS > (moved >> HIGH & BITS) + U(2048):
                moved += U(1) << ROUND
        fields = moved
        # Written whatever it is, and kept if it is an event: cheaper than asking.
        if fields >> LOW < clock:
            state[LATE] += kind == EVENT
            times[at] = clock << LOW | fields & U(0xFFFFFF)
        else:
            clock = fields >> LOW
            times[at] = fields
        at += U(kind == EVENT)
    for i in range(at):
        pixels[i] = np.uint32(times[i])
        times[i] = start + np.int64(U(times[i]) >> LOW)
    state[FIELDS], state[CLOCK] = fields & ((U(1) << ROUND) - U(1)), start + np.int64(clock)
    state[WRAPS] += np.int64(fields >> ROUND)
    return int(at if state[STARTED] else _forget(state, at))


@kernel
def _forget(state: np.ndarray, at: np.uint64) -> np.uint64:
    """Pass over the events so far, since the time was not told yet."""
    state[UNTIMED] += np.int64(at)
    state[LATE] = 0
    return U(0)


@kernel
def _vector(
    flags: np.uint64,
    width: np.uint64,
    fields: np.uint64,
    clock: np.uint64,
    state: np.ndarray,
    times: np.ndarray,
    at: np.uint64,
) -> np.uint64:
    """Write an event for each flag that is set, and return the place behind them."""
    event = clock << LOW | fields & BITS << ROW | U(state[RISE])
    column = U(state[COLUMN])
    state[COLUMN] += np.int64(width)
    for bit in range(width):
        if flags >> U(bit) & U(1):
            if column + U(bit) < COLUMNS:
                times[at] = event | column + U(bit)
                at += U(1)
                state[LATE] += fields >> LOW < clock
            else:
                state[OUTSIDE] += 1
    return at
