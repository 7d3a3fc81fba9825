"""AEDAT4 recordings of iniVation's cameras: events, and the camera's own pictures on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anybind.plugin import BadInput, BadOption, Reader, kernel
from anybind_events.readers.aedat4_lz4 import event_counts, unpack_events
from anybind_events.readers.aedat4_packets import (
    LZ4,
    LZ4_SMALLER,
    MAGIC,
    Packets,
    Table,
    contents,
    find_packets,
)
from anybind_events.readers.columns import WHOLE, naming
from anybind_events.stream import MAX_SENSOR, EventStream

EVENT = np.dtype(
    {"names": ["t", "x", "y", "p"], "formats": ["<i8", "<u2", "<u2", "u1"], "offsets": [0, 8, 10, 12], "itemsize": 16}
)
"""An event in a packet."""
CHANNELS = {0: 1, 16: 3, 24: 4}
"""Channels of a picture by the number of its format: gray, BGR, BGRA."""
BEFORE_ALL, AFTER_ALL = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""The earliest and the latest time."""


class Frame(NamedTuple):
    """A picture of the camera, and the time until its next one.

    Attributes:
        start_us: the middle of its exposure, in the time of the events.
        end_us: `start_us` of the next picture; of the last, as much later as it is later than the one
            before; of the only one, the end of time.
        image: (height, width, 3) uint8, RGB.
    """

    start_us: int
    end_us: int
    image: np.ndarray


class Aedat4Reader(Reader):
    """A header in XML, then packets of events, pictures and more, each a FlatBuffer, compressed by LZ4 or Zstandard.

    Source of the format: iniVation's description of AEDAT 4.0 and its FlatBuffers schemas. Times are microseconds
    since 1970. Events outside the sensor are dropped, times that fall are lifted to the one before, and both are
    counted in the notes.
    """

    def sniff(self, head: bytes) -> bool:
        """The first line names the format."""
        return head.startswith(MAGIC)

    def read(
        self,
        path: Path,
        *,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        stream: int | None = None,
        frame: int | None = None,
    ) -> EventStream:
        """The recording's events.

        Args:
            path: the file.
            strict: refuse a truncated file, of which else the whole packets before the cut are given.
            size: (width, height) of the sensor; what the file says by default.
            stream: number of the event stream in the file; the first by default.
            frame: number of a picture, from 0: only the events from it to the next one, as `read_frames` has them.

        Raises:
            BadInput: the file is damaged (the message says at which byte), or holds no events.
            BadOption: there is no such stream, or no such picture.
        """
        (events,) = self.chunks(path, count=WHOLE, strict=strict, size=size, stream=stream)
        if frame is None:
            return events
        frames = read_frames(path, strict=strict)
        if not 0 <= frame < len(frames):
            raise BadOption(f"{path} holds {len(frames)} pictures, numbered from 0; there is no picture {frame}")
        return events.between(frames[frame].start_us, frames[frame].end_us)

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        stream: int | None = None,
    ) -> Iterator[EventStream]:
        with naming(path):
            packets = find_packets(path, "EVTS", stream, strict)
            width, height = size or (packets.source.width, packets.source.height)
            if not (0 < width <= MAX_SENSOR and 0 < height <= MAX_SENSOR):
                raise BadInput(f"the sensor of {width}x{height} pixels is none; give the right size=")
            notes, last = packets.notes, BEFORE_ALL
            for events in _groups(packets, count):
                part = _stream(events, width, height, last, notes)
                notes, last = {}, int(part.t[-1]) if len(part) else last
                yield part


def read_frames(path: Path, *, strict: bool = False) -> list[Frame]:
    """The pictures that the camera took beside the events; a paired event and picture sample each.

    Raises:
        BadInput: the file is damaged, or holds no pictures.
    """
    with naming(path):
        packets = find_packets(path, "FRME", None, strict)
        taken = list(contents(packets, _picture))
    starts = [start for start, _ in taken]
    last = 2 * starts[-1] - starts[-2] if len(starts) > 1 else AFTER_ALL
    return [Frame(start, end, image) for (start, image), end in zip(taken, [*starts[1:], last], strict=False)]


