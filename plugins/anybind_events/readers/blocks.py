"""One pass over a file of binary events, block by block: decoded by the format's kernel, checked, put into columns.

The kernel turns the words of a file into packed pixels and unwrapped times. From there on all formats are alike:
events outside the sensor are dropped, times that fall are lifted, and both are counted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption, kernel
from anybind_events.stream import DTYPES, MAX_SENSOR, EventStream

ALONE_BYTES = 1 << 24
"""Files up to this size are not worth a second thread."""
BLOCK_BYTES, PAIRED_BLOCK_BYTES = 1 << 17, 1 << 19
"""How much of a file is decoded at once: what stays in a core's cache; more where two threads hand blocks over."""
BLOCK_EVENTS = 1 << 20
"""How many events a block may hold at most, in formats with several to a word."""
LEFT, DUE, FIRST_FREE = 0, 1, 2
"""Places in a decoder's state: bytes that a kernel left for its next call, bytes that the file still owes."""
LAST, OUTSIDE, BACKWARDS, RIGHT, BOTTOM, WIDTH, HEIGHT = range(7)
"""Places in the counts of a run: time of the last event, events dropped, events lifted, extent, sensor."""


class Pixels(NamedTuple):
    """Which of 32 bits are the column, the row and the polarity of an event: shifts, and masks after shifting."""

    x: int
    x_mask: int
    y: int
    y_mask: int
    p: int


@dataclass
class Decoder:
    """A format's kernel and what it remembers of one file.

    Attributes:
        kernel: `kernel(words, state, pixels, times) -> int` writes the packed pixel (uint32) and the unwrapped time
            (int64, microseconds) of each event and returns how many there were, or -1 where the file is corrupt:
            `state[LEFT]` bytes before the end of the words. It may write one event more than there are.
        word: type of the words.
        unit: bytes that belong together; the kernel gets whole units.
        pixels: how the pixels are packed.
        event_bytes, most: so many bytes hold so many events at most; a unit holds one where nothing is said.
        counts: names of what the kernel counts, and where in the state.
        seam: of words, the place of the first one from which on events depend on nothing before but the turns of the
            clock; as many as there are words where there is none. Formats that have it can be read in halves.
        events: how many events words hold; one a unit where nothing is said.
        turns: takes the state at the end of a half and the first word of the next; counts a turn of the clock between
            them, and gives the microseconds to add to the next half.
        state: (16,) int64, all the kernel's own but for `LEFT` and `DUE`.
    """

    kernel: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], int]
    word: type[np.generic]
    unit: int
    pixels: Pixels
    event_bytes: int = 0
    most: int = 1
    counts: Mapping[str, int] = field(default_factory=dict)
    seam: Callable[[np.ndarray], int] | None = None
    events: Callable[[np.ndarray], int] | None = None
    turns: Callable[[np.ndarray, int], int] | None = None
    state: np.ndarray = field(default_factory=lambda: np.zeros(16, np.int64))

    def __post_init__(self) -> None:
        self.event_bytes = self.event_bytes or self.unit


class Body(NamedTuple):
    """What a header tells.

    Attributes:
        start: the byte where the events begin.
        decoder: of the events.
        size: (width, height) of the sensor; None where it is not told.
        start_us: microseconds to add to all times.
    """

    start: int
    decoder: Decoder
    size: tuple[int, int] | None = None
    start_us: int = 0


