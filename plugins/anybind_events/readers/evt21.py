"""EVT 2.1 recordings of Prophesee cameras (`.raw`): up to 32 events of a row in one word."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anybind.plugin import kernel
from anybind_events.readers.blocks import Decoder, Pixels
from anybind_events.readers.evt2 import COUNTS, STARTED, TRIGGERS, UNTIMED, RawReader, set_clock, time_high

SWAPPED = UNTIMED + 1
"""Place in the state: whether the upper half of each word comes first."""


class Evt21Reader(RawReader):
    """Words of 64 bits, little endian: a pixel and 32 flags of it and those to its right, or the clock's upper bits.

    The IMX636 writes the upper 32 bits of each word first, which a header says as `endianness=legacy`.
    """

    encoding = "EVT21"

    def decoder(self, fields: Mapping[str, str]) -> Decoder:
        decoder = Decoder(_decode, np.uint32, 8, Pixels(0, 4095, 12, 2047, 24), most=32, counts=COUNTS)
        decoder.state[SWAPPED] = fields.get("endianness") == "legacy"
        return decoder


@kernel
def _decode(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    at = 0
    clock = time_high(state)
    upper = 0 if state[SWAPPED] else 1
    for i in range(0, len(words), 2):
        word, flags = words[i + upper], words[i + 1 - upper]
        kind = word >> np.uint32(28)
        if kind == 8:
            if not state[STARTED]:  # what came before the first time has none
                state[UNTIMED] += at
                at = 0
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
                    pixels[at], times[at] = pixel, time
                    at += 1
                pixel += np.uint32(1)
                flags >>= np.uint32(1)
    if not state[STARTED]:
        state[UNTIMED] += at
        return 0
    return at
