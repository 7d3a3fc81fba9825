"""What an AEDAT4 file is made of: a header, and packets of FlatBuffers."""

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
from anybind.plugin import BadInput, BadOption, kernel

MAGIC = b"#!AER-DAT4.0\r\n"
HEADER_AT = len(MAGIC) + 4
"""Where the header begins, behind its own length."""
PACKET_HEADER = 8
"""Bytes in front of a packet: the number of its stream, and its length."""
LARGEST_PACKET = 1 << 28
"""Bytes that one packet may unpack to; those of cameras are some thousands of times smaller."""
MAPPED_FROM = 1 << 24
"""Bytes from which on a file is mapped and not copied."""
WINDOW = 1 << 14
"""Bytes that are read at once to look for packets."""
NONE, LZ4, LZ4_SMALLER, ZSTD, ZSTD_SMALLER = range(5)
"""The compressions by their number in the file."""

T = TypeVar("T")


class Source(NamedTuple):
    """One stream of a recording: its kind (`EVTS`, `FRME`, ...) and its sensor, 0x0 where none is told."""

    kind: str
    width: int
    height: int


class Packets(NamedTuple):
    """The packets of one stream in a file.

    Attributes:
        data: bytes of the file, (n,) uint8.
        compression: of the packets, by number.
        source: the stream.
        starts, ends: where in `data` each packet's contents are, (packets,) int64.
        places: the bytes of the file where they begin, (packets,) int64.
        notes: what is to be told of the file.
    """

    data: np.ndarray
    compression: int
    source: Source
    starts: np.ndarray
    ends: np.ndarray
    places: np.ndarray
    notes: dict[str, int]

    def part(self, first: int, behind: int) -> Packets:
        """Some of the packets, by number."""
        some = slice(first, behind)
        return self._replace(starts=self.starts[some], ends=self.ends[some], places=self.places[some])


class Table:
    """A table of a FlatBuffer. Every place is checked, since files may point anywhere."""

    def __init__(self, data: bytes, prefixed: bool = True) -> None:
        self.data = data
        root = 4 if prefixed else 0  # packets have their own length in front
        self.start = root + self.number("<I", root)
        self.slots = self.start - self.number("<i", self.start)

    def number(self, kind: str, at: int) -> int:
        """The number at a byte."""
        if at < 0:  # which would count from the end
            raise struct.error("it points in front of its beginning")
        return struct.unpack_from(kind, self.data, at)[0]

    def place(self, slot: int) -> int | None:
        """Where the field number `slot` is; None where it has its default."""
        at = 4 + 2 * slot
        offset = self.number("<H", self.slots + at) if at < self.number("<H", self.slots) else 0
        return self.start + offset if offset else None

    def value(self, slot: int, kind: str, default: int = 0) -> int:
        """The number in a field."""
        at = self.place(slot)
        return default if at is None else self.number(kind, at)

    def content(self, slot: int) -> bytes:
        """The bytes in a field that is a text or a list of bytes."""
        at = self.place(slot)
        if at is None:
            return b""
        start = at + self.number("<I", at)
        end = start + 4 + self.number("<I", start)
        if end > len(self.data):
            raise struct.error("a list ends behind its end")
        return bytes(self.data[start + 4 : end])


