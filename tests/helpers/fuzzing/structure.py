"""Where the fields, chunks and compressed parts of a file lie, so that mutations hit them and checksums stay right."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from helpers.fuzzing import containers, inner


class Chunk(NamedTuple):
    """A part of a file that can be moved as a whole.

    Attributes:
        start, end: its bytes in the file.
        length_at: byte of the field with its length; -1 if it has none.
        length_bytes: bytes of that field.
        order: byte order of its numbers.
    """

    start: int
    end: int
    length_at: int = -1
    length_bytes: int = 4
    order: str = "little"


@dataclass(frozen=True)
class Structure:
    """The structure of a file.

    Attributes:
        magic: bytes at the beginning that most mutations keep, so that most inputs pass the check of the signature.
        text: bounds of text in which numbers and words are replaced; empty if there is none.
        header: bounds of the bytes that decide how the rest is read.
        order: byte order of numbers.
        chunks: parts that can be removed, repeated and exchanged.
        inner: compressed parts.
        mend: function that makes checksums right again.
    """

    magic: int = 4
    text: tuple[int, int] = (0, 0)
    header: tuple[int, int] = (0, 512)
    order: str = "little"
    chunks: tuple[Chunk, ...] = ()
    inner: tuple[inner.Part, ...] = ()
    mend: Callable[[bytes], bytes] | None = field(default=None)


@functools.lru_cache(maxsize=256)
def find_structure(content: bytes, name: str) -> Structure:
    """Find the structure of a seed."""
    return STRUCTURES[name](content)


def _chunks(spans: Iterator[tuple[int, ...]], order: str = "little") -> tuple[Chunk, ...]:
    """Return chunks from tuples of start, end, and optionally position and size of the length."""
    return tuple(Chunk(*span, order=order) if len(span) == 4 else Chunk(*span) for span in spans)


def _split_records(content: bytes, start: int, size: int) -> tuple[Chunk, ...]:
    return tuple(Chunk(at, at + size) for at in range(start, len(content) - size + 1, size))


def _find_text_end(content: bytes, prefix: bytes) -> int:
    end = 0
    while content.startswith(prefix, end) and (stop := content.find(b"\n", end)) >= 0:
        end = stop + 1
    return end


def _find_lines(content: bytes) -> Structure:
    """Find the header lines of Prophesee's formats, and the words after them."""
    end = _find_text_end(content, b"%")
    lines = containers.list_lines(content, 0, end)
    size = 8 if b"EVT21" in content[:end] or b"Version" in content[:end] else 4
    records = _split_records(content, end, 2 if b"EVT3" in content[:end] or b"evt 3" in content[:end] else size)
    return Structure(2, (2, end), (0, end + 16), chunks=(*_chunks(lines), *records))


def _find_aedat(content: bytes) -> Structure:
    end = _find_text_end(content, b"#")
    is_third = content.startswith(b"#!AER-DAT3")
    packets = _chunks(containers.list_aedat3_packets(content, end)) if is_third else ()
    records = _split_records(content, end, 8)
    lines = _chunks(containers.list_lines(content, 0, end))
    return Structure(12, (14, end), (0, end + 28), "little" if is_third else "big", (*lines, *packets, *records))


def _find_aedat4(content: bytes, unpack: str = "") -> Structure:
    spans = list(containers.list_aedat4_packets(content))
    xml = content.find(b"<dv"), content.find(b"</dv>") + 5
    parts = tuple(inner.list_aedat4_parts(content, spans, unpack)) if unpack else ()
    return Structure(18, xml, (14, xml[0]), chunks=_chunks(iter(spans)), inner=parts)


def _find_riff(content: bytes) -> Structure:
    order = "big" if content[:4] == b"FORM" else "little"
    return Structure(12, header=(4, 80), order=order, chunks=_chunks(containers.list_riff_chunks(content), order))


def _find_npy(content: bytes) -> Structure:
    end = content.find(b"\n") + 1
    return Structure(6, (10, end), (6, end + 16), chunks=_split_records(content, end, 8))


def _find_zip(content: bytes) -> Structure:
    spans = _chunks(containers.list_zip_members(content))
    return Structure(4, header=(0, 64), chunks=spans, inner=tuple(inner.list_zip_parts(content)))


def _find_text(content: bytes) -> Structure:
    lines = _chunks(containers.list_lines(content, 0, len(content)))
    return Structure(0, (0, len(content)), (0, 60), chunks=lines)


def _find_hdf5(content: bytes) -> Structure:
    marks = [each.start() for each in re.finditer(rb"OHDR|TREE|HEAP|SNOD|FRHP|FHDB|FSHD|BTHD|OCHK|GCOL", content)]
    spans = zip(marks, [*marks[1:], len(content)], strict=False)
    return Structure(8, header=(8, 800), chunks=_chunks(iter(spans)))


