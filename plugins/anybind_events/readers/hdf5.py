"""HDF5 recordings: ours, those of DSEC and of Prophesee's Metavision, and plain columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anybind.plugin import BadInput, Reader
from anybind_events.readers.columns import batches_by, check_unit, naming, streams_of, whole
from anybind_events.readers.hdf5_layout import check_source, find_source, first_at, likely_unit, opened
from anybind_events.stream import EventStream

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
FORMAT, VERSION = "anybind-events", 1
CHUNK = 1 << 16
"""Events that are compressed as one piece, and so have to be read as one."""
COMPRESSION = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Read by every HDF5 library without a plugin, and with a checksum for each chunk.

Of two recordings (1.2 million events of 1280x720, 4.7 million of 346x260) it makes 3.4 bytes an event, where LZ4
makes 3.8 behind a bit shuffle, and Zstandard 3.3; those are read two to four times as fast, and only with plugins.
"""
TYPES = {"x": np.dtype("u2"), "y": np.dtype("u2"), "t": np.dtype("u8"), "p": np.dtype("u1")}
LONGEST_INDEX = 1 << 22
"""Milliseconds for which the index is kept, 70 minutes; later events are found by halving."""


class Hdf5Reader(Reader):
    """Datasets, or fields of one dataset, with x, y, t and p, in any group, by the names that are in use for them.

    * Ours: group `events`, times in microseconds from `t_offset`, `ms_to_idx` (number of the first event at or
      after each millisecond), attributes `width` and `height`.
    * DSEC: the same without a sensor size, which is 640x480.
    * Metavision: `CD/events` with fields, `CD/indexes`, attribute `geometry`.
    * Plain columns, in which times with fractions are seconds; attribute `sensor_resolution` (height, width).

    Filters of hdf5plugin (Blosc, Zstandard, LZ4, ...) are known. A truncated file cannot be opened by HDF5.
    """

    seeks = True

    def sniff(self, head: bytes) -> bool | None:
        """An HDF5 file may hold anything."""
        return None if head.startswith(MAGIC) else False

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        unit: str | None = None,
        group: str | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> Iterator[EventStream]:
        """Yield the recording, or what of it has start <= t < end, of which alone the data are read, in parts.

        Args:
            path: the file.
            count: events in a part.
            strict: makes no difference: a truncated file is always refused.
            size: (width, height) of the sensor; by default what the file says, else DSEC's for files as
                DSEC's, else the smallest in use that holds all events.
            unit: of time: s, ms, us or ns; by default what is known of the format, else seconds where times
                have fractions, and microseconds where not.
            group: with the events, such as `prophesee/left`, where the file holds more than one recording.
            start, end: in microseconds, in the time of the recording.

        Raises:
            BadInput: the file is truncated or damaged, needs a filter that is not installed, or holds no events.
            BadOption: a unit that is none, or a group that holds no events.
        """
        check_unit(unit)
        with naming(path), opened(path) as file:
            source = find_source(path, file, group)
            source.unit = unit or source.unit or likely_unit(source)
            check_source(file, source)
            first = 0 if start is None else first_at(source, start)
            last = len(source) if end is None else first_at(source, end)
            batches = batches_by(source.batch, first, max(first, last))
            yield from streams_of(batches, count, size=size or source.size, unit="us")

    read = whole(chunks)

    def write(self, sample: EventStream, path: Path) -> None:
        self.write_chunks([sample], path)

    def write_chunks(self, chunks: Iterable[EventStream], path: Path) -> None:
        """Write the parts of one recording, one after the other, so that it may be larger than memory.

        Raises:
            BadInput: the parts are of different sensors, or not in the order of time.
        """
        import h5py

        # Metadata of this version carry checksums.
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            writer: _Writer | None = None
            for part in chunks:
                writer = writer or _Writer(file, part)
                writer.add(part)
            if writer is None:
                raise BadInput("there is nothing to write, not even an empty recording")


class _Writer:
    """A file that grows by parts of a recording."""

    def __init__(self, file: h5py.File, first: EventStream) -> None:
        self.size = first.width, first.height
        self.count, self.offset, self.last = 0, 0, None
        file.attrs.update({"format": FORMAT, "version": VERSION, "width": first.width, "height": first.height})
        events = file.create_group("events")
        make = {"shape": (0,), "maxshape": (None,), "chunks": (CHUNK,), **COMPRESSION}
        self.columns = {name: events.create_dataset(name, dtype=dtype, **make) for name, dtype in TYPES.items()}
        self.index = file.create_dataset("ms_to_idx", dtype="u8", **make)
        self.told_offset = file.create_dataset("t_offset", data=np.int64(0))

    def add(self, part: EventStream) -> None:
        """Append the next part."""
        if (part.width, part.height) != self.size:
            raise BadInput(f"a part is of {part.width}x{part.height} pixels, the first one of {self.size}")
        if not len(part):
            return
        if self.last is None:
            self.offset = int(part.t[0])
            self.told_offset[()] = self.offset
        elif part.t[0] < self.last:
            raise BadInput(f"time runs backwards at event {self.count}: {self.last} us, then {part.t[0]} us")
        # Unsigned, the distance from the first event has room for any two times.
        time = part.t.astype(np.uint64) - np.uint64(self.offset % (1 << 64))
        for name, column in (("x", part.x), ("y", part.y), ("t", time), ("p", part.p)):
            self.columns[name].resize((self.count + len(part),))
            self.columns[name][self.count :] = column
        self._add_milliseconds(time)
        self.count, self.last = self.count + len(part), int(part.t[-1])

    def _add_milliseconds(self, time: np.ndarray) -> None:
        known = len(self.index)
        reached = min(int(time[-1]) // 1000 + 1, LONGEST_INDEX)
        if reached > known:
            begins = np.arange(known, reached, dtype=np.uint64) * np.uint64(1000)
            self.index.resize((reached,))
            self.index[known:] = self.count + np.searchsorted(time, begins)
