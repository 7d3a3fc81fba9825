"""A check of the heaps in HDF5 files that hold texts, since HDF5 reads some damaged ones without end."""

from __future__ import annotations

import os
from pathlib import Path

from anybind.plugin import BadInput

SIGNATURE = b"GCOL\1\0\0\0"
"""First bytes of a global heap: the name and version 1."""
HEADER_BYTES = 16
"""Bytes of the header of a heap, and of that of an object in it."""
WINDOW_BYTES = 1 << 20
"""Bytes that are searched at the beginning and at the end of a file: attributes of recordings are stored there."""


def check_heaps(path: Path) -> None:
    """Raise `BadInput` for a heap with an object whose length is impossible. Source: HDF5's file format, III.E."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        parts = [file.read(WINDOW_BYTES)]
        if size > WINDOW_BYTES:
            file.seek(max(WINDOW_BYTES, size - WINDOW_BYTES))
            parts.append(file.read())
    for part in parts:
        place = part.find(SIGNATURE)
        while place >= 0:
            _check_heap(part, place)
            place = part.find(SIGNATURE, place + 1)


def _check_heap(part: bytes, place: int) -> None:
    end = place + int.from_bytes(part[place + 8 : place + 16], "little")
    at = place + HEADER_BYTES
    while at + HEADER_BYTES <= min(end, len(part)):
        index, length = (int.from_bytes(part[at + first : at + last], "little") for first, last in ((0, 2), (8, 16)))
        # The length of free space, with index 0, includes its header; objects are padded to 8 bytes.
        step = HEADER_BYTES + -(-length // 8) * 8 if index else length
        if not HEADER_BYTES <= step <= end - at:
            raise BadInput("damaged: a text in its heap has an impossible length; copy the file again")
        at += step
