"""Declared lengths of audio files: find those that declare less than the file contains."""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
PLACEHOLDER_BYTES = 0x7FFF0000
"""Lengths from this value are placeholders of files written to a pipe; libsndfile reads these to the end."""
PADDING_BYTES = 4096
"""Zeros after the audio, up to this length, are padding of a block device or a recorder."""
OGG_BEGIN = b"OggS\0\2"
"""First page of an Ogg stream."""
XING_MARKS = (b"Xing", b"Info")
MAX_MP3_FRAME_BYTES = 1441
HEAD_BYTES = 4096
MAX_CHUNKS = 1000


@dataclass(frozen=True)
class Undeclared:
    """Audio beyond the declared length.

    Attributes:
        reason: what the header declares and what the file contains; empty if it validly declares no length.
        patches: bytes of a corrected header by their position in the file; empty if a corrected header would not
            suffice, so that the file must be decoded without its header.
    """

    reason: str
    patches: Mapping[int, bytes]


def find_undeclared(path: Path, is_mp3: Callable[[bytes], bool]) -> Undeclared | None:
    """Find audio that a file contains beyond the length in its header; None if there is none.

    Args:
        path: WAV, RF64, W64, AIFF, FLAC, Ogg or MP3 file.
        is_mp3: returns whether bytes begin with frames of MPEG layer III.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head, size = file.read(HEAD_BYTES), file.seek(0, io.SEEK_END)
        if head[:4] in (b"RIFF", b"RF64", b"FORM") or head.startswith(W64):
            return _find_chunk_excess(file, head, size)
        if head.startswith(b"fLaC"):
            return _find_flac_excess(file, size)
        if head.startswith(b"OggS"):
            return _find_chained_ogg(file, head, size)
        return _find_mp3_excess(file, head, size, is_mp3)


def _find_chunk_excess(file: BinaryIO, head: bytes, size: int) -> Undeclared | None:
    """Find a data chunk that is followed neither by other chunks nor by the end of the file."""
    order = "big" if head[:4] == b"FORM" else "little"
    patches: dict[int, bytes] = {}
    common_start, common_bytes = 0, 1  # position of AIFF's number of samples, and their size
    wide: tuple[int, int] | None = None  # position and value of RF64's 64-bit length
    for name, start, length, field in _list_chunks(file, head, size):
        if name == b"ds64":
            file.seek(start + 8)
            wide = start + 8, int.from_bytes(file.read(8), "little")
        elif name == b"COMM":
            file.seek(start)
            common = file.read(8)
            channels, bits = int.from_bytes(common[:2], "big"), int.from_bytes(common[6:8], "big")
            frame_bytes = channels * ((bits + 7) // 8)
            # Compressed AIFF-C has other frames, which its declared number of samples counts.
            if head[8:12] == b"AIFF" and frame_bytes:
                patches[start + 2] = ((size - start) // frame_bytes).to_bytes(4, "big")
                common_start, common_bytes = start + 2, frame_bytes
        elif name in (b"data", b"SSND", W64_DATA):
            declared = wide[1] if wide is not None and length == 0xFFFFFFFF else length
            available = size - start
            if declared >= min(available, PLACEHOLDER_BYTES) or _is_tail(file, head, start + declared, size, declared):
                return None
            reason = f"its header declares {declared} bytes of audio, the file contains {available}"
            if name == b"SSND":
                if not patches:
                    return None
                patches[common_start] = ((available - 8) // common_bytes).to_bytes(4, "big")
            if wide is not None:
                patches[wide[0]] = available.to_bytes(8, "little")
            elif name == W64_DATA:
                patches[field] = (available + 24).to_bytes(8, "little")
            else:
                patches[field] = min(available, 0xFFFFFFFF).to_bytes(4, order)
            return Undeclared(reason, patches)
    return None


def _list_chunks(file: BinaryIO, head: bytes, size: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield name, start of the contents, declared length, and position of the length, of each chunk."""
    order = "big" if head[:4] == b"FORM" else "little"
    is_w64 = head.startswith(W64)
    position = 40 if is_w64 else 12
    for _ in range(MAX_CHUNKS):
        if position >= size:
            return
        file.seek(position)
        header = file.read(24 if is_w64 else 8)
        if len(header) < (24 if is_w64 else 8):
            return
        if is_w64:
            length, step = int.from_bytes(header[16:], "little") - 24, 8
            yield header[:16], position + 24, max(length, 0), position + 16
            position += 24 + max(length, 0) + -max(length, 0) % step
        else:
            length = int.from_bytes(header[4:], order)
            yield header[:4], position + 8, length, position + 4
            position += 8 + length + length % 2


def _is_tail(file: BinaryIO, head: bytes, position: int, size: int, declared: int) -> bool:
    """Return whether the bytes from a position on are the end of the file, padding, or other chunks."""
    if head.startswith(W64):
        position += -position % 8
    position = min(position, size)
    file.seek(position)
    rest = file.read(PADDING_BYTES + 1)
    if declared and len(rest) <= PADDING_BYTES and not rest.strip(b"\0"):
        return True
    position += 0 if head.startswith(W64) else position % 2
    file.seek(position)
    if head.startswith(W64):
        header = file.read(24)
        return size - position < 24 or position + int.from_bytes(header[16:], "little") <= size
    order = "big" if head[:4] == b"FORM" else "little"
    header = file.read(8)
    is_name = all(32 <= each < 127 for each in header[:4])
    return size - position < 8 or (is_name and position + 8 + int.from_bytes(header[4:], order) <= size + 1)


