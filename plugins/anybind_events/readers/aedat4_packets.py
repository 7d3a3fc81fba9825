"""The structure of an AEDAT4 file: a header, and packets of FlatBuffers."""

from __future__ import annotations

import mmap
import os
import struct
import warnings
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple, TypeVar
from xml.etree import ElementTree

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, kernel
from anybind_events.readers.trailing import note_second_recording
from anybind_events.sources import choose_source

MAGIC = b"#!AER-DAT4.0\r\n"
HEADER_OFFSET = len(MAGIC) + 4
"""Byte where the header begins, after its own length."""
PACKET_HEADER_BYTES = 8
"""Bytes before a packet: the number of its stream, and its length."""
MAX_PACKET_BYTES = 1 << 28
"""Maximum unpacked size of a packet; packets of cameras are some thousands of times smaller."""
MIN_MAPPED_BYTES = 1 << 24
"""Minimum size of files that are mapped instead of copied."""
WINDOW_BYTES = 1 << 14
"""Bytes that are read at once to find packets."""
NONE, LZ4, LZ4_HIGH, ZSTD, ZSTD_HIGH = range(5)
"""Compressions by their number in the file."""

T = TypeVar("T")


class StreamInfo(NamedTuple):
    """A stream of a recording: its kind (`EVTS`, `FRME`, ...), its sensor size, 0x0 if unknown, and its camera."""

    kind: str
    width: int
    height: int
    camera: str = ""


class Packets(NamedTuple):
    """The packets of one stream in a file.

    Attributes:
        data: bytes of the file, (n,) uint8.
        compression: compression of the packets, by number.
        stream: the stream.
        starts, ends: bounds of each packet's contents in `data`, (packets,) int64.
        offsets: the bytes of the file where they begin, (packets,) int64.
        notes: counts for the recording's notes.
    """

    data: np.ndarray
    compression: int
    stream: StreamInfo
    starts: np.ndarray
    ends: np.ndarray
    offsets: np.ndarray
    notes: dict[str, int]

    def select_packets(self, first: int, stop: int) -> Packets:
        """Select a range of packets."""
        selection = slice(first, stop)
        return self._replace(starts=self.starts[selection], ends=self.ends[selection], offsets=self.offsets[selection])


class FlatBufferTable:
    """A table of a FlatBuffer. Every offset is checked, since files may be damaged."""

    def __init__(self, data: bytes, prefixed: bool = True) -> None:
        self.data = data
        root = 4 if prefixed else 0  # packets have their own length in front
        self.start = root + self.read_number("<I", root)
        self.slots = self.start - self.read_number("<i", self.start)

    def read_number(self, kind: str, offset: int) -> int:
        """Return the number at a byte."""
        if offset < 0:  # would index from the end
            raise struct.error("an offset lies before its beginning")
        return struct.unpack_from(kind, self.data, offset)[0]

    def find_field(self, slot: int) -> int | None:
        """Return the byte of the field number `slot`; None if it has its default."""
        at = 4 + 2 * slot
        offset = self.read_number("<H", self.slots + at) if at < self.read_number("<H", self.slots) else 0
        return self.start + offset if offset else None

    def read_field(self, slot: int, kind: str, default: int = 0) -> int:
        """Return the number in a field."""
        offset = self.find_field(slot)
        return default if offset is None else self.read_number(kind, offset)

    def read_bytes(self, slot: int) -> bytes:
        """Return the bytes of a text or of a list of bytes."""
        offset = self.find_field(slot)
        if offset is None:
            return b""
        start = offset + self.read_number("<I", offset)
        end = start + 4 + self.read_number("<I", start)
        if end > len(self.data):
            raise struct.error("a list exceeds its length")
        return bytes(self.data[start + 4 : end])


