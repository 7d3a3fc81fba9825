"""HDF5 recordings: our format, those of DSEC and of Prophesee's Metavision, and plain columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anybind.plugin import BadInput, Reader
from anybind_events.readers.columns import (
    build_streams,
    check_options,
    make_read_method,
    name_file_in_errors,
    reject_order,
    split_batches,
)
from anybind_events.readers.hdf5_layout import (
    FORMAT,
    EventDatasets,
    check_datasets,
    find_events,
    find_first_event,
    open_file,
)
from anybind_events.readers.hdf5_output import create_file
from anybind_events.sources import select_rows
from anybind_events.stream import EventStream
from anybind_events.time_range import TimeRange

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
MATLAB_BYTES = 512
"""Bytes before the HDF5 content in files of MATLAB 7.3."""
VERSION = 1
CHUNK_EVENTS = 1 << 16
"""Events per compressed HDF5 chunk, which is the smallest unit of reading."""
COMPRESSION = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Supported by every HDF5 library without a plugin, and with a checksum per chunk.

For two recordings (1.2 million events of 1280x720, 4.7 million of 346x260) it takes 3.4 bytes per event, LZ4 with a
bit shuffle 3.8, and Zstandard 3.3; those are two to four times as fast to read, but need plugins.
"""
TYPES = {"x": np.dtype("u2"), "y": np.dtype("u2"), "t": np.dtype("u8"), "p": np.dtype("u1")}
MAX_INDEX_MS = 1 << 22
"""Length of the millisecond index, 70 minutes; later events are found by bisection."""


class Hdf5Reader(Reader):
    """A reader of datasets, or fields of one dataset, with x, y, t and p, in any group, by their common names.

    * Ours: group `events`, times in microseconds from `t_offset`, `ms_to_idx` (index of the first event at or after
      each millisecond), attributes `width` and `height`.
    * DSEC: the same without a sensor size, which is 640x480.
    * Metavision: `CD/events` with fields, `CD/indexes`, attribute `geometry`.
    * v2e and others: a dataset `events` of four columns, whose order is inferred from their values.
    * Plain columns, in which times with fractions are seconds; attribute `sensor_resolution` (height, width).
    * MATLAB 7.3: columns, or structures with columns, of shape (1, n) or (n, 1).

    The filters of hdf5plugin (Blosc, Zstandard, LZ4, ...) are supported. HDF5 cannot open a truncated file.
    """

    seeks = True

    def sniff(self, head: bytes) -> bool | None:
        """Return None for an HDF5 file, which may contain anything."""
        return None if MAGIC in (head[: len(MAGIC)], head[MATLAB_BYTES : MATLAB_BYTES + len(MAGIC)]) else False

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        columns: str | None = None,
        time_unit: str | None = None,
        scale: float | None = None,
        source: str | int | None = None,
        polarity: str | Sequence[int] | None = None,
        on_disorder: str = "clamp",
        start: int | None = None,
        end: int | None = None,
        absolute: bool = False,
    ) -> Iterator[EventStream]:
        """Yield the recording, or its events with start <= t < end (only their data are read), in chunks.

        Args:
            path: the file.
            count: events per chunk.
            strict: no effect: a truncated file is always an error.
            size: (width, height) of the sensor; default: from the file or its layout, else the smallest common sensor.
            columns: order of the columns of an (n, 4) dataset, such as `txyp`; default: inferred from their values.
            time_unit: unit of time: s, ms, us or ns; default: that of the format, of an attribute or of a name, else
                seconds for fractions and microseconds for whole numbers, with a warning if the rate is implausible.
            source: group of the events, such as `prophesee/left`, or their dataset, or the value of a column `camera`,
                `sensor`, ...; required if the file has several.
            scale, polarity, on_disorder: see `anybind_events.readers.columns`.
            start, end: microseconds after the first event; default: the first and the last event. Where no index gives
                the events of a time, all times up to `end` are read.
            absolute: `start` and `end` are times on the recording's own clock.

        Raises:
            BadInput: a truncated or damaged file, a filter that is not installed, no events, or several sources.
            BadOption: an invalid option, or columns of datasets that are named.
        """
        check_options(time_unit, scale, on_disorder, columns)
        with name_file_in_errors(path), open_file(path) as file:
            events = find_events(path, file, source)
            check_datasets(file, events)
            if events.is_table:
                events.set_column_order(columns, polarity)
            else:
                reject_order(columns, map(str, events.fields or "xytp"))
            events.set_unit(time_unit, path)
            sorts, time_range = on_disorder == "sort", TimeRange.parse(start, end, absolute)
            first, last = (0, len(events)) if sorts else _find_range(events, time_range)
            batches = split_batches(events.read_batch, first, last)
            streams = build_streams(
                select_rows(batches, path, source, has_sources=events.has_sources, is_chosen=True),
                count,
                size=size,
                stated_size=events.size,
                stated_unit=events.unit,
                offset_us=events.offset,
                scale=scale,
                polarity=polarity,
                on_disorder=on_disorder,
                path=path,
                notes=events.notes,
            )
            yield from time_range.select(streams) if sorts else streams

    read = make_read_method(chunks)

    def write(self, sample: EventStream, path: Path) -> None:
        self.write_chunks([sample], path)

    def write_chunks(self, chunks: Iterable[EventStream], path: Path) -> None:
        """Write the chunks of one recording, one after the other, so that it may be larger than memory.

        Raises:
            BadInput: the chunks have different sensor sizes, or are not in time order.
            OSError: the disk is full.
        """
        with create_file(path) as (file, raw):
            writer: _RecordingWriter | None = None
            for chunk in chunks:
                writer = writer or _RecordingWriter(file, chunk)
                writer.append(chunk)
                raw.check()
            if writer is None:
                raise BadInput("expected at least one chunk to write")