def _find_flac_excess(file: BinaryIO, size: int) -> Undeclared | None:
    """Find frames of a FLAC file beyond its declared number of samples, by the number of its last frame."""
    file.seek(8)
    info = file.read(34)
    block = int.from_bytes(info[:2], "big")
    declared = (info[13] & 15) << 32 | int.from_bytes(info[14:18], "big") if len(info) == 34 else 0
    if len(info) < 34 or info[:2] != info[2:4]:  # variable blocks are rare
        return None
    if not declared:  # written to a pipe: libsndfile would lose the last block
        return Undeclared("", {})
    # The largest frame, or a guess of it, so that the tail contains the header of the last one.
    tail_bytes = 2 * (int.from_bytes(info[7:10], "big") or 1 << 16)
    file.seek(max(0, size - tail_bytes))
    tail = file.read()
    place = len(tail)
    while (place := tail.rfind(b"\xff\xf8", 0, place)) >= 0:
        number, length = _read_flac_number(tail[place + 4 : place + 11])
        extra = {6: 1, 7: 2}.get(tail[place + 2] >> 4 if place + 2 < len(tail) else 0, 0)
        extra += {12: 1, 13: 2, 14: 2}.get(tail[place + 2] & 15 if place + 2 < len(tail) else 0, 0)
        end = place + 4 + length + extra
        if length and end < len(tail) and _compute_crc8(tail[place:end]) == tail[end]:
            if number * block >= declared:
                reason = f"its header declares {declared} samples, the file contains at least {number * block}"
                return Undeclared(reason, {})
            return None
    return None


def _read_flac_number(coded: bytes) -> tuple[int, int]:
    """Read a frame number, coded as UTF-8 does; return it and its length in bytes, 0 if invalid."""
    if not coded:
        return 0, 0
    if coded[0] < 0x80:
        return coded[0], 1
    length = 8 - (coded[0] ^ 0xFF).bit_length()
    if not 2 <= length <= min(7, len(coded)) or any(each >> 6 != 2 for each in coded[1:length]):
        return 0, 0
    number = coded[0] & (0x7F >> length)
    for each in coded[1:length]:
        number = number << 6 | each & 0x3F
    return number, length


def _compute_crc8(content: bytes) -> int:
    """Return the checksum of a FLAC frame header (polynomial 0x107)."""
    crc = 0
    for each in content:
        crc ^= each
        for _ in range(8):
            crc = (crc << 1 ^ 0x107) if crc & 0x80 else crc << 1
    return crc & 0xFF


def _find_chained_ogg(file: BinaryIO, head: bytes, size: int) -> Undeclared | None:
    """Find a second stream after the first one; libsndfile would read the first only."""
    begin = 0
    while head[begin : begin + 6] == OGG_BEGIN and len(head) > begin + 27:  # streams in parallel begin together
        segments = head[begin + 27 : begin + 27 + head[begin + 26]]
        begin += 27 + len(segments) + sum(segments)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(OGG_BEGIN, begin)
    if place < 0:
        return None
    return Undeclared(f"it is a chain of Ogg streams, the second from byte {place} of {size}", {})


def _find_mp3_excess(file: BinaryIO, head: bytes, size: int, is_mp3: Callable[[bytes], bool]) -> Undeclared | None:
    """Find MP3 frames after the length in bytes that the first frame declares (a Xing or Info header)."""
    start = 0
    if head.startswith(b"ID3") and len(head) > 10:
        start = 10 + sum(byte << 7 * (3 - place) for place, byte in enumerate(head[6:10]))
    file.seek(start)
    first = file.read(256)
    place = max(first.find(mark, 0, 64) for mark in XING_MARKS)
    if place < 0 or len(first) < place + 16 or not first[place + 7] & 2:
        return None
    offset = place + 8 + (4 if first[place + 7] & 1 else 0)
    end = start + int.from_bytes(first[offset : offset + 4], "big")
    # Writers count the first frame or not, so that frames directly after the end may be the last of this stream.
    for each in (end, end + 10):
        file.seek(min(each, size))
        rest = file.read(HEAD_BYTES)
        if rest.startswith(b"ID3") and len(rest) > 10:
            file.seek(each + 10 + sum(byte << 7 * (3 - place) for place, byte in enumerate(rest[6:10])))
            rest = file.read(HEAD_BYTES)
        if is_mp3(rest) and size - each > MAX_MP3_FRAME_BYTES:
            return Undeclared(f"its header declares {end - start} bytes of audio, the file contains {size - start}", {})
    return None


class PatchedFile(io.RawIOBase):
    """A file whose header is read with corrected bytes; the file itself is not changed."""

    def __init__(self, path: Path, patches: Mapping[int, bytes]) -> None:
        self._file, self._patches = path.open("rb"), patches

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        position = self._file.tell()
        content = bytearray(self._file.read(len(buffer)))
        for start, correct in self._patches.items():
            for place, byte in enumerate(correct, start - position):
                if 0 <= place < len(content):
                    content[place] = byte
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