def find_packets(path: Path, kind: str, source: str | int | None, strict: bool) -> Packets:
    """Find the packets of the stream of a kind and source; raise `BadInput` for a damaged file or several sources."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(MAGIC)) != MAGIC:
            raise BadInput(f"not an AEDAT4 recording: expected {MAGIC.decode().strip()!r} at byte 0")
        start = HEADER_OFFSET + int.from_bytes(file.read(4), "little")
        if start > size:
            raise BadInput(f"truncated: the header ends at byte {start}, the file at byte {size}")
        compression, table_offset, streams = read_stream_header(file.read(start - HEADER_OFFSET))
        complete, number = start <= table_offset <= size, _select_stream(path, kind, source, streams)
        end = table_offset if complete else size
        index_packets = _index_mapped_file if size > MIN_MAPPED_BYTES else _index_copied_file
        index = index_packets(file, start, end, np.array(list(streams), np.int64), number)
        notes = note_second_recording(path, file, end, MAGIC, strict) if complete else {}
    if not index.streams_known or (complete and index.stop < end):
        raise BadInput(f"damaged packet at byte {index.stop}: invalid stream or length")
    if index.stop < end or table_offset > end:
        message = f"{path}: truncated: the last complete packet ends at byte {index.stop}, the file at byte {size}"
        if strict:
            raise BadInput(message)
        warnings.warn(f"{message}; the packets before are kept", AnybindWarning, stacklevel=2)
        notes["truncated_bytes"] = end - index.stop
    starts, ends, offsets = index.spans.T
    return Packets(index.data, compression, streams[number], starts, ends, offsets, notes)


def _select_stream(path: Path, kind: str, source: str | int | None, streams: dict[int, StreamInfo]) -> int:
    """Return the number of the only stream of a kind, or of the one with this number or camera.

    Frames are those of the camera of an event stream, if `source` is its number.
    """
    candidates = {str(number): info for number, info in streams.items() if info.kind == kind}
    name, is_frames = str(source), kind == "FRME"
    if source is not None and name not in candidates:
        cameras = {str(number): info.camera for number, info in streams.items()}
        camera = cameras.get(name) or name
        matches = [number for number, info in candidates.items() if info.camera == camera]
        source = matches[0] if len(matches) == 1 else None if is_frames and len(candidates) == 1 else source
    details = {
        number: ", ".join(filter(None, (info.camera, f"{info.width}x{info.height}")))
        for number, info in candidates.items()
    }
    return int(choose_source(path, details, source, "frames" if is_frames else "events"))


def read_stream_header(header: bytes) -> tuple[int, int, dict[int, StreamInfo]]:
    """Return the compression, the byte of the table after the packets (-1: none), and the streams by their number."""
    try:
        table = FlatBufferTable(header, prefixed=False)
        compression, table_offset = table.read_field(0, "<i"), table.read_field(1, "<q", default=-1)
        description = table.read_bytes(2).rstrip(b"\0")
        if b"<!" in description:
            raise ValueError("its XML defines entities")
        streams = {}
        for node in ElementTree.fromstring(description).iterfind("node/node"):
            attributes = {attr.get("key"): attr.text or "" for attr in node.iter("attr")}
            width, height = (int(attributes.get(key, 0)) for key in ("sizeX", "sizeY"))
            kind, camera = attributes.get("typeIdentifier", ""), attributes.get("source", "")
            streams[int(node.get("name", ""))] = StreamInfo(kind, width, height, camera)
    except (struct.error, ValueError, ElementTree.ParseError) as error:
        raise BadInput(f"damaged header at byte {HEADER_OFFSET}: {error}") from error
    if not NONE <= compression <= ZSTD_HIGH:
        raise BadInput(f"unknown compression {compression} in the header at byte {HEADER_OFFSET}")
    return compression, table_offset, streams


class PacketIndex(NamedTuple):
    """The positions of the packets of a stream.

    Attributes:
        data: bytes of the file.
        spans: (packets, 3) int64: start and end in `data`, byte in the file.
        stop: the byte of the file where the search stopped.
        streams_known: whether all packets belong to known streams.
    """

    data: np.ndarray
    spans: np.ndarray
    stop: int
    streams_known: bool


def _index_mapped_file(file: FileIO, start: int, end: int, streams: np.ndarray, stream: int) -> PacketIndex:
    """Index the packets of a large file, mapped: its pages are read on access."""
    data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    spans, stop, streams_known = _scan_packets(data, start, end, streams, stream)
    return PacketIndex(data, spans, stop, streams_known)


@kernel
def _scan_packets(data: np.ndarray, start: int, end: int, streams: np.ndarray, stream: int) -> tuple:
    spans, count = np.empty((64, 3), np.int64), 0
    offset = start
    while offset + PACKET_HEADER_BYTES <= end:
        number, size = _read_uint32(data, offset), _read_uint32(data, offset + 4)
        if not (streams == number).any():
            return spans[:count].copy(), offset, False
        if offset + PACKET_HEADER_BYTES + size > end:
            break
        offset += PACKET_HEADER_BYTES + size
        if number == stream:
            if count == len(spans):
                spans = np.concatenate((spans, spans))
            spans[count] = (offset - size, offset, offset - size)
            count += 1
    return spans[:count].copy(), offset, True


def _index_copied_file(file: FileIO, start: int, end: int, streams: np.ndarray, stream: int) -> PacketIndex:
    """Index the packets of a small file, copied: page faults would take longer, and frames are skipped.

    A window of the file is read after the kept data, and kept up to its last packet of the stream.
    """
    data, spans = np.empty(64 * WINDOW_BYTES, np.uint8), np.empty((WINDOW_BYTES, 3), np.int64)
    offset, count, filled, streams_known, window = start, 0, 0, True, WINDOW_BYTES
    while offset + PACKET_HEADER_BYTES <= end and streams_known:
        if filled + window > len(data):
            data = np.concatenate([data, np.empty(filled + window, np.uint8)])
        if count + window // PACKET_HEADER_BYTES > len(spans):
            spans = np.concatenate([spans, np.empty((len(spans) + window, 3), np.int64)])
        file.seek(offset)
        n_read = file.readinto(data[filled : filled + window].data)
        begin, requested = offset, window
        offset, count, filled, streams_known, window = _scan_window(
            data, filled, filled + n_read, offset, end, streams, stream, spans, count
        )
        if offset == begin and window <= requested:  # the file ends within a packet
            break
    return PacketIndex(data[:filled], spans[:count], offset, streams_known)


@kernel
def _scan_window(
    data: np.ndarray,
    filled: int,
    available: int,
    offset: int,
    end: int,
    streams: np.ndarray,
    stream: int,
    spans: np.ndarray,
    count: int,
) -> tuple:
    """Find packets in the data read from byte `offset` of the file to index `filled` of the data, up to `available`.

    Returns:
        the byte after the last packet, the number of packets of the stream so far, the index in the data after the last
            of
        these, whether all belong to known streams, and the number of bytes to read next.
    """
    shift = filled - offset
    while offset + PACKET_HEADER_BYTES <= min(available - shift, end):
        number, size = _read_uint32(data, offset + shift), _read_uint32(data, offset + shift + 4)
        if not (streams == number).any():
            return offset, count, filled, False, WINDOW_BYTES
        packet_end = offset + PACKET_HEADER_BYTES + size
        if packet_end > end:
            break
        if number == stream:
            if packet_end + shift > available:
                return offset, count, filled, True, max(PACKET_HEADER_BYTES + size, WINDOW_BYTES)
            spans[count] = (packet_end + shift - size, packet_end + shift, packet_end - size)
            count += 1
            filled = packet_end + shift
        offset = packet_end
    return offset, count, filled, True, WINDOW_BYTES


@kernel
def _read_uint32(data: np.ndarray, offset: int) -> np.int64:
    number = np.int64(0)
    for i in range(4):
        number |= np.int64(data[offset + i]) << 8 * i
    return number


def unpack_packets(packets: Packets, decode: Callable[[bytes], T]) -> Iterator[T]:
    """Yield the decoded contents of each packet; errors name the byte of the packet."""
    unpack, view = create_unpacker(packets.compression), packets.data.data
    packet_bounds = zip(packets.starts.tolist(), packets.ends.tolist(), packets.offsets.tolist(), strict=True)
    for start, end, offset in packet_bounds:
        try:
            content = decode(unpack(view[start:end]))
        except (RuntimeError, ValueError, struct.error) as error:  # lz4 raises the first
            raise BadInput(f"damaged packet at byte {offset}: {error}") from error
        yield content


def create_unpacker(compression: int) -> Callable[[memoryview], bytes]:
    """Return a function that unpacks a packet. Lengths stated in packets are not trusted."""
    if compression == NONE:
        return bytes
    if compression in (LZ4, LZ4_HIGH):
        import lz4.frame

        context, decompress = lz4.frame.create_decompression_context(), lz4.frame.decompress_chunk

        def unpack_lz4(packet: memoryview) -> bytes:
            data, _, ended = decompress(context, packet)
            if not ended:
                raise ValueError("it ends early")
            return data

        return unpack_lz4
    import zstandard

    def unpack_zstd(packet: memoryview) -> bytes:
        data = bytearray()
        try:
            for block in zstandard.ZstdDecompressor().read_to_iter(packet):
                data += block
                if len(data) > MAX_PACKET_BYTES:
                    raise ValueError(f"it unpacks to more than {MAX_PACKET_BYTES} bytes")
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
        return bytes(data)

    return unpack_zstd
