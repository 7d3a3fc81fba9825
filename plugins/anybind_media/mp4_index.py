"""A check of the index of MP4 files, since FFmpeg allocates an entry for every sample that it declares."""

from __future__ import annotations

import io
import re
from pathlib import Path

from anybind.plugin import BadInput

INDEX_BOX = re.compile(rb"(.{4})(trun|stsz)", re.DOTALL)
"""Length and name of a run of samples in a fragment, and of the table of sizes."""
COUNT_OFFSETS = {b"trun": 4, b"stsz": 8}
"""Bytes between the header of the box and the number of samples."""
MAX_INDEX_BYTES = 1 << 26
"""Bytes of a box that are searched; those with the media, which are larger, are skipped."""
MAX_BOXES = 1 << 20


def check_sample_counts(path: Path) -> None:
    """Raise `BadInput` for an MP4 file whose index declares more samples than the file has bytes.

    Source: ISO/IEC 14496-12, sections 8.7.3 and 8.8.8.
    """
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        start = 0
        for _ in range(MAX_BOXES):
            file.seek(start)
            header = file.read(16)
            if len(header) < 8 or not header[4:8].isalnum():
                return
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:], "big")
            length = length if length >= 8 else size - start
            if header[4:8] != b"mdat":
                file.seek(start)
                _check_box(path, file.read(min(length, MAX_INDEX_BYTES)), size)
            start += length


def _check_box(path: Path, content: bytes, size: int) -> None:
    for match in INDEX_BOX.finditer(content):
        # A length of 1 means that one of 64 bits follows the name.
        place = match.end() + (8 if match[1] == b"\0\0\0\1" else 0) + COUNT_OFFSETS[match[2]]
        count = int.from_bytes(content[place : place + 4], "big")
        if count > size:
            raise BadInput(f"{path}: damaged: its index declares {count} samples in {size} bytes; copy it again")