def _find_range(events: EventDatasets, time_range: TimeRange) -> tuple[int, int]:
    """Return the index of the first event in a time range, and that after the last."""
    if time_range.is_whole or not len(events):
        return 0, len(events)
    low, high = time_range.resolve(int(events.read_times(0, 1)[0]))
    first = 0 if low is None else find_first_event(events, low)
    return first, len(events) if high is None else find_first_event(events, high, first)


class _RecordingWriter:
    """A file that grows by chunks of a recording."""

    def __init__(self, file: h5py.File, first: EventStream) -> None:
        self.size = first.width, first.height
        self.count, self.offset, self.last_us = 0, 0, None
        file.attrs.update({"format": FORMAT, "version": VERSION, "width": first.width, "height": first.height})
        self.events = events = file.create_group("events")
        dataset_options = {"shape": (0,), "maxshape": (None,), "chunks": (CHUNK_EVENTS,), **COMPRESSION}
        self.columns = {
            name: events.create_dataset(name, dtype=dtype, **dataset_options) for name, dtype in TYPES.items()
        }
        self.index = file.create_dataset("ms_to_idx", dtype="u8", **dataset_options)
        self.offset_dataset = file.create_dataset("t_offset", data=np.int64(0))

    def append(self, chunk: EventStream) -> None:
        """Append the next chunk."""
        if (chunk.width, chunk.height) != self.size:
            raise BadInput(
                f"expected chunks of sensor size {self.size[0]}x{self.size[1]}, got {chunk.width}x{chunk.height}"
            )
        if not len(chunk):
            return
        if self.last_us is None:
            self.offset = int(chunk.t[0])
            self.offset_dataset[()] = self.offset
            self.events.attrs["t_offset"] = np.int64(self.offset)  # twice, since one number has no checksum
        elif chunk.t[0] < self.last_us:
            raise BadInput(f"time decreases at event {self.count}: {self.last_us} us, then {chunk.t[0]} us")
        # An unsigned difference from the first event is exact for any two times.
        time = chunk.t.astype(np.uint64) - np.uint64(self.offset % (1 << 64))
        for name, column in (("x", chunk.x), ("y", chunk.y), ("t", time), ("p", chunk.p)):
            self.columns[name].resize((self.count + len(chunk),))
            self.columns[name][self.count :] = column
        self._extend_index(time)
        self.count, self.last_us = self.count + len(chunk), int(chunk.t[-1])

    def _extend_index(self, time: np.ndarray) -> None:
        n_known = len(self.index)
        n_reached = min(int(time[-1]) // 1000 + 1, MAX_INDEX_MS)
        if n_reached > n_known:
            begins = np.arange(n_known, n_reached, dtype=np.uint64) * np.uint64(1000)
            self.index.resize((n_reached,))
            self.index[n_known:] = self.count + np.searchsorted(time, begins)
