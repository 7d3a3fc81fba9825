"""AEDAT4 recordings of iniVation cameras: events, and optionally the camera's own frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anybind.plugin import BadInput, BadOption, Reader, kernel
from anybind_events.disorder import SPLIT_HINT, TimeOrder
from anybind_events.event_columns import MAX_SENSOR, parse_size
from anybind_events.readers.aedat4_encoding import write_aedat4
from anybind_events.readers.aedat4_packets import (
    LZ4,
    LZ4_HIGH,
    MAGIC,
    FlatBufferTable,
    Packets,
    find_packets,
    unpack_packets,
)
from anybind_events.readers.columns import ALL_EVENTS, name_file_in_errors
from anybind_events.stream import EventStream
from anybind_events.time_range import select_times

EVENT = np.dtype(
    {"names": ["t", "x", "y", "p"], "formats": ["<i8", "<u2", "<u2", "u1"], "offsets": [0, 8, 10, 12], "itemsize": 16}
)
"""Layout of an event in a packet."""
CHANNELS = {0: 1, 16: 3, 24: 4}
"""Channels of a frame by its format number: gray, BGR, BGRA."""
MAX_TIME = np.iinfo(np.int64).max
"""The latest time."""


class CameraFrame(NamedTuple):
    """A frame of the camera, and the time until the next one.

    Attributes:
        start_us: the middle of its exposure, in the time of the events.
        end_us: `start_us` of the next frame; for the last one, extrapolated by the previous interval; for a single one,
            the end of time.
        image: (height, width, 3) uint8, RGB.
    """

    start_us: int
    end_us: int
    image: np.ndarray


class Aedat4Reader(Reader):
    """A reader of an XML header and packets of events, frames and more: FlatBuffers, compressed by LZ4 or Zstandard.

    Source of the format: iniVation's description of AEDAT 4.0 and its FlatBuffers schemas. Times are microseconds
    since 1970. Events outside the sensor are dropped, decreasing times are raised to the previous one, and both are
    counted in the notes.
    """

    def sniff(self, head: bytes) -> bool:
        """Check the first line for the format's name."""
        return head.startswith(MAGIC)

    def read(
        self,
        path: Path,
        *,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        source: str | int | None = None,
        frame: int | None = None,
    ) -> EventStream:
        """Read the recording's events.

        Args:
            path: the file.
            strict: raise an error for a truncated file; by default its complete packets are returned.
            size: (width, height) of the sensor; default: from the file.
            source: number of the event stream in the file, or its camera; required if there are several.
            frame: index of a frame, from 0: only the events from it to the next one, as in `read_frames`.

        Raises:
            BadInput: the file is damaged (the message names the byte), has no events, or events of several sources.
            BadOption: unknown source or frame.
        """
        (events,) = self.chunks(path, count=ALL_EVENTS, strict=strict, size=size, source=source)
        if frame is None:
            return events
        frames = read_frames(path, strict=strict, source=source)
        if not 0 <= frame < len(frames):
            raise BadOption(f"{path}: expected a frame from 0 to {len(frames) - 1}, got {frame}")
        return select_times(events, frames[frame].start_us, frames[frame].end_us)

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        source: str | int | None = None,
    ) -> Iterator[EventStream]:
        with name_file_in_errors(path):
            packets = find_packets(path, "EVTS", source, strict)
            width, height = parse_size(size) if size is not None else (packets.stream.width, packets.stream.height)
            if not (0 < width <= MAX_SENSOR and 0 < height <= MAX_SENSOR):
                raise BadInput(f"unsupported sensor size {width}x{height}; give size=(width, height)")
            notes, times = packets.notes, TimeOrder()
            for events in _read_event_groups(packets, count):
                yield build_events(events, width, height, times, notes)
                notes = {}
            times.warn(str(path), SPLIT_HINT)

    def write(self, sample: EventStream, path: Path) -> None:
        self.write_chunks([sample], path)

    def write_chunks(self, chunks: Iterable[EventStream], path: Path) -> None:
        """Write the chunks of one recording, one after the other; raise `BadInput` beyond 32768x32768 pixels."""
        write_aedat4(chunks, path)


def read_frames(path: Path, *, strict: bool = False, source: str | int | None = None) -> list[CameraFrame]:
    """Read the frames of the camera, each paired with the time range of its events.

    Args:
        path: the file.
        strict: raise an error for a truncated file; by default its complete packets are read.
        source: number of the frame stream, or its camera, or the number of an event stream of the same camera; required
            if there are frames of several cameras.

    Raises:
        BadInput: the file is damaged, has no frames, or frames of several cameras.
        BadOption: unknown source.
    """
    with name_file_in_errors(path):
        packets = find_packets(path, "FRME", source, strict)
        frames = list(unpack_packets(packets, _decode_frame))
    starts = [start for start, _ in frames]
    last_end = 2 * starts[-1] - starts[-2] if len(starts) > 1 else MAX_TIME
    return [
        CameraFrame(start, end, image) for (start, image), end in zip(frames, [*starts[1:], last_end], strict=False)
    ]


