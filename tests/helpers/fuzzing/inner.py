"""Compressed parts of files: their contents are mutated and packed again, so that damage gets past the compression."""

from __future__ import annotations

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple


class Part(NamedTuple):
    """A compressed part of a file.

    Attributes:
        start, end: the bytes of the file that `pack` replaces.
        content: unpacked content.
        structure: name of the content's structure.
        pack: function from a new content to the bytes of the file.
    """

    start: int
    end: int
    content: bytes
    structure: str
    pack: Callable[[bytes], bytes]


def list_zip_parts(content: bytes) -> Iterator[Part]:
    """Yield the members of a zip archive; a changed member makes a new archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, member in members.items():
        yield Part(0, len(content), member, "npy", functools.partial(_pack_zip, members, name))


def _pack_zip(members: dict[str, bytes], name: str, member: bytes) -> bytes:
    file = io.BytesIO()
    compression = zipfile.ZIP_DEFLATED if len(member) % 2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", compression, compresslevel=1) as archive:
        for each, stored in {**members, name: member}.items():
            archive.writestr(zipfile.ZipInfo(each), stored, compression)
    return file.getvalue()


def list_png_parts(content: bytes, chunks: Iterable[tuple[int, ...]]) -> Iterator[Part]:
    """Yield the pixels of a PNG file."""
    for start, end, *_ in chunks:
        name, body = content[start + 4 : start + 8], content[start + 8 : end - 4]
        number = body[:4] if name == b"fdAT" else b""
        if name in (b"IDAT", b"fdAT"):
            yield Part(
                start, end, zlib.decompress(body[len(number) :]), "binary", functools.partial(_pack_png, name, number)
            )


def _pack_png(name: bytes, number: bytes, pixels: bytes) -> bytes:
    body = number + zlib.compress(pixels, 1)
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def list_aedat4_parts(content: bytes, spans: Iterable[tuple[int, ...]], compression: str) -> Iterator[Part]:
    """Yield the packets of an AEDAT 4 file."""
    import lz4.frame
    import zstandard

    decompress, compress = (
        (lz4.frame.decompress, lambda packet: lz4.frame.compress(packet, store_size=False))
        if compression == "lz4"
        else (zstandard.decompress, zstandard.compress)
    )
    for start, end, *_ in spans:
        number = content[start : start + 4]
        yield Part(
            start, end, decompress(content[start + 8 : end]), "binary",
            functools.partial(_pack_aedat4, number, compress),
        )  # fmt: skip


def _pack_aedat4(number: bytes, compress: Callable[[bytes], bytes], packet: bytes) -> bytes:
    packed = compress(packet)
    return number + struct.pack("<I", len(packed)) + packed


def list_mat_parts(content: bytes) -> Iterator[Part]:
    """Yield the compressed variables of a MATLAB 5 file."""
    at = 128
    while at + 8 <= len(content):
        kind, length = struct.unpack_from("<II", content, at)
        if kind == 15:
            yield Part(
                at, at + 8 + length, zlib.decompress(content[at + 8 : at + 8 + length]), "mat-variable", _pack_variable
            )
        at += 8 + length


def _pack_variable(variable: bytes) -> bytes:
    packed = zlib.compress(variable, 1)
    return struct.pack("<II", 15, len(packed)) + packed
