"""Chunks of container formats: start and end of each and, where there is one, position and size of its length field."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

NESTED_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"moof", b"traf", b"mvex", b"dinf")
NESTED_ELEMENTS = (0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x1F43B675, 0x114D9B74, 0x1549A966, 0xA0, 0x1C53BB6B)
"""Matroska's segment, tracks, track entry, video, audio, cluster, seek head, info, block group and cues."""
REVERSED = bytes(int(f"{number:08b}"[::-1], 2) for number in range(256))

Span = tuple[int, int] | tuple[int, int, int, int]


def list_lines(content: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield the lines of text."""
    while start < end:
        stop = content.find(b"\n", start, end) + 1 or end
        yield start, stop
        start = stop


def list_riff_chunks(content: bytes) -> Iterator[Span]:
    """Yield the chunks of RIFF, RF64, FORM and WebP, and those within lists."""
    order = "big" if content[:4] == b"FORM" else "little"
    yield 0, len(content), 4, 4
    pending = [(12, len(content))]
    while pending:
        at, end = pending.pop()
        while at + 8 <= end:
            length = int.from_bytes(content[at + 4 : at + 8], order)
            stop = min(at + 8 + length + length % 2, end)
            yield at, stop, at + 4, 4
            if content[at : at + 4] in (b"LIST", b"ANMF"):
                pending.append((at + (12 if content[at : at + 4] == b"LIST" else 24), stop))
            at = max(stop, at + 8)


def list_w64_chunks(content: bytes) -> Iterator[Span]:
    """Yield the chunks of a W64 file."""
    at = 40
    while at + 24 <= len(content):
        length = max(int.from_bytes(content[at + 16 : at + 24], "little"), 24)
        stop = min(at + length + -length % 8, len(content))
        yield at, stop, at + 16, 8
        at = stop


def list_aedat3_packets(content: bytes, at: int) -> Iterator[Span]:
    """Yield the packets of an AEDAT 3 file."""
    while at + 28 <= len(content):
        size, number = (int.from_bytes(content[at + place : at + place + 4], "little") for place in (4, 20))
        stop = min(at + 28 + size * number, len(content))
        yield at, stop, at + 20, 4
        at = stop


def list_aedat4_packets(content: bytes) -> Iterator[Span]:
    """Yield the packets of an AEDAT 4 file."""
    at = 18 + int.from_bytes(content[14:18], "little")
    while at + 8 <= len(content):
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        if at + 8 + length > len(content):
            return
        yield at, at + 8 + length, at + 4, 4
        at += 8 + length


def list_zip_members(content: bytes) -> Iterator[Span]:
    """Yield the members of a zip archive, and the entries of its directory."""
    marks = [at for at in range(len(content) - 4) if content[at : at + 4] in (b"PK\3\4", b"PK\1\2", b"PK\5\6")]
    for at, stop in zip(marks, [*marks[1:], len(content)], strict=False):
        yield at, stop, at + (18 if content[at + 2] == 3 else 20), 4


def list_png_chunks(content: bytes) -> Iterator[Span]:
    """Yield the chunks of a PNG file."""
    at = 8
    while at + 12 <= len(content):
        stop = min(at + 12 + int.from_bytes(content[at : at + 4], "big"), len(content))
        yield at, stop, at, 4
        at = stop


def mend_png(content: bytes) -> bytes:
    """Make the checksums of complete chunks right."""
    fixed = bytearray(content)
    for at, stop, *_ in list_png_chunks(content):
        if stop - at == 12 + int.from_bytes(content[at : at + 4], "big"):
            fixed[stop - 4 : stop] = zlib.crc32(content[at + 4 : stop - 4]).to_bytes(4, "big")
    return bytes(fixed)


def list_boxes(content: bytes, at: int, end: int) -> Iterator[Span]:
    """Yield the boxes of MP4 files, and those within them."""
    while at + 8 <= end:
        length = int.from_bytes(content[at : at + 4], "big")
        stop = min(at + length, end) if length >= 8 else end
        yield at, stop, at, 4
        if content[at + 4 : at + 8] in NESTED_BOXES:
            yield from list_boxes(content, at + 8, stop)
        at = stop


def list_ebml_elements(content: bytes, at: int, end: int) -> Iterator[Span]:
    """Yield the elements of a Matroska file, and those within them."""
    while at < end and content[at]:
        id_bytes = 9 - content[at].bit_length()
        place = at + id_bytes
        if place >= end or not content[place]:
            return
        length_bytes = 9 - content[place].bit_length()
        length = int.from_bytes(content[place : place + length_bytes], "big") & (1 << 7 * length_bytes) - 1
        body = place + length_bytes
        stop = end if length == (1 << 7 * length_bytes) - 1 else min(body + length, end)
        yield at, stop, place, length_bytes
        if int.from_bytes(content[at:place], "big") in NESTED_ELEMENTS:
            yield from list_ebml_elements(content, body, stop)
        at = max(stop, body)


def list_ogg_pages(content: bytes) -> Iterator[Span]:
    """Yield the pages of an Ogg file."""
    at = content.find(b"OggS")
    while at >= 0:
        stop = content.find(b"OggS", at + 4)
        yield at, stop if stop >= 0 else len(content), at + 26, 1
        at = stop


def mend_ogg(content: bytes) -> bytes:
    """Make the checksums of complete pages right."""
    fixed = bytearray(content)
    for at, stop, *_ in list_ogg_pages(content):
        if stop - at >= 27:
            fixed[at + 22 : at + 26] = bytes(4)
            # The polynomial is that of zlib, with the bits of each byte, and of the result, in the other order.
            crc = zlib.crc32(bytes(fixed[at:stop]).translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
            fixed[at + 22 : at + 26] = crc.to_bytes(4, "big").translate(REVERSED)
    return bytes(fixed)


def list_jpeg_segments(content: bytes) -> Iterator[Span]:
    """Yield the segments of a JPEG file up to the first scan, and the scans after it."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        if content[at + 1] == 0xDA:
            yield at, len(content), at + 2, 2
            return
        stop = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        yield at, stop, at + 2, 2
        at = stop


def list_flac(content: bytes) -> Iterator[Span]:
    """Yield the metadata blocks and the frames of a FLAC file."""
    at = 4
    while at + 4 <= len(content):
        last, stop = content[at] & 0x80, at + 4 + int.from_bytes(content[at + 1 : at + 4], "big")
        yield at, stop, at + 1, 3
        at = stop
        if last:
            break
    yield at, len(content)


def list_flv_tags(content: bytes) -> Iterator[Span]:
    """Yield the tags of an FLV file."""
    at = 13
    while at + 11 <= len(content):
        stop = min(at + 15 + int.from_bytes(content[at + 1 : at + 4], "big"), len(content))
        yield at, stop, at + 1, 3
        at = stop


def list_asf_objects(content: bytes) -> Iterator[Span]:
    """Yield the objects of an ASF file, and those in its header."""
    at = 0
    while at + 24 <= len(content):
        stop = min(at + max(int.from_bytes(content[at + 16 : at + 24], "little"), 24), len(content))
        yield at, stop, at + 16, 8
        at = at + 30 if at == 0 else stop


def list_exr_attributes(content: bytes) -> Iterator[Span]:
    """Yield the attributes in the header of an OpenEXR file, and what follows it."""
    at = 8
    while at < len(content) and content[at]:
        name_end = content.find(b"\0", at) + 1
        place = content.find(b"\0", name_end) + 1
        stop = place + 4 + int.from_bytes(content[place : place + 4], "little")
        if not 0 < name_end < place < stop <= len(content):
            return
        yield at, stop, place, 4
        at = stop
    yield at, len(content)


def list_mat_elements(content: bytes, start: int = 128) -> Iterator[Span]:
    """Yield the elements of a MATLAB 5 file, and those within matrices."""
    pending = [(start, len(content))]
    while pending:
        at, end = pending.pop()
        while at + 8 <= end:
            kind, length = (int.from_bytes(content[place : place + 4], "little") for place in (at, at + 4))
            is_short = kind >> 16 != 0
            padding = 0 if is_short or kind == 15 else -length % 8
            stop = at + 8 if is_short else min(at + 8 + length + padding, end)
            yield at, stop, at + (2 if is_short else 4), 2 if is_short else 4
            if kind == 14:
                pending.append((at + 8, stop))
            at = stop


def list_bag_records(content: bytes) -> Iterator[Span]:
    """Yield the records of a ROS 1 bag: a header and data, each after its length."""
    at = 13
    while at + 8 <= len(content):
        data_at = at + 4 + int.from_bytes(content[at : at + 4], "little")
        stop = data_at + 4 + int.from_bytes(content[data_at : data_at + 4], "little")
        if stop > len(content):
            return
        yield at, stop, data_at, 4
        at = stop


def list_mcap_records(content: bytes) -> Iterator[Span]:
    """Yield the records of an MCAP file."""
    at = 8
    while at + 9 <= len(content):
        stop = at + 9 + int.from_bytes(content[at + 1 : at + 9], "little")
        if stop > len(content):
            return
        yield at, stop, at + 1, 8
        at = stop
