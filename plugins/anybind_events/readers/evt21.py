"""EVT 2.1 recordings of Prophesee cameras (`.raw`): up to 32 events of a row in one word."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anybind.plugin import kernel
from anybind_events.readers.blocks import BlockDecoder, PixelPacking
from anybind_events.readers.evt2 import COUNTS, STARTED, TRIGGERS, UNTIMED, RawReader, compute_high_time, set_clock

SWAPPED = UNTIMED + 1
"""State index: whether the upper half of each word comes first."""


class Evt21Reader(RawReader):
    """A reader of words of 64 bits, little endian: a pixel and flags of 32 pixels from it on, or upper clock bits.

    The IMX636 writes the upper 32 bits of each word first, which the header marks by `endianness=legacy`.
    """

    encoding = "EVT21"

    def create_decoder(self, fields: Mapping[str, str]) -> BlockDecoder:
        decoder = BlockDecoder(_decode, np.uint32, 8, PixelPacking(0, 4095, 12, 2047, 24), max_events=32, counts=COUNTS)
        decoder.state[SWAPPED] = fields.get("endianness") == "legacy"
        return decoder


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    count = 0
    clock = compute_high_time(state)
    upper = 0 if state[SWAPPED] else 1
    for i in range(0, len(words), 2):
        word, flags = words[i + upper], words[i + 1 - upper]
        kind = word >> np.uint32(28)
        if kind == 8:
            if not state[STARTED]:  # events before the first clock word have no time
                state[UNTIMED] += count
                count = 0
            clock = set_clock(state, word)
        elif kind == 10:
            state[TRIGGERS] += 1
        elif kind < 2:
            time = clock | np.int64(word >> np.uint32(22) & np.uint32(63))
            pixel = (
                word >> np.uint32(11) & np.uint32(2047)
                | (word & np.uint32(2047)) << np.uint32(12)
                | kind << np.uint32(24)
            )
            while flags:
                if flags & np.uint32(1):
                    pixels[count], times[count] = pixel, time
                    count += 1
                pixel += np.uint32(1)
                flags >>= np.uint32(1)
    if not state[STARTED]:
        state[UNTIMED] += count
        return 0
    return count