def _read_event_groups(packets: Packets, count: int) -> Iterator[np.ndarray]:
    """Yield the events of all packets in arrays of about `count`: at least one, which may be empty."""
    from anybind_events.readers.aedat4_lz4 import read_event_counts, unpack_events  # imports numba

    counts = read_event_counts(packets) if packets.compression in (LZ4, LZ4_HIGH) else None
    if counts is None or not len(counts):
        yield from _join_packets(packets, count)
        return
    first, totals = 0, np.cumsum(counts)
    while first < len(counts):
        n_before = totals[first - 1] if first else 0
        stop = min(int(np.searchsorted(totals, n_before + count)) + 1, len(counts))
        events = unpack_events(packets, counts, first, stop)
        if events is None:  # the slower path handles it, or reports the error
            yield from _join_packets(packets.select_packets(first, stop), ALL_EVENTS)
        else:
            yield events.view(EVENT)
        first = stop


def _join_packets(packets: Packets, count: int) -> Iterator[np.ndarray]:
    """Yield events as `_read_event_groups`, for any compression and layout: a library unpacks each packet."""
    expected_bytes = 3 * int((packets.ends - packets.starts).sum())
    joined, filled, is_first = memoryview(bytearray()), 0, True
    for events in unpack_packets(packets, find_events):
        end = filled + len(events)
        if end > len(joined):
            # NumPy's memory uses large pages, of which untouched ones cost nothing.
            larger = np.empty(max(2 * end, min(expected_bytes, EVENT.itemsize * count)), np.uint8).data
            larger[:filled] = joined[:filled]
            joined = larger
        joined[filled:end] = events
        filled = end
        if filled >= EVENT.itemsize * count:
            yield np.frombuffer(joined[:filled], EVENT)
            joined, filled, is_first = memoryview(bytearray()), 0, False
    if filled or is_first:
        yield np.frombuffer(joined[:filled], EVENT)


def find_events(content: bytes) -> memoryview:
    """Return the bytes of the events in a packet."""
    table = FlatBufferTable(content)
    field = table.find_field(0)
    if field is None:  # an empty list
        return memoryview(b"")
    start = field + table.read_number("<I", field)
    end = start + 4 + EVENT.itemsize * int.from_bytes(content[start : start + 4], "little")
    if end > len(content):
        raise ValueError("its list of events exceeds its length")
    return memoryview(content)[start + 4 : end]


def build_events(
    events: np.ndarray, width: int, height: int, times: TimeOrder, notes: Mapping[str, int]
) -> EventStream:
    """Return the stream of some events, and update the times of those before."""
    outside, backwards, polarities = _check_events(events.view(np.uint64), width, height)
    if outside:
        events = events[(events["x"] < width) & (events["y"] < height)]
        notes = {**notes, "outside": outside}
    time, n_raised = times.raise_times(events["t"], decreases=bool(backwards))
    notes = {**notes, "backwards": n_raised} if n_raised else notes
    on = events["p"].view(np.bool_) if polarities <= 1 else events["p"] != 0
    return EventStream.from_valid(events["x"], events["y"], time, on, width, height, notes)


@kernel
def _check_events(words: np.ndarray, width: int, height: int) -> tuple:
    """Count the events outside the sensor and those earlier than the previous one, and combine all polarities by `or`.

    An event is two words: the time, then column, row and polarity in 16 bits each. Without branches, the compiler
    vectorises the loop.
    """
    outside, backwards, polarities, previous_us = 0, 0, np.uint64(0), np.int64(words[0]) if len(words) else 0
    for i in range(len(words) // 2):
        time, pixel = np.int64(words[2 * i]), words[2 * i + 1]
        backwards += time < previous_us
        previous_us = time
        outside += (pixel & np.uint64(0xFFFF) >= width) | (pixel >> np.uint64(16) & np.uint64(0xFFFF) >= height)
        polarities |= pixel
    return outside, backwards, polarities >> np.uint64(32) & np.uint64(0xFF)


def _decode_frame(content: bytes) -> tuple[int, np.ndarray]:
    """Return the time and the RGB image of a packet."""
    table = FlatBufferTable(content)
    width, height, channels = (
        table.read_field(6, "<h"),
        table.read_field(7, "<h"),
        CHANNELS.get(table.read_field(5, "<b")),
    )
    if not channels:
        raise ValueError(f"its frame has the unknown format {table.read_field(5, '<b')}")
    pixels = np.frombuffer(table.read_bytes(10), np.uint8).reshape(height, width, channels)
    return table.read_field(0, "<q"), np.repeat(pixels, 3, 2) if channels == 1 else np.ascontiguousarray(
        pixels[:, :, 2::-1]
    )
