"""Event topics in bags of ROS 1 (`.bag`) and ROS 2 (`.db3`, `.mcap`, `metadata.yaml`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, Reader
from anybind_events.disorder import SPLIT_HINT, TimeOrder
from anybind_events.event_columns import DTYPES, MAX_SENSOR, parse_size
from anybind_events.readers.columns import make_read_method, name_file_in_errors
from anybind_events.readers.ros_encodings import Columns, EventDecoder
from anybind_events.readers.ros_messages import EVENT_TYPES, parse_message
from anybind_events.readers.ros_storage import (
    BAG_MAGIC,
    MCAP_MAGIC,
    METADATA_KEY,
    SQLITE_MAGIC,
    Bag,
    Topic,
    open_bag,
)
from anybind_events.sources import choose_source
from anybind_events.stream import EventStream

SQLITE_PAGE_BYTES, SQLITE_LEAF = slice(16, 18), slice(100, 101)
"""Bytes of a database with the length of its pages, and with the type of the first one."""
MAX_LISTED_TOPICS = 5
"""Maximum number of topics without events that an error lists."""


class RosBagReader(Reader):
    """A reader of the topics with events of event cameras in ROS 1 bags, ROS 2 bags and MCAP files.

    Message types: `event_camera_msgs/EventPacket` in the encodings evt3, libcaer_cmp, libcaer and mono, and
    `dvs_msgs/EventArray` (also of `prophesee_event_msgs`). The sensor size is that of the messages. A ROS 2 bag in a
    folder is read by its file `metadata.yaml`, or one of its parts by the part.

    Times are the events' own, in microseconds, as the message type defines them: of EventArray the stamp of each event
    (ROS time), of mono, libcaer and libcaer_cmp the message's `time_base` plus the time in the event, and of evt3 the
    camera's clock, which starts near 0. Times at which messages were stamped or recorded only order the messages.

    Events outside the sensor are dropped, decreasing times are raised to the previous one, and both are counted in the
    notes, with the messages that are missing in the sequence of EventPacket as `lost_messages`.
    """

    def sniff(self, head: bytes) -> bool | None:
        """Recognise a signature; None for a database whose tables begin after `head`."""
        if head.startswith((BAG_MAGIC, MCAP_MAGIC, METADATA_KEY)):
            return True
        if not head.startswith(SQLITE_MAGIC):
            return False
        if b"topics" in head and b"messages" in head:
            return True
        is_whole = int.from_bytes(head[SQLITE_PAGE_BYTES], "big") == len(head) and head[SQLITE_LEAF] == b"\x0d"
        return False if is_whole else None

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        source: str | None = None,
    ) -> Iterator[EventStream]:
        """Yield the recording in chunks of `count` events or up to a message more; `read` returns it whole.

        Args:
            path: the bag, an MCAP file, or the `metadata.yaml` of a bag in several files.
            count: events per chunk.
            strict: no effect: a truncated bag is always an error.
            size: (width, height) of the sensor; default: that of the messages.
            source: the topic, such as `/camera/events`; required if several have events.

        Raises:
            BadInput: the bag is damaged or unsupported, has no or several topics with events, or events in an encoding
                that is not supported.
            BadOption: `source` is not a topic with events.
        """
        size = None if size is None else parse_size(size)
        with name_file_in_errors(path), open_bag(path) as bags:
            topic = _choose_topic(path, {topic for bag in bags for topic in bag.topics}, source)
            yield from _read_topic(path, bags, topic, count, size)

    read = make_read_method(chunks)


def _choose_topic(path: Path, topics: set[Topic], source: str | None) -> Topic:
    """Return the only topic with events, or the chosen one."""
    able = {topic.name.strip("/"): topic for topic in sorted(topics) if topic.message_type in EVENT_TYPES}
    if not able:
        others = ", ".join(f"{topic.name} ({topic.message_type})" for topic in sorted(topics)[:MAX_LISTED_TOPICS])
        raise BadInput(f"expected a topic of event_camera_msgs or dvs_msgs, got: {others or 'no topics'}")
    return able[choose_source(path, able.keys(), source)]


def _read_topic(
    path: Path, bags: list[Bag], topic: Topic, count: int, size: tuple[int, int] | None
) -> Iterator[EventStream]:
    """Yield the events of a topic: at least one chunk, which may be empty."""
    decoder, builder, stated = EventDecoder(), None, None
    for data in (data for bag in bags if topic in bag.topics for data in bag.read_messages(topic.name)):
        message = parse_message(data, topic)
        previous, stated = stated, (message.width, message.height)
        if previous not in (None, stated):
            raise BadInput("the sensor size changes from {}x{} to {}x{}".format(*previous, *stated))
        builder = builder or _ChunkBuilder(*(size or stated))
        builder.add(*decoder.decode(message))
        if builder.n_events >= count:
            yield builder.build(decoder.notes)
    if builder is None:
        raise BadInput(f"no messages in the topic {topic.name}")
    builder.times.warn(str(path), SPLIT_HINT)
    if builder.n_events or not builder.n_chunks or builder.has_news(decoder.notes):
        yield builder.build(decoder.notes)


class _ChunkBuilder:
    """Checked events of the messages since the last chunk."""

    def __init__(self, width: int, height: int) -> None:
        if not (0 < width <= MAX_SENSOR and 0 < height <= MAX_SENSOR):
            raise BadInput(f"unsupported sensor size {width}x{height} in a message; give size=(width, height)")
        self.width, self.height = width, height
        self.times = TimeOrder()
        self.n_events = self.n_chunks = 0
        self.notes: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._parts: list[Columns] = []

    def add(self, x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> None:
        """Add events: those outside the sensor are dropped, and decreasing times raised."""
        inside = (x < self.width) & (y < self.height)
        if not inside.all():
            self.notes["outside"] += int(np.count_nonzero(~inside))
            x, y, t, p = x[inside], y[inside], t[inside], p[inside]
        if not len(t):
            return
        t, n_raised = self.times.raise_times(t)
        self.notes["backwards"] += n_raised
        columns = zip((x, y, t, p), DTYPES.values(), strict=True)
        x, y, t, p = (column.astype(dtype, copy=False) for column, dtype in columns)
        self._parts.append((x, y, t, p))
        self.n_events += len(t)

    def has_news(self, notes: Counter[str]) -> bool:
        """Return whether something was counted since the last chunk."""
        return bool(notes + self.notes - self._reported)

    def build(self, notes: Counter[str]) -> EventStream:
        """Return the events since the last chunk, with what was counted since then here and in the decoder's notes."""
        total = notes + self.notes
        new, self._reported = total - self._reported, total
        columns = [np.concatenate(parts) for parts in zip(*self._parts, strict=True)]
        x, y, t, p = columns or (np.empty(0, dtype) for dtype in DTYPES.values())
        self._parts, self.n_events, self.n_chunks = [], 0, self.n_chunks + 1
        return EventStream.from_valid(x, y, t, p, self.width, self.height, dict(new))
