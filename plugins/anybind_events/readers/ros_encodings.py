"""Decoders of the events in messages of ROS, by the encoding that the messages name.

Source of the encodings: the package event_camera_codecs, which documents them by its decoders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from anybind.plugin import BadInput, kernel
from anybind_events.readers.blocks import FIRST_FREE, BlockDecoder, PixelPacking
from anybind_events.readers.evt3 import Evt3Reader
from anybind_events.readers.ros_messages import EventMessage

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""x, y, t (microseconds) and p, each (n,)."""
BLOCK_WORDS = 1 << 14
"""Words decoded at once: the buffers can contain all their events."""
NS_PER_US, US_PER_S = 1000, 1_000_000
PIXEL_AND_TIME = np.dtype([("pixel", "u4"), ("time", "i4")])
"""An event of `libcaer`."""
ROLLOVER_US, MIN_ROLLOVER_US = 1 << 31, 1 << 30
"""Period of libcaer's clock, and the decrease from which on it has rolled over."""
CLOCK_HIGH, CLOCK_LOW, COLUMN, ROW, POLARITY = range(FIRST_FREE, FIRST_FREE + 5)
"""State indices of `libcaer_cmp`: the clock within a message, and the pixel that later words refer to."""
TIME_HIGH, TIME_LOW, ADDRESS_X, ADDRESS_Y, VECTOR_BASE, VECTOR_8 = range(6)
"""Types of the words of `libcaer_cmp`, in their upper four bits."""


class EventDecoder:
    """The decoder of the messages of one topic, in their order: some encodings continue from message to message.

    Attributes:
        notes: counts of what was skipped or lost so far, by name.
    """

    def __init__(self) -> None:
        self.notes: Counter[str] = Counter()
        self._decoders: dict[str, Callable[[EventMessage], Columns]] = {}
        self._sequence: int | None = None

    def decode(self, message: EventMessage) -> Columns:
        """Decode the events of the next message.

        Raises:
            BadInput: its encoding is not supported, or its events are not of that encoding.
        """
        if message.encoding not in ENCODINGS:
            supported = ", ".join(filter(None, ENCODINGS))
            raise BadInput(f"the encoding {message.encoding!r} of its events is not supported; supported: {supported}")
        if message.encoding not in self._decoders:
            self._decoders[message.encoding] = ENCODINGS[message.encoding](self.notes)
        if message.sequence is not None:
            if self._sequence is not None and message.sequence > self._sequence + 1:
                self.notes["lost_messages"] += message.sequence - self._sequence - 1
            self._sequence = message.sequence
        return self._decoders[message.encoding](message)


class _WordDecoder:
    """A decoder of words of 16 bits, whose state continues from message to message."""

    def __init__(self, decoder: BlockDecoder, notes: Counter[str]) -> None:
        self.decoder, self.notes = decoder, notes
        capacity = BLOCK_WORDS * decoder.max_events + 1
        self.pixels, self.times = np.empty(capacity, np.uint32), np.empty(capacity, np.int64)

    def decode(self, message: EventMessage) -> Columns:
        words, decoder, bits = _view_words(message, np.dtype("u2")), self.decoder, self.decoder.pixels
        blocks = []
        for start in range(0, max(len(words), 1), BLOCK_WORDS):
            block = words[start : start + BLOCK_WORDS]
            count = decoder.kernel(block, decoder.state, self.pixels, self.times)
            if count < 0:
                raise BadInput(f"damaged {message.encoding} events")
            pixels = self.pixels[:count]
            x, y = pixels >> bits.x & bits.x_mask, pixels >> bits.y & bits.y_mask
            on = (pixels >> bits.p & 1).astype(np.bool_)
            blocks.append((x.astype(np.uint16), y.astype(np.uint16), self.times[:count].copy(), on))
        for name, index in decoder.counts.items():
            self.notes[name] = int(decoder.state[index])
        x, y, t, p = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return x, y, t, p


def _create_evt3_decoder(notes: Counter[str]) -> Callable[[EventMessage], Columns]:
    return _WordDecoder(Evt3Reader().create_decoder({}), notes).decode