def _find_png(content: bytes) -> Structure:
    chunks = _chunks(containers.list_png_chunks(content), "big")
    parts = tuple(inner.list_png_parts(content, chunks))
    return Structure(12, header=(8, 41), order="big", chunks=chunks, inner=parts, mend=containers.mend_png)


def _find_boxes(content: bytes) -> Structure:
    chunks = _chunks(containers.list_boxes(content, 0, len(content)), "big")
    index = content.find(b"moov")
    return Structure(12, header=(max(index - 4, 0), max(index, 0) + 800), order="big", chunks=chunks)


def _find_matroska(content: bytes) -> Structure:
    chunks = _chunks(containers.list_ebml_elements(content, 0, len(content)), "big")
    return Structure(4, header=(4, 500), order="big", chunks=chunks)


def _find_ogg(content: bytes) -> Structure:
    chunks = _chunks(containers.list_ogg_pages(content))
    return Structure(36, header=(0, 200), chunks=chunks, mend=containers.mend_ogg)


def _find_jpeg(content: bytes) -> Structure:
    chunks = _chunks(containers.list_jpeg_segments(content), "big")
    return Structure(3, header=(2, 700), order="big", chunks=chunks)


def _find_tiff(content: bytes) -> Structure:
    index = int.from_bytes(content[4:8], "little")
    entries = _split_records(content[: index + 2 + 12 * content[index]], index + 2, 12)
    return Structure(4, header=(index, index + 2 + 12 * content[index]), chunks=entries)


def _find_marked(content: bytes, mark: bytes, magic: int, order: str = "big") -> Structure:
    """Find chunks that each begin with the same bytes."""
    marks = [each.start() for each in re.finditer(re.escape(mark), content)]
    return Structure(magic, order=order, chunks=_chunks(iter(zip(marks, [*marks[1:], len(content)], strict=False))))


def _find_y4m(content: bytes) -> Structure:
    end = content.find(b"\n") + 1
    frames = _find_marked(content, b"FRAME\n", 9)
    return Structure(9, (10, end), (9, end), chunks=frames.chunks)


def _find_pnm(content: bytes) -> Structure:
    end = content.find(b"65535") + 6
    return Structure(2, (2, end), (2, end), "big", _split_records(content, end, 2))


STRUCTURES: dict[str, Callable[[bytes], Structure]] = {
    "adts": lambda content: _find_marked(content, content[:2], 2),
    "aedat": _find_aedat,
    "aedat4": _find_aedat4,
    "aedat4-lz4": functools.partial(_find_aedat4, unpack="lz4"),
    "aedat4-zstd": functools.partial(_find_aedat4, unpack="zstd"),
    "asf": lambda content: Structure(16, chunks=_chunks(containers.list_asf_objects(content))),
    "binary": lambda content: Structure(4, chunks=_split_records(content, 0, 16)),
    "bmp": lambda content: Structure(2, header=(2, 54), chunks=_split_records(content, 54, 4)),
    "es": lambda content: Structure(16, header=(12, 20), chunks=_split_records(content, 20, 5)),
    "exr": lambda content: Structure(4, header=(4, 400), chunks=_chunks(containers.list_exr_attributes(content))),
    "flac": lambda content: Structure(4, header=(4, 46), order="big", chunks=_chunks(containers.list_flac(content))),
    "flv": lambda content: Structure(4, header=(4, 60), order="big", chunks=_chunks(containers.list_flv_tags(content))),
    "gif": lambda content: _find_marked(content, b"!\xf9\x04", 6, "little"),
    "hdf5": _find_hdf5,
    "jpeg": _find_jpeg,
    "lines": _find_lines,
    "mat5": lambda content: Structure(
        128, header=(128, 400), chunks=_chunks(containers.list_mat_elements(content)),
        inner=tuple(inner.list_mat_parts(content)),
    ),
    "mat-variable": lambda content: Structure(
        8, chunks=_chunks(containers.list_mat_elements(content, 0)), header=(0, 100)
    ),
    "matroska": _find_matroska,
    "mcap": lambda content: Structure(8, header=(8, 200), chunks=_chunks(containers.list_mcap_records(content))),
    "mp3": lambda content: _find_marked(content, content[:2], 4),
    "mp4": _find_boxes,
    "mpegts": lambda content: Structure(1, order="big", chunks=_split_records(content, 0, 188)),
    "nmnist": lambda content: Structure(0, header=(0, 40), order="big", chunks=_split_records(content, 0, 5)),
    "npy": _find_npy,
    "ogg": _find_ogg,
    "png": _find_png,
    "pnm": _find_pnm,
    "riff": _find_riff,
    "rosbag": lambda content: Structure(13, header=(13, 300), chunks=_chunks(containers.list_bag_records(content))),
    "text": _find_text,
    "tiff": _find_tiff,
    "w64": lambda content: Structure(16, header=(16, 140), chunks=_chunks(containers.list_w64_chunks(content))),
    "y4m": _find_y4m,
    "zip": _find_zip,
}  # fmt: skip
"""Functions that find the structure of a seed, by name."""