def _groups(packets: Packets, count: int) -> Iterator[np.ndarray]:
    """The events of all packets in arrays of about `count`: at least one, which may be empty."""
    counts = event_counts(packets) if packets.compression in (LZ4, LZ4_SMALLER) else None
    if counts is None or not len(counts):
        yield from _joined(packets, count)
        return
    first, totals = 0, np.cumsum(counts)
    while first < len(counts):
        before = totals[first - 1] if first else 0
        behind = min(int(np.searchsorted(totals, before + count)) + 1, len(counts))
        events = unpack_events(packets, counts, first, behind)
        if events is None:  # tells what is wrong, or gets along with it
            yield from _joined(packets.part(first, behind), WHOLE)
        else:
            yield events.view(EVENT)
        first = behind


def _joined(packets: Packets, count: int) -> Iterator[np.ndarray]:
    """As `_groups`, of packets in any compression and layout: each is unpacked by a library and looked at."""
    likely = 3 * int((packets.ends - packets.starts).sum())
    joined, held, none = memoryview(bytearray()), 0, True
    for events in contents(packets, _event_list):
        end = held + len(events)
        if end > len(joined):
            # NumPy's memory is had in large pages, and what stays untouched of it costs nothing.
            roomier = np.empty(max(2 * end, min(likely, EVENT.itemsize * count)), np.uint8).data
            roomier[:held] = joined[:held]
            joined = roomier
        joined[held:end] = events
        held = end
        if held >= EVENT.itemsize * count:
            yield np.frombuffer(joined[:held], EVENT)
            joined, held, none = memoryview(bytearray()), 0, False
    if held or none:
        yield np.frombuffer(joined[:held], EVENT)


def _event_list(content: bytes) -> memoryview:
    """The bytes of the events in a packet."""
    table = Table(content)
    field = table.place(0)
    if field is None:  # an empty list
        return memoryview(b"")
    start = field + table.number("<I", field)
    end = start + 4 + EVENT.itemsize * int.from_bytes(content[start : start + 4], "little")
    if end > len(content):
        raise ValueError("its list of events ends behind its end")
    return memoryview(content)[start + 4 : end]


def _stream(events: np.ndarray, width: int, height: int, last: int, notes: Mapping[str, int]) -> EventStream:
    """The stream of some events; `last` is the time of the one before them."""
    outside, backwards, polarities = _look_at(events.view(np.uint64), width, height)
    if outside:
        events = events[(events["x"] < width) & (events["y"] < height)]
        notes = {**notes, "outside": outside}
    time = events["t"]
    if backwards or (len(time) and time[0] < last):
        time = np.maximum(np.maximum.accumulate(time), last)
        notes = {**notes, "backwards": int(np.count_nonzero(time > events["t"]))}
    rises = events["p"].view(np.bool_) if polarities <= 1 else events["p"] != 0
    return EventStream.of_checked(events["x"], events["y"], time, rises, width, height, notes)


@kernel
def _look_at(words: np.ndarray, width: int, height: int) -> tuple:
    """How many events lie outside, how many are earlier than the one before, and all polarities, or-ed.

    An event is two words: the time, then column, row and polarity in 16 bits each. There are no branches, so that
    several events are looked at in one step.
    """
    outside, backwards, polarities, last = 0, 0, np.uint64(0), np.int64(words[0]) if len(words) else 0
    for i in range(len(words) // 2):
        time, pixel = np.int64(words[2 * i]), words[2 * i + 1]
        backwards += time < last
        last = time
        outside += (pixel & np.uint64(0xFFFF) >= width) | (pixel >> np.uint64(16) & np.uint64(0xFFFF) >= height)
        polarities |= pixel
    return outside, backwards, polarities >> np.uint64(32) & np.uint64(0xFF)


def _picture(content: bytes) -> tuple[int, np.ndarray]:
    """The time and the RGB picture in a packet."""
    table = Table(content)
    width, height, channels = table.value(6, "<h"), table.value(7, "<h"), CHANNELS.get(table.value(5, "<b"))
    if not channels:
        raise ValueError(f"its picture is of format {table.value(5, '<b')}, which is not known")
    pixels = np.frombuffer(table.content(10), np.uint8).reshape(height, width, channels)
    return table.value(0, "<q"), np.repeat(pixels, 3, 2) if channels == 1 else np.ascontiguousarray(pixels[:, :, 2::-1])
