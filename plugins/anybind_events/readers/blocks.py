"""One pass over a file of binary events, block by block: decoding by the format's kernel, checks, columns.

The kernel turns the words of a file into packed pixels and unwrapped times. The rest is common to all formats: events
outside the sensor are dropped, decreasing times are raised to the previous one, and both are counted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput
from anybind_events.disorder import SPLIT_HINT, TimeOrder
from anybind_events.event_columns import DTYPES, parse_size
from anybind_events.readers.unpacking import (
    BACKWARDS,
    LAG_US,
    LAST_COLUMN,
    LAST_ROW,
    NO_TIME,
    OUTSIDE,
    PIXEL_DTYPE,
    allocate_arrays,
    convert_packing,
    unpack_events,
)
from anybind_events.stream import EventStream

EventFile = BufferedReader | BytesIO
"""A file, or the contents of a small one."""
SINGLE_THREAD_BYTES = 1 << 24
"""Files up to this size use one thread: a second one would take longer to start."""
MIN_OUTSIDE, MAX_OUTSIDE = 1000, 0.1
"""Number and fraction of events outside the sensor that need no warning: a few are noise of the transmission."""
BLOCK_BYTES, PARALLEL_BLOCK_BYTES = 1 << 17, 1 << 18
"""Bytes decoded at once, so that they stay in a core's cache; more with two threads, which exchange blocks."""
MAX_BLOCK_EVENTS = 1 << 20
"""Maximum number of events per block, for formats with several events per word."""
UNREAD, PENDING, FIRST_FREE = 0, 1, 2
"""Indices in a decoder's state: bytes that a kernel left for its next call, bytes still missing in the file."""


class PixelPacking(NamedTuple):
    """Bit layout of the column, row and polarity of an event in 32 bits: shifts, and masks after shifting."""

    x: int
    x_mask: int
    y: int
    y_mask: int
    p: int


@dataclass
class BlockDecoder:
    """A format's kernel and its state for one file.

    Attributes:
        kernel: `kernel(words, state, pixels, times) -> int` writes the packed pixel (uint32) and the unwrapped time
            (int64, microseconds) of each event and returns their number, or -1 if the file is corrupt, `state[UNREAD]`
            bytes before the end of the words. It may write one event more than there are.
        word_type: type of the words.
        unit_bytes: bytes of a unit; the kernel receives whole units.
        pixels: bit layout of the pixels.
        event_bytes, max_events: this many bytes contain at most this many events; default: one event per unit.
        counts: names of the kernel's counts, and their indices in the state.
        find_split: returns the index of the first word from which on events depend on nothing earlier but clock wraps,
            or the number of words. Formats with this function can be read in halves.
        count_events: returns the number of events in words; default: one per unit.
        join_clock: takes the state after the first half and the first word of the second; counts a clock wrap between
            them, and returns the microseconds to add to the second half.
        state: (16,) int64; all but `UNREAD` and `PENDING` belongs to the kernel.
    """

    kernel: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], int]
    word_type: type[np.generic]
    unit_bytes: int
    pixels: PixelPacking
    event_bytes: int = 0
    max_events: int = 1
    counts: Mapping[str, int] = field(default_factory=dict)
    find_split: Callable[[np.ndarray], int] | None = None
    count_events: Callable[[np.ndarray], int] | None = None
    join_clock: Callable[[np.ndarray, int], int] | None = None
    state: np.ndarray = field(default_factory=lambda: np.zeros(16, np.int64))

    def __post_init__(self) -> None:
        self.event_bytes = self.event_bytes or self.unit_bytes


class BinaryHeader(NamedTuple):
    """The contents of a file header.

    Attributes:
        start: the byte where the events begin.
        decoder: decoder of the events.
        size: (width, height) of the sensor; None if unknown.
        start_us: microseconds to add to all times.
    """

    start: int
    decoder: BlockDecoder
    size: tuple[int, int] | None = None
    start_us: int = 0