def _create_libcaer_cmp_decoder(notes: Counter[str]) -> Callable[[EventMessage], Columns]:
    decoder = BlockDecoder(_decode_libcaer_cmp, np.uint16, 2, PixelPacking(0, 2047, 11, 2047, 22), max_events=8)
    words = _WordDecoder(decoder, notes)

    def decode(message: EventMessage) -> Columns:
        decoder.state[[CLOCK_HIGH, CLOCK_LOW]] = 0
        x, y, t, p = words.decode(message)
        return x, y, t + message.time_base // NS_PER_US, p

    return decode


@kernel
def _decode_libcaer_cmp(words: np.ndarray, state: np.ndarray, pixels: np.ndarray, times: np.ndarray) -> int:
    """Decode a block; an address in x is followed by those in y of the events in that column."""
    count = 0
    for i in range(len(words)):
        kind, value = words[i] >> 12, words[i] & 4095
        if kind == TIME_HIGH:
            state[CLOCK_HIGH] = value
        elif kind == TIME_LOW:
            state[CLOCK_LOW] = value
        elif kind == ADDRESS_X:
            state[COLUMN] = value & 2047
        elif kind == ADDRESS_Y:
            pixels[count] = state[COLUMN] | value << 11
            times[count] = state[CLOCK_HIGH] << 12 | state[CLOCK_LOW]
            count += 1
        elif kind == VECTOR_BASE:
            state[ROW], state[POLARITY] = value & 2047, value >> 11
        elif kind == VECTOR_8:
            for bit in range(8):
                if value >> bit & 1 and state[ROW] + bit < 2048:
                    pixels[count] = state[COLUMN] | state[ROW] + bit << 11 | state[POLARITY] << 22
                    times[count] = state[CLOCK_HIGH] << 12 | state[CLOCK_LOW]
                    count += 1
            state[ROW] += 8
        else:
            return -1
    return count


def _decode_libcaer(message: EventMessage) -> Columns:
    """Decode a pixel and a time of 32 bits per event."""
    events = _view_words(message, PIXEL_AND_TIME)
    pixels, time = events["pixel"], events["time"].astype(np.int64)
    time[1:] += np.cumsum(np.diff(time) < -MIN_ROLLOVER_US) * ROLLOVER_US
    time += message.time_base // NS_PER_US
    x, y = (pixels >> 17 & 0x7FFF).astype(np.uint16), (pixels >> 2 & 0x7FFF).astype(np.uint16)
    return x, y, time, (pixels >> 1 & 1).astype(np.bool_)


def _decode_mono(message: EventMessage) -> Columns:
    """Decode events of 64 bits: nanoseconds, column, row and polarity."""
    words = _view_words(message, np.dtype("u8"))
    time = words & 0xFFFFFFFF
    time += message.time_base % NS_PER_US
    time //= NS_PER_US
    time += message.time_base // NS_PER_US
    x, y = (words >> 32).astype(np.uint16), (words >> 48 & 0x7FFF).astype(np.uint16)
    return x, y, time.view(np.int64), (words >> 63).astype(np.bool_)


def _decode_list(message: EventMessage) -> Columns:
    events = message.events
    time = events["sec"].astype(np.int64) * US_PER_S + events["nanosec"] // NS_PER_US
    return events["x"], events["y"], time, events["on"] != 0


def _view_words(message: EventMessage, dtype: np.dtype) -> np.ndarray:
    """Return encoded events as words of this type in the machine's byte order."""
    if len(message.events) % dtype.itemsize:
        raise BadInput(f"{len(message.events)} bytes of {message.encoding} events are not whole words")
    order = ">" if message.is_big_endian else "<"
    return message.events.view(dtype.newbyteorder(order)).astype(dtype, copy=False)


ENCODINGS: dict[str, Callable[[Counter[str]], Callable[[EventMessage], Columns]]] = {
    "": lambda notes: _decode_list,
    "evt3": _create_evt3_decoder,
    "libcaer_cmp": _create_libcaer_cmp_decoder,
    "libcaer": lambda notes: _decode_libcaer,
    "mono": lambda notes: _decode_mono,
}
"""Decoders by encoding, made with the counts to update; the empty one is that of listed events."""
