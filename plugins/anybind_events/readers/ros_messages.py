"""Event messages of ROS 1 and ROS 2, from their serialised form.

Sources: the message definitions of the packages dvs_msgs, prophesee_event_msgs and event_camera_msgs; ROS 1's and
CDR's rules of serialisation.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from anybind.plugin import BadInput
from anybind_events.readers.ros_storage import Topic

EVENT_LISTS = ("dvs_msgs/msg/EventArray", "prophesee_event_msgs/msg/EventArray")
"""Types of messages with a list of events, each with its own time."""
EVENT_PACKETS = ("event_camera_msgs/msg/EventPacket", "event_array_msgs/msg/EventArray")
"""Types of messages with encoded events; the second is the former name of the first."""
EVENT_TYPES = (*EVENT_LISTS, *EVENT_PACKETS)
CDR_ORDERS = {b"\0\0": ">", b"\0\1": "<"}
"""Byte orders of CDR by the first two bytes of a message."""
CDR_HEADER_BYTES, CDR_PADDING_BYTES = 4, 3
FIELD_TYPES = {"x": "u2", "y": "u2", "sec": "u4", "nanosec": "u4", "on": "u1"}
ROS1_OFFSETS, ROS1_BYTES = (0, 2, 4, 8, 12), 13
CDR_OFFSETS, CDR_BYTES = (0, 2, 6, 10, 14), 16
"""Layouts of a listed event. In CDR the time is aligned to 4 bytes, so that all events but the first have a gap."""


class EventMessage(NamedTuple):
    """One message.

    Attributes:
        width, height: sensor size in pixels.
        encoding: how the events are encoded; empty for listed events.
        events: (n,) uint8, encoded; or (n,) with the fields `x`, `y`, `sec`, `nanosec`, `on`.
        time_base: nanoseconds to which encoded times are relative, for some encodings.
        sequence: number of an encoded message, one more than that of the previous one; None for listed events.
        is_big_endian: byte order of encoded events.
    """

    width: int
    height: int
    encoding: str
    events: np.ndarray
    time_base: int = 0
    sequence: int | None = None
    is_big_endian: bool = False


class _Cursor:
    """A position in a serialised message."""

    def __init__(self, data: bytes, is_ros1: bool) -> None:
        self.data, self.is_ros1, self.position, self.order = data, is_ros1, 0, "<"
        if not is_ros1:
            if (order := CDR_ORDERS.get(bytes(data[:2]))) is None:
                raise BadInput(f"unsupported serialisation {bytes(data[:2]).hex()}; expected CDR")
            self.position, self.order = CDR_HEADER_BYTES, order

    def read_number(self, kind: str) -> int:
        size = struct.calcsize(kind)
        if not self.is_ros1:  # aligned, counted from the end of CDR's header, which is a multiple of 4 but not of 8
            self.position += -(self.position - CDR_HEADER_BYTES) % size
        return struct.unpack_from(self.order + kind, self.read_bytes(size))[0]

    def read_bytes(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if self.position > len(self.data):
            raise BadInput(f"a message of {len(self.data)} bytes ends early")
        return self.data[start : self.position]

    def read_text(self) -> str:
        return self.read_bytes(self.read_number("I")).rstrip(b"\0").decode(errors="replace")

    def check_end(self) -> None:
        """Raise `BadInput` for further data: the message is of another definition."""
        n_left = len(self.data) - self.position
        if n_left > (0 if self.is_ros1 else CDR_PADDING_BYTES):
            raise BadInput(f"a message has {n_left} bytes more than its type's definition")


def parse_message(data: bytes, topic: Topic) -> EventMessage:
    """Parse a message of one of `EVENT_TYPES`; raise `BadInput` if it does not have that layout."""
    cursor = _Cursor(data, topic.is_ros1)
    for _ in range(3 if topic.is_ros1 else 2):  # the header: in ROS 1 a number, then seconds and nanoseconds
        cursor.read_number("I")
    cursor.read_text()
    height, width = cursor.read_number("I"), cursor.read_number("I")
    if topic.message_type in EVENT_LISTS:
        message = EventMessage(width, height, "", _read_listed_events(cursor))
    else:
        sequence, time_base = cursor.read_number("Q"), cursor.read_number("Q")
        encoding, is_big_endian = cursor.read_text(), bool(cursor.read_number("B"))
        events = np.frombuffer(cursor.read_bytes(cursor.read_number("I")), np.uint8)
        message = EventMessage(width, height, encoding, events, time_base, sequence, is_big_endian)
    cursor.check_end()
    return message


def _read_listed_events(cursor: _Cursor) -> np.ndarray:
    count = cursor.read_number("I")
    if cursor.is_ros1:
        return np.frombuffer(cursor.read_bytes(count * ROS1_BYTES), _make_event_type(cursor, ROS1_OFFSETS, ROS1_BYTES))
    event_type = _make_event_type(cursor, CDR_OFFSETS, CDR_BYTES)
    if not count:
        return np.empty(0, event_type)
    # The pixel of the first event, without a gap after it, begins 2 bytes later than in the layout of the others.
    cursor.position -= 2
    data = cursor.read_bytes(count * CDR_BYTES - 1) + b"\0"
    events = np.frombuffer(data, event_type).copy()
    events["x"][0], events["y"][0] = struct.unpack_from(f"{cursor.order}2H", data, 2)
    return events


def _make_event_type(cursor: _Cursor, offsets: tuple[int, ...], n_bytes: int) -> np.dtype:
    formats = [cursor.order + each for each in FIELD_TYPES.values()]
    return np.dtype({"names": [*FIELD_TYPES], "formats": formats, "offsets": list(offsets), "itemsize": n_bytes})