def find_packets(path: Path, kind: str, wanted: int | None, strict: bool) -> Packets:
    """The packets of the stream `wanted`, or the first of that kind; raises `BadInput` for a damaged file."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(MAGIC)) != MAGIC:
            raise BadInput("it is no AEDAT4 recording: its first line is not that of the format")
        start = HEADER_AT + int.from_bytes(file.read(4), "little")
        if start > size:
            raise BadInput(f"it is truncated: its header ends at byte {start}, and the file at byte {size}")
        compression, table_at, sources = _read_header(file.read(start - HEADER_AT))
        number = _chosen(path, kind, wanted, sources)
        closed = start <= table_at <= size
        end = table_at if closed else size
        gather = _map if size > MAPPED_FROM else _copy
        found = gather(file, start, end, np.array(list(sources), np.int64), number)
    notes = {}
    if not found.known or (closed and found.stop < end):
        raise BadInput(f"the packet at byte {found.stop} is damaged: its stream or its length cannot be")
    if found.stop < end or table_at > end:
        told = f"{path} is truncated: its last whole packet ends at byte {found.stop}, and the file at byte {size}"
        if strict:
            raise BadInput(told)
        warnings.warn(f"{told}; the packets before are kept", AnybindWarning, stacklevel=2)
        notes["truncated_bytes"] = end - found.stop
    starts, ends, places = found.spans.T
    return Packets(found.data, compression, sources[number], starts, ends, places, notes)


def _chosen(path: Path, kind: str, wanted: int | None, sources: dict[int, Source]) -> int:
    """The number of the stream `wanted`, or of the first of that kind."""
    numbers = [number for number, source in sources.items() if source.kind == kind]
    if not numbers:
        raise BadInput(f"it holds no {'events' if kind == 'EVTS' else 'pictures'}")
    if wanted is not None and wanted not in numbers:
        raise BadOption(f"{path} has no event stream {wanted}; there are: {', '.join(map(str, numbers))}")
    return min(numbers) if wanted is None else wanted


def _read_header(header: bytes) -> tuple[int, int, dict[int, Source]]:
    """The compression, where the table behind the packets is (-1: nowhere), and the streams by their number."""
    try:
        table = Table(header, prefixed=False)
        compression, table_at = table.value(0, "<i"), table.value(1, "<q", default=-1)
        description = table.content(2).rstrip(b"\0")
        if b"<!" in description:
            raise ValueError("its XML defines entities")
        sources = {}
        for node in ElementTree.fromstring(description).iterfind("node/node"):
            told = {attr.get("key"): attr.text or "" for attr in node.iter("attr")}
            width, height = (int(told.get(key, 0)) for key in ("sizeX", "sizeY"))
            sources[int(node.get("name", ""))] = Source(told.get("typeIdentifier", ""), width, height)
    except (struct.error, ValueError, ElementTree.ParseError) as error:
        raise BadInput(f"the header at byte {HEADER_AT} is damaged: {error}") from error
    if not NONE <= compression <= ZSTD_SMALLER:
        raise BadInput(f"the header at byte {HEADER_AT} names an unknown compression, number {compression}")
    return compression, table_at, sources


class Found(NamedTuple):
    """Where the packets of a stream are: `spans` is (packets, 3) int64 - start and end in `data`, place in the file.

    `stop` is the byte of the file where it stopped, and `known` says whether all packets were of known streams.
    """

    data: np.ndarray
    spans: np.ndarray
    stop: int
    known: bool


def _map(file: FileIO, start: int, end: int, known: np.ndarray, wanted: int) -> Found:
    """The packets of a large file: its pages are read when they are looked at."""
    data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    spans, stop, sure = _scan(data, start, end, known, wanted)
    return Found(data, spans, stop, sure)


@kernel
def _scan(data: np.ndarray, start: int, end: int, known: np.ndarray, wanted: int) -> tuple:
    spans, count = np.empty((64, 3), np.int64), 0
    at = start
    while at + PACKET_HEADER <= end:
        stream, size = _u32(data, at), _u32(data, at + 4)
        if not (known == stream).any():
            return spans[:count].copy(), at, False
        if at + PACKET_HEADER + size > end:
            break
        at += PACKET_HEADER + size
        if stream == wanted:
            if count == len(spans):
                spans = np.concatenate((spans, spans))
            spans[count] = (at - size, at, at - size)
            count += 1
    return spans[:count].copy(), at, True


def _copy(file: FileIO, start: int, end: int, known: np.ndarray, wanted: int) -> Found:
    """The packets of a small file, copied: the faults of mapped pages would take longer, and pictures are left out.

    A window of the file is read behind what is kept, and kept as far as the last wanted packet in it goes.
    """
    data, spans = np.empty(64 * WINDOW, np.uint8), np.empty((WINDOW, 3), np.int64)
    at, count, held, sure, window = start, 0, 0, True, WINDOW
    while at + PACKET_HEADER <= end and sure:
        if held + window > len(data):
            data = np.concatenate([data, np.empty(held + window, np.uint8)])
        if count + window // PACKET_HEADER > len(spans):
            spans = np.concatenate([spans, np.empty((len(spans) + window, 3), np.int64)])
        file.seek(at)
        read = file.readinto(data[held : held + window].data)
        begin, asked = at, window
        at, count, held, sure, window = _take(data, held, held + read, at, end, known, wanted, spans, count)
        if at == begin and window <= asked:  # what is there ends within a packet
            break
    return Found(data[:held], spans[:count], at, sure)


@kernel
def _take(
    data: np.ndarray,
    held: int,
    filled: int,
    at: int,
    end: int,
    known: np.ndarray,
    wanted: int,
    spans: np.ndarray,
    count: int,
) -> tuple:
    """Look for packets in what was read from the byte `at` of the file to `held` in the data, up to `filled`.

    Returns:
        the byte behind the last packet looked at, how many wanted ones there are by now, the place in the data behind
        the last of these, whether all were of known streams, and how many bytes are to be read next.
    """
    offset = held - at
    while at + PACKET_HEADER <= min(filled - offset, end):
        stream, size = _u32(data, at + offset), _u32(data, at + offset + 4)
        if not (known == stream).any():
            return at, count, held, False, WINDOW
        behind = at + PACKET_HEADER + size
        if behind > end:
            break
        if stream == wanted:
            if behind + offset > filled:
                return at, count, held, True, max(PACKET_HEADER + size, WINDOW)
            spans[count] = (behind + offset - size, behind + offset, behind - size)
            count += 1
            held = behind + offset
        at = behind
    return at, count, held, True, WINDOW


@kernel
def _u32(data: np.ndarray, at: int) -> np.int64:
    number = np.int64(0)
    for i in range(4):
        number |= np.int64(data[at + i]) << 8 * i
    return number


def contents(packets: Packets, take: Callable[[bytes], T]) -> Iterator[T]:
    """What `take` makes of each packet unpacked; what it raises is told with the byte at which the packet stands."""
    unpack, view = _unpacker(packets.compression), packets.data.data
    each = zip(packets.starts.tolist(), packets.ends.tolist(), packets.places.tolist(), strict=True)
    for start, end, place in each:
        try:
            content = take(unpack(view[start:end]))
        except (RuntimeError, ValueError, struct.error) as error:  # lz4 raises the first
            raise BadInput(f"the packet at byte {place} is damaged: {error}") from error
        yield content


def _unpacker(compression: int) -> Callable[[memoryview], bytes]:
    """A function that unpacks a packet. What packets claim about their length is not believed."""
    if compression == NONE:
        return bytes
    if compression in (LZ4, LZ4_SMALLER):
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
                if len(data) > LARGEST_PACKET:
                    raise ValueError(f"it unpacks to more than {LARGEST_PACKET} bytes")
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
        return bytes(data)

    return unpack_zstd