class DecodingPass:
    """One pass over a file, block by block, and its counts.

    Attributes:
        file, path, header: the file.
        decoder: the decoder with its current state.
        size: (width, height) of the sensor, as given or from the header; None if unknown.
        start_us: microseconds to add to all times.
        n_bytes: number of bytes after the header.
        parallel: whether a second thread pays off.
        block_events: maximum number of events in a block.
        offset: the byte after the last complete event or packet.
        stop: the byte where the pass ends; None: the end of the file, also of one that grows.
        truncated_bytes: bytes after `offset` at the end of the file, or bytes that are missing there.
        counts: (8,) int64: see `anybind_events.readers.unpacking`.
    """

    def __init__(
        self,
        file: EventFile,
        path: Path,
        header: BinaryHeader,
        size: tuple[int, int] | None,
        stop: int | None = None,
    ) -> None:
        size = None if size is None else parse_size(size)
        self.file, self.path, self.header = file, path, header
        self.offset, self.decoder, header_size, self.start_us = header
        pixels, unit = self.decoder.pixels, self.decoder.unit_bytes
        limits = pixels.x_mask + 1, pixels.y_mask + 1
        self.size, self._has_given_size = size or header_size, size is not None
        if not size and header_size and not all(0 < s <= limit for s, limit in zip(header_size, limits, strict=True)):
            wxh = "x".join(map(str, header_size))
            raise BadInput(f"{path}: unsupported sensor size {wxh} in the header; give size=(width, height)")
        self.counts = np.array([NO_TIME, 0, 0, 0, 0, *(self.size or limits), 0], np.int64)
        self.truncated_bytes = self._leftover = 0
        self.stop = stop
        self.n_bytes = max(0, (stop or file.seek(0, os.SEEK_END)) - self.offset)
        self._end = self.offset + self.n_bytes if isinstance(file, BytesIO) else -1
        self.parallel = self.n_bytes > SINGLE_THREAD_BYTES
        block = PARALLEL_BLOCK_BYTES if self.parallel else min(BLOCK_BYTES, self.n_bytes)
        block = min(block, MAX_BLOCK_EVENTS // self.decoder.max_events * self.decoder.event_bytes)
        self._buffer = np.empty(max(block // unit, 1) * unit, np.uint8)
        self.block_events = len(self._buffer) // self.decoder.event_bytes * self.decoder.max_events
        file.seek(self.offset)

    def decode_block(self, columns: EventColumns) -> bool:
        """Decode the next block into columns; return False at the end of the file."""
        decoder, buffer = self.decoder, self._buffer
        position = self.offset + self._leftover
        free = buffer[self._leftover :]
        n_read = self.file.readinto((free[: self.stop - position] if self.stop else free).data)
        if not n_read:
            self.truncated_bytes = self._leftover or int(decoder.state[PENDING])
            return False
        filled = self._leftover + n_read
        words = buffer[: filled - filled % decoder.unit_bytes].view(decoder.word_type)
        events = decoder.kernel(words, decoder.state, *columns.get_buffers())
        self._leftover = filled % decoder.unit_bytes + int(decoder.state[UNREAD])
        self.offset += filled - self._leftover
        if events < 0:
            raise BadInput(f"{self.path}: corrupt at byte {self.offset}: not an event of the format")
        if self._leftover:
            buffer[: self._leftover] = buffer[filled - self._leftover : filled]
        columns.add_block(events)
        return True

    def decode_all(self, columns: EventColumns) -> None:
        """Decode all blocks into columns."""
        while self.decode_block(columns):
            if self.offset == self._end and not self.decoder.state[PENDING]:
                return  # a small file, which is in memory, needs no second read

    def report_damage(self, strict: bool, n_events: int, duration_us: int) -> None:
        """Warn of a truncated file, or raise `BadInput` if strict; warn of raised times that distort the recording.

        Args:
            strict: see above.
            n_events: number of events in the file.
            duration_us: microseconds from the first event to the last.
        """
        times = TimeOrder(0, duration_us, n_events, int(self.counts[BACKWARDS]), int(self.counts[LAG_US]))
        times.warn(str(self.path), SPLIT_HINT)
        outside = self.collect_notes().get("outside", 0)
        if outside > max(MIN_OUTSIDE, MAX_OUTSIDE * (n_events + outside)) and not self._has_given_size:
            message = f"{self.path}: {outside} of {n_events + outside} events are outside the sensor and were dropped"
            warnings.warn(f"{message}; give size=, or split a file of several recordings", AnybindWarning, stacklevel=3)
        if self.truncated_bytes:
            message = f"{self.path}: truncated: the data at byte {self.offset} are incomplete"
            if strict:
                raise BadInput(f"{message}; copy the file again, or read it without strict=")
            warnings.warn(f"{message}; the events before it are kept", AnybindWarning, stacklevel=3)

    def find_smallest_sensor(self, sensors: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return the first of the sensors that contains all events; raise `BadInput` if there is none."""
        last_column, last_row = int(self.counts[LAST_COLUMN]), int(self.counts[LAST_ROW])
        for width, height in sensors:
            if last_column < width and last_row < height:
                return width, height
        raise BadInput(
            f"{self.path}: an event at column {last_column} or row {last_row} is outside every sensor of this format;"
            " give size=(width, height)"
        )

    def collect_notes(self) -> dict[str, int]:
        """Return the counts so far, by name, without zeros."""
        counts, state = self.counts.tolist(), self.decoder.state.tolist()
        notes = {"outside": counts[OUTSIDE], "backwards": counts[BACKWARDS], "truncated_bytes": self.truncated_bytes}
        for name, index in self.decoder.counts.items():
            notes[name] = notes.get(name, 0) + state[index]
        return {name: number for name, number in notes.items() if number} if any(notes.values()) else {}


class EventColumns:
    """The columns of the decoded events. With a pool, a block is unpacked while the next one is decoded."""

    def __init__(
        self,
        decoding: DecodingPass,
        events: int,
        pool: ThreadPoolExecutor | None = None,
        columns: Sequence[np.ndarray] | None = None,
    ) -> None:
        self._pass, self._pool = decoding, pool
        self._bits = convert_packing(decoding.decoder.pixels)
        self._blocks = self._count = 0
        self._task: Future[None] | None = None
        capacity = decoding.block_events + 1  # kernels may write one event more than there are
        packed = [(PIXEL_DTYPE, capacity), (DTYPES["t"], capacity)] * (2 if pool else 1)
        specs = [] if columns else [(dtype, events) for dtype in DTYPES.values()]
        arrays = [*(columns or ()), *allocate_arrays([*specs, *packed])]
        self._columns, self._packed = arrays[:4], list(zip(arrays[4::2], arrays[5::2], strict=True))

    def get_buffers(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the arrays for the packed pixels and the times of the next block."""
        return self._packed[self._blocks % len(self._packed)]

    def add_block(self, events: int) -> None:
        """Unpack the events that a kernel has written."""
        self._wait()
        pixels, times = self.get_buffers()
        self._blocks += 1
        if self._pool:
            self._task = self._pool.submit(self._unpack, pixels[:events], times[:events])
        else:
            self._unpack(pixels[:events], times[:events])

    def _unpack(self, pixels: np.ndarray, times: np.ndarray) -> None:
        capacity = self._count + len(pixels)
        if capacity > len(self._columns[0]):
            longer = allocate_arrays([(dtype, max(capacity, 2 * self._count)) for dtype in DTYPES.values()])
            for new, old in zip(longer, self._columns, strict=True):
                new[: self._count] = old[: self._count]
            self._columns = longer
        self._count += unpack_events(pixels, times, self._bits, self._pass.counts, self._count, tuple(self._columns))

    def _wait(self) -> None:
        if self._task:
            self._task.result()

    @property
    def count(self) -> int:
        """Number of events."""
        self._wait()
        return self._count

    def replace_columns(self, columns: Sequence[np.ndarray], events: int) -> None:
        """Use longer columns, which begin with these and have this many more events after them."""
        self._columns = list(columns)
        self._count += events

    def build_stream(self, size: tuple[int, int], notes: Mapping[str, int]) -> EventStream:
        """Return all events as a stream; no events can be added afterwards."""
        self._wait()
        x, y, t, p = columns = [column[: self._count] for column in self._columns]
        if self._pass.start_us:
            t += self._pass.start_us
        for column in columns:
            column.setflags(write=False)
        return EventStream.from_valid(x, y, t, p, width=size[0], height=size[1], notes=notes)
