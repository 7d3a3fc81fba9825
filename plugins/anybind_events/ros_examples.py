"""Small bags of ROS 1 and ROS 2 for the conformance checks and the tests, written by the package rosbags."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

DEFINITIONS = {
    "event_camera_msgs/msg/EventPacket": """std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
""",
    "dvs_msgs/msg/Event": """uint16 x
uint16 y
{time} ts
bool polarity
""",
    "dvs_msgs/msg/EventArray": """std_msgs/Header header
uint32 height
uint32 width
dvs_msgs/Event[] events
""",
}
"""Definitions of message types by name."""
PACKET, EVENT_ARRAY, TEXT = "event_camera_msgs/msg/EventPacket", "dvs_msgs/msg/EventArray", "std_msgs/msg/String"
TOPIC, STEP_NS = "/camera/events", 10_000_000
"""Default topic, and the time between two messages."""
Events = Iterable[tuple[int, int, int, bool]]
"""x, y, microseconds and polarity of events."""


@lru_cache
def _make_types(is_ros1: bool) -> Any:
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    for name, definition in DEFINITIONS.items():
        text = definition.format(time="time" if is_ros1 else "builtin_interfaces/Time")
        store.register(get_types_from_msg(text, name))
    return store


def write_example(path: Path, events: bytes) -> None:
    """Write a bag of three packets of EVT3 events on a sensor of 240x180, beside a topic without events.

    Args:
        path: file with the suffix `.bag`, `.db3` or `.mcap`.
        events: events in the encoding EVT3.
    """
    is_ros1, third = path.suffix == ".bag", -(-len(events) // 3 // 8) * 8
    parts = [events[start : start + third] for start in range(0, len(events), third)]
    packets = [make_packet(part, "evt3", is_ros1=is_ros1, seq=number) for number, part in enumerate(parts)]
    write_bag(path, {TOPIC: packets, "/chatter": [make_text("no events", is_ros1=is_ros1)]})


def make_packet(
    events: bytes,
    encoding: str,
    *,
    is_ros1: bool,
    size: tuple[int, int] = (240, 180),
    seq: int = 0,
    time_base: int = 0,
    is_bigendian: bool = False,
) -> object:
    """Make a message EventPacket of encoded events."""
    packet = _make_types(is_ros1).types[PACKET]
    numbers = {"seq": seq, "time_base": time_base, "is_bigendian": is_bigendian}
    content = np.frombuffer(events, np.uint8)
    return packet(_make_header(is_ros1), size[1], size[0], **numbers, encoding=encoding, events=content)


def make_event_array(events: Events, *, is_ros1: bool, size: tuple[int, int] = (240, 180)) -> object:
    """Make a message EventArray of events."""
    types = _make_types(is_ros1).types
    event, time = types["dvs_msgs/msg/Event"], types["builtin_interfaces/msg/Time"]
    listed = [event(x, y, time(us // 1_000_000, us % 1_000_000 * 1000), on) for x, y, us, on in events]
    return types[EVENT_ARRAY](_make_header(is_ros1), size[1], size[0], listed)


def make_text(text: str, *, is_ros1: bool) -> object:
    """Make a message without events."""
    return _make_types(is_ros1).types[TEXT](text)


def _make_header(is_ros1: bool) -> object:
    types = _make_types(is_ros1).types
    stamp = types["builtin_interfaces/msg/Time"](12, 345)
    return types["std_msgs/msg/Header"](**({"seq": 1} if is_ros1 else {}), stamp=stamp, frame_id="cam")


def write_bag(path: Path, messages: Mapping[str, Sequence[object]], *, compression: str = "") -> None:
    """Write messages to a bag whose format is that of the suffix: `.bag`, `.db3` or `.mcap`.

    Args:
        path: the file.
        messages: the messages of each topic, from the functions above.
        compression: `bz2` or `lz4` for `.bag`; `zstd` for the chunks of `.mcap` and the messages of `.db3`.
    """
    from rosbags.rosbag1 import Writer

    if path.suffix != ".bag":
        _write_ros2(path, messages, compression)
        return
    path.unlink(missing_ok=True)
    writer = Writer(path)
    if compression:
        writer.set_compression(Writer.CompressionFormat[compression.upper()])
    with writer:
        _write_messages(writer, messages, is_ros1=True)


def _write_ros2(path: Path, messages: Mapping[str, Sequence[object]], compression: str) -> None:
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    is_mcap = path.suffix == ".mcap"
    with tempfile.TemporaryDirectory() as folder:
        plugin = StoragePlugin.MCAP if is_mcap else StoragePlugin.SQLITE3
        writer = Writer(Path(folder, "bag"), version=9, storage_plugin=plugin)
        if compression:
            mode = CompressionMode.STORAGE if is_mcap else CompressionMode.MESSAGE
            writer.set_compression(mode, CompressionFormat[compression.upper()])
        with writer:
            _write_messages(writer, messages, is_ros1=False)
        shutil.copyfile(next(Path(folder).rglob(f"*{path.suffix}")), path)


def serialize(message: Any, *, is_ros1: bool) -> memoryview:
    """Serialise a message as ROS 1 or in CDR."""
    types = _make_types(is_ros1)
    return (types.serialize_ros1 if is_ros1 else types.serialize_cdr)(message, message.__msgtype__)


def _write_messages(writer: Any, messages: Mapping[str, Sequence[Any]], *, is_ros1: bool) -> None:
    for topic, sequence in messages.items():
        if not sequence:
            continue
        connection = writer.add_connection(topic, sequence[0].__msgtype__, typestore=_make_types(is_ros1))
        for number, message in enumerate(sequence):
            writer.write(connection, 10**18 + number * STEP_NS, serialize(message, is_ros1=is_ros1))
