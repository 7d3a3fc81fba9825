"""`.bin` files of N-MNIST and N-Caltech101: events of 40 bits, without a header."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.binary import BinaryReader
from anybind_events.readers.blocks import FIRST_FREE, BinaryHeader, BlockDecoder, PixelPacking
from anybind_events.readers.encoding import FormatLimits
from anybind_events.readers.unpacking import VECTORISED_EVENTS
from anybind_events.stream import EventStream

EVENT_BYTES = 5
OVERFLOW_ROW = 240
"""An event with this y is a marker: the sensor's 13-bit clock wrapped. The ATIS ends at row 239."""
OVERFLOW_US = 1 << 13
MAX_TIME = (1 << 23) - 1
WRAPS, EVENTS, DESCENTS, PREVIOUS_US = range(FIRST_FREE, FIRST_FREE + 4)
"""State indices: clock, number of events, of those with an earlier time than the previous one, and that time."""
PIXELS, COUNTS = PixelPacking(0, 255, 8, 255, 16), {"clock_wraps": WRAPS}
MIN_JUDGED_EVENTS, MAX_DESCENTS = 20, 0.25
"""Events from which on a file is judged by its times, and the fraction of descents that no recording has.

Every second one of random times is a descent.
"""


class BinReader(BinaryReader):
    """A reader of five bytes per event: x, y, then polarity (1 bit) and time in microseconds (23 bits), big endian.

    An event in row 240 shifts all later ones by 8,192 us. As the format has no signature, a file in which more than a
    quarter of the times are below the previous one is an error. Source of the format: the datasets' description by
    Orchard et al., 2015.
    """

    sensors = ((34, 34), (240, 180), (304, 240))  # N-MNIST, N-Caltech101, ATIS

    def parse_header(self, file: IO[bytes], path: Path) -> BinaryHeader:
        return BinaryHeader(
            0, BlockDecoder(partial(_decode_recording, path), np.uint8, EVENT_BYTES, PIXELS, counts=COUNTS)
        )

    def write(self, sample: EventStream, path: Path) -> None:
        """Write a recording; raise `BadInput` if it is empty, or its sensor or times exceed the format's range."""
        if not len(sample):
            raise BadInput("a recording without events would be an empty file; choose another ending")
        FormatLimits(".bin", 256, OVERFLOW_ROW, MAX_TIME).check(sample)
        packed = np.empty((len(sample), EVENT_BYTES), dtype=np.uint8)
        packed[:, 0], packed[:, 1] = sample.x, sample.y
        packed[:, 2] = (sample.p.astype(np.int64) << 7) | (sample.t >> 16)
        packed[:, 3], packed[:, 4] = (sample.t >> 8) & 255, sample.t & 255
        path.write_bytes(packed.tobytes())


def _decode_recording(path: Path, words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    """Decode a block; raise `BadInput` if the times so far are not those of a recording."""
    count = _decode(words, state, pixels, times)
    events, descents = int(state[EVENTS]), int(state[DESCENTS])
    if events >= MIN_JUDGED_EVENTS and descents > MAX_DESCENTS * events:
        raise BadInput(
            f"{path}: not a recording of this format: {descents} of {events} times are below the previous one;"
            " expected a .bin file of N-MNIST or N-Caltech101 (40-bit events)"
        )
    return count


def _decode_vectorised(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    """As `_decode`, in NumPy."""
    table = words[: len(words) // EVENT_BYTES * EVENT_BYTES].reshape(-1, EVENT_BYTES)
    is_marker = table[:, 1] == OVERFLOW_ROW
    wraps = state[WRAPS] + np.cumsum(is_marker)
    x, y, high, middle, low = table[~is_marker].astype(np.uint32).T
    count = len(x)
    times[:count] = wraps[~is_marker] * OVERFLOW_US + ((high & 127) << 16 | middle << 8 | low)
    pixels[:count] = x | y << 8 | high >> 7 << 16
    if count:
        previous = np.concatenate([state[PREVIOUS_US : PREVIOUS_US + 1], times[: count - 1]])
        state[DESCENTS] += np.count_nonzero(times[:count] < previous)
        state[PREVIOUS_US] = times[count - 1]
    state[WRAPS] = wraps[-1] if len(wraps) else state[WRAPS]
    state[EVENTS] += count
    return count


@kernel(vectorised=_decode_vectorised, limit=EVENT_BYTES * VECTORISED_EVENTS)
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    offset_us, count = state[WRAPS] * OVERFLOW_US, np.uint64(0)
    for i in range(len(words) // EVENT_BYTES):
        event = words[EVENT_BYTES * i : EVENT_BYTES * i + EVENT_BYTES]
        if event[1] == OVERFLOW_ROW:
            offset_us += OVERFLOW_US
            continue
        high = np.uint32(event[2])
        time = offset_us + np.int64((high & np.uint32(127)) << 16 | np.uint32(event[3]) << 8 | np.uint32(event[4]))
        state[DESCENTS] += time < state[PREVIOUS_US]
        state[PREVIOUS_US] = times[count] = time
        pixels[count] = np.uint32(event[0]) | np.uint32(event[1]) << 8 | high >> 7 << 16
        count += np.uint64(1)
    state[WRAPS] = offset_us // OVERFLOW_US
    state[EVENTS] += np.int64(count)
    return int(count)
