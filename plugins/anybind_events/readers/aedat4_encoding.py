"""Writing of AEDAT4 recordings: a header, packets of events compressed by LZ4, and a table of the packets.

Source of the format: iniVation's description of AEDAT 4.0 and its FlatBuffers schemas. The tables have a fixed layout,
so that no FlatBuffers library is needed. iniVation's own library ends the process where the disk is full.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from anybind_events.readers.aedat4_packets import LZ4, MAGIC
from anybind_events.readers.encoding import FormatLimits, split_blocks
from anybind_events.stream import EventStream

LIMITS = FormatLimits("AEDAT4", 32_768, 32_768)
"""Columns and rows are signed numbers of 16 bits. Negative times would be huge ones for some decoders."""
PACKET_EVENTS = 10_000
EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1"), ("padding", "V3")])
PACKET = np.dtype(
    [
        ("vtable", "<i4"),
        ("stream", "<i4"),
        ("size", "<i4"),
        ("offset", "<i8"),
        ("count", "<i8"),
        ("first_us", "<i8"),
        ("last_us", "<i8"),
        ("padding", "V4"),
    ]
)
"""An entry of the table of packets: distance to the layout of its fields, stream, bytes, place in the file, events."""
PACKET_FIELDS = struct.pack("<7H", 14, 44, 12, 4, 20, 28, 36)
"""The layout: its own size and that of an entry, then the offsets of place, stream, count and times in an entry."""
DESCRIPTION = """<dv version="2.0">
    <node name="outInfo" path="/outInfo/">
        <node name="0" path="/outInfo/0/">
            <attr key="compression" type="string">LZ4</attr>
            <attr key="originalModuleName" type="string">anybind</attr>
            <attr key="originalOutputName" type="string">events</attr>
            <attr key="typeDescription" type="string">Array of events.</attr>
            <attr key="typeIdentifier" type="string">EVTS</attr>
            <node name="info" path="/outInfo/0/info/">
                <attr key="sizeX" type="int">{width}</attr>
                <attr key="sizeY" type="int">{height}</attr>
                <attr key="source" type="string">anybind</attr>
            </node>
        </node>
    </node>
</dv>
"""


def write_aedat4(chunks: Iterable[EventStream], path: Path) -> None:
    """Write the chunks of one recording, one after the other.

    Raises:
        BadInput: a sensor of more than 32768x32768 pixels, or negative or decreasing times.
    """
    packets: list[tuple[int, int, int, int, int]] = []
    size = 0, 0
    with path.open("wb") as file:
        for block in split_blocks(chunks, LIMITS):
            if not packets:
                size = block.width, block.height
                file.seek(0)
                file.write(_format_header(size, -1))
            for events in block.chunks(count=PACKET_EVENTS):
                packets.append(_write_packet(file, events))
        table_offset = file.tell()
        file.write(_compress(_format_table(packets)))
        file.seek(0)
        file.write(_format_header(size, table_offset))


def _format_header(size: tuple[int, int], table_offset: int) -> bytes:
    """Return the beginning of the file: the compression, the byte of the table of packets, and a description."""
    text = DESCRIPTION.format(width=size[0], height=size[1]).encode()
    fields = struct.pack("<5Hiiiq", 10, 20, 4, 12, 8, 10, LZ4, 12, table_offset)
    header = struct.pack("<I4s6x", 24, b"IOHE") + fields + struct.pack("<I", len(text)) + text
    header += bytes(4 - len(header) % 4)  # the text ends with a zero byte
    return MAGIC + struct.pack("<I", len(header)) + header


def _write_packet(file: BinaryIO, events: EventStream) -> tuple[int, int, int, int, int]:
    """Write a packet; return its size, the byte of its contents, its number of events, and its first and last time."""
    rows = np.zeros(len(events), EVENT)
    for name in "txyp":
        rows[name] = getattr(events, name)
    data = _compress(_format_list(b"EVTS", len(rows), rows.tobytes()))
    file.write(struct.pack("<II", 0, len(data)))
    offset = file.tell()
    file.write(data)
    return len(data), offset, len(rows), int(events.t[0]), int(events.t[-1])


def _format_table(packets: list[tuple[int, int, int, int, int]]) -> bytes:
    """Return the table of packets: the distances of its entries, their common layout, and the entries."""
    list_start = len(_format_list(b"FTAB", 0, b""))
    layout = list_start + 4 * len(packets)
    first = layout + len(PACKET_FIELDS)
    first += (4 - first) % 8  # the times in an entry lie at multiples of 8 bytes
    rows = np.array([(0, 0, *packet, b"") for packet in packets], PACKET)
    starts = first + PACKET.itemsize * np.arange(len(packets))
    rows["vtable"] = starts - layout
    distances = (starts - list_start - 4 * np.arange(len(packets))).astype("<u4")
    padding = bytes(first - layout - len(PACKET_FIELDS))
    return _format_list(b"FTAB", len(packets), distances.tobytes() + PACKET_FIELDS + padding + rows.tobytes())


def _format_list(identifier: bytes, count: int, data: bytes) -> bytes:
    """Return a FlatBuffer, with its length in front, whose only field is a list."""
    start = struct.pack("<I4s2x3HiiI", 16, identifier, 6, 8, 4, 6, 4, count)
    return struct.pack("<I", len(start) + len(data)) + start + data


def _compress(data: bytes) -> bytes:
    import lz4.frame

    return lz4.frame.compress(data)