class Run:
    """One pass over a file, block by block, and what was counted.

    Attributes:
        file, path, body: what is read.
        decoder: with what it remembers so far.
        size: (width, height) of the sensor, as it was given or as the header says; None where nothing does.
        start_us: microseconds to add to all times.
        bytes: how many there are behind the header.
        paired: whether these are worth a second thread.
        block_events: events in a block at most.
        whole: the byte behind the last event or packet that was whole.
        stop: the byte where the pass ends; None: the file's end, also of one that grows.
        cut: bytes behind `whole` at the end of the file, or bytes that are missing there.
        counts: (7,) int64: time of the last event, events dropped, events lifted, last column and row, sensor.
    """

    def __init__(
        self, file: BufferedReader, path: Path, body: Body, size: tuple[int, int] | None, stop: int | None = None
    ) -> None:
        if size is not None and not (len(size) == 2 and all(0 < side <= MAX_SENSOR for side in size)):
            raise BadOption(f"size is a width and a height of 1 to {MAX_SENSOR} pixels, not {size}")
        self.file, self.path, self.body = file, path, body
        self.whole, self.decoder, said, self.start_us = body
        pixels, unit = self.decoder.pixels, self.decoder.unit
        room = pixels.x_mask + 1, pixels.y_mask + 1
        if size is None and said and not all(0 < side <= most for side, most in zip(said, room, strict=True)):
            raise BadInput(f"{path}: its header says a sensor of {said[0]}x{said[1]} pixels; give the right size=")
        self.size = (int(size[0]), int(size[1])) if size else said
        self.counts = np.array([np.iinfo(np.int64).min, 0, 0, 0, 0, *(self.size or room)], np.int64)
        self.cut = self._rest = 0
        self.stop = stop
        self.bytes = max(0, (stop or os.fstat(file.fileno()).st_size) - self.whole)
        self.paired = self.bytes > ALONE_BYTES
        block = PAIRED_BLOCK_BYTES if self.paired else min(BLOCK_BYTES, self.bytes)
        block = min(block, BLOCK_EVENTS // self.decoder.most * self.decoder.event_bytes)
        self._buffer = np.empty(max(block // unit, 1) * unit, np.uint8)
        self.block_events = len(self._buffer) // self.decoder.event_bytes * self.decoder.most
        file.seek(self.whole)

    def step(self, columns: Columns) -> bool:
        """Decode the next block into columns; False at the end of the file."""
        decoder, buffer = self.decoder, self._buffer
        here = self.whole + self._rest
        got = self.file.readinto(buffer[self._rest :][: self.stop - here if self.stop else None].data)
        if not got:
            self.cut = self._rest or int(decoder.state[DUE])
            return False
        held = self._rest + got
        words = buffer[: held - held % decoder.unit].view(decoder.word)
        events = decoder.kernel(words, decoder.state, *columns.room())
        self._rest = held % decoder.unit + int(decoder.state[LEFT])
        self.whole += held - self._rest
        if events < 0:
            raise BadInput(f"{self.path} is corrupt at byte {self.whole}: what stands there is not of the format")
        buffer[: self._rest] = buffer[held - self._rest : held]
        columns.add(events)
        return True

    def end(self, strict: bool) -> None:
        """Tell that the file is truncated, where it is."""
        if self.cut:
            message = f"{self.path} is truncated: what begins at byte {self.whole} is cut short"
            if strict:
                raise BadInput(f"{message}; copy the file again, or read it without strict=")
            warnings.warn(f"{message}; the events before it are given", AnybindWarning, stacklevel=3)

    def smallest(self, sensors: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """The first of the sensors that has room for all events; raises `BadInput` where none has."""
        right, bottom = int(self.counts[RIGHT]), int(self.counts[BOTTOM])
        for width, height in sensors:
            if right < width and bottom < height:
                return width, height
        raise BadInput(
            f"{self.path}: an event at column {right} or row {bottom} lies outside every sensor of this format;"
            " if it is of this format, give size=(width, height)"
        )

    def notes(self) -> dict[str, int]:
        """What occurred so far, by name."""
        found = {"outside": OUTSIDE, "backwards": BACKWARDS}
        found = {name: int(self.counts[place]) for name, place in found.items()} | {"truncated_bytes": self.cut}
        for name, place in self.decoder.counts.items():
            found[name] = found.get(name, 0) + int(self.decoder.state[place])
        return {name: number for name, number in found.items() if number}


class Columns:
    """The events of a run. With a pool, the events of one block are unpacked while the next one is decoded."""

    def __init__(
        self,
        run: Run,
        events: int,
        pool: ThreadPoolExecutor | None = None,
        columns: Sequence[np.ndarray] | None = None,
    ) -> None:
        self._run, self._pool = run, pool
        self._bits = tuple(map(np.uint32, run.decoder.pixels))
        self._blocks = self._count = 0
        self._working: Future[None] | None = None
        room = run.block_events + 1  # kernels may write one event more than there are
        packed = [(np.uint32, room), (np.int64, room)] * (2 if pool else 1)
        wanted = [] if columns else [(dtype, events) for dtype in DTYPES.values()]
        arrays = [*(columns or ()), *arrays_of([*wanted, *packed])]
        self._columns, self._packed = arrays[:4], list(zip(arrays[4::2], arrays[5::2], strict=True))

    def room(self) -> tuple[np.ndarray, np.ndarray]:
        """Where a kernel is to write the packed pixels and the times of a block."""
        return self._packed[self._blocks % len(self._packed)]

    def add(self, events: int) -> None:
        """Keep the events that a kernel has written."""
        self._wait()
        pixels, times = self.room()
        self._blocks += 1
        if self._pool:
            self._working = self._pool.submit(self._place, pixels[:events], times[:events])
        else:
            self._place(pixels[:events], times[:events])

    def _place(self, pixels: np.ndarray, times: np.ndarray) -> None:
        need = self._count + len(pixels)
        if need > len(self._columns[0]):
            longer = arrays_of([(dtype, max(need, 2 * self._count)) for dtype in DTYPES.values()])
            for new, old in zip(longer, self._columns, strict=True):
                new[: self._count] = old[: self._count]
            self._columns = longer
        self._count += _place(pixels, times, self._bits, self._run.counts, self._count, tuple(self._columns))

    def _wait(self) -> None:
        if self._working:
            self._working.result()

    @property
    def count(self) -> int:
        """How many events there are."""
        self._wait()
        return self._count

    def extend(self, columns: Sequence[np.ndarray], events: int) -> None:
        """Take over longer columns, which begin with these and hold so many more events behind them."""
        self._columns = list(columns)
        self._count += events

    def stream(self, size: tuple[int, int], notes: Mapping[str, int]) -> EventStream:
        """All events; none can be added afterwards."""
        self._wait()
        x, y, t, p = (column[: self._count] for column in self._columns)
        if self._run.start_us:
            t += self._run.start_us
        return EventStream.of_checked(x, y, t, p, width=size[0], height=size[1], notes=notes)


def arrays_of(wanted: Sequence[tuple[np.dtype | type[np.generic], int]]) -> list[np.ndarray]:
    """Arrays of these types and lengths in one piece of memory.

    A large piece comes in large pages, which cost a tenth of as many small ones; what is never written to costs none.
    """
    sizes = [np.dtype(dtype).itemsize * length for dtype, length in wanted]
    starts = np.cumsum([0, *(-(-size // 64) * 64 for size in sizes)]).tolist()
    memory = np.empty(starts[-1], np.uint8)
    places = zip(wanted, starts, sizes, strict=False)
    return [memory[start : start + size].view(dtype) for (dtype, _), start, size in places]


@kernel
def _place(pixels: np.ndarray, times: np.ndarray, bits: tuple, counts: np.ndarray, at: int, columns: tuple) -> int:
    """Write events into columns from place `at` on; how many were kept."""
    x, y, t, p = columns
    n = len(pixels)
    if n == 0:
        return 0
    x_bits, x_mask, y_bits, y_mask, p_bits = bits
    right, bottom, falls = np.uint32(0), np.uint32(0), times[0] < counts[LAST]
    x, y, t, p = x[at : at + n], y[at : at + n], t[at : at + n], p[at : at + n]
    # A loop for each column, so that the compiler makes vectors of it; what is wrong is only asked at the end.
    for i in range(n):
        column = pixels[i] >> x_bits & x_mask
        right = max(right, column)
        x[i] = column
    for i in range(n):
        row = pixels[i] >> y_bits & y_mask
        bottom = max(bottom, row)
        y[i] = row
    for i in range(n):
        p[i] = pixels[i] >> p_bits & np.uint32(1)
    t[0] = times[0]
    for i in range(1, n):
        falls |= times[i] < times[i - 1]
        t[i] = times[i]
    if falls or right >= counts[WIDTH] or bottom >= counts[HEIGHT]:
        return _place_one_by_one(pixels, times, bits, counts, at, columns)
    counts[RIGHT], counts[BOTTOM] = max(counts[RIGHT], right), max(counts[BOTTOM], bottom)
    counts[LAST] = times[n - 1]
    return n


@kernel
def _place_one_by_one(
    pixels: np.ndarray, times: np.ndarray, bits: tuple, counts: np.ndarray, at: int, columns: tuple
) -> int:
    """As `_place`, where an event is to be dropped or its time is before that of the one in front."""
    x, y, t, p = columns
    start = at
    for i in range(len(pixels)):
        column, row = pixels[i] >> bits[0] & bits[1], pixels[i] >> bits[2] & bits[3]
        if column >= counts[WIDTH] or row >= counts[HEIGHT]:
            counts[OUTSIDE] += 1
            continue
        counts[BACKWARDS] += times[i] < counts[LAST]
        counts[LAST] = max(counts[LAST], times[i])
        counts[RIGHT], counts[BOTTOM] = max(counts[RIGHT], column), max(counts[BOTTOM], row)
        x[at], y[at], t[at], p[at] = column, row, counts[LAST], pixels[i] >> bits[4] & np.uint32(1)
        at += 1
    return at - start
