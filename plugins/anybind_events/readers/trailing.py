"""Data after the end of a recording, of formats that state where it ends."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import IO

from anybind import AnybindWarning
from anybind.plugin import BadInput

BLOCK_BYTES = 1 << 20


def note_second_recording(path: Path, file: IO[bytes], start: int, signature: bytes, strict: bool) -> dict[str, int]:
    """Search for a signature after the end of a recording; see `note_trailing_bytes`.

    Args:
        path: the file.
        file: the same, open.
        start: byte after the end of the recording.
        signature: first bytes of a recording.
        strict: raise an error instead of a warning.
    """
    file.seek(start)
    tail = b""
    while block := file.read(BLOCK_BYTES):
        data = tail + block
        if (index := data.find(signature)) >= 0:
            return note_trailing_bytes(path, file.seek(0, os.SEEK_END) - (start - len(tail) + index), strict)
        start, tail = start + len(block), data[-len(signature) + 1 :]
    return {}


def note_trailing_bytes(path: Path, n_bytes: int, strict: bool) -> dict[str, int]:
    """Return the note `trailing_bytes` for data after the end of a recording, with a warning.

    Args:
        path: the file.
        n_bytes: number of bytes after the end; no warning for 0.
        strict: raise an error instead.

    Raises:
        BadInput: there are such data, and `strict`.
    """
    if n_bytes <= 0:
        return {}
    message = f"{path}: {n_bytes} bytes after the end of the recording are not read: another recording, or damage"
    if strict:
        raise BadInput(message)
    warnings.warn(message, AnybindWarning, stacklevel=2)
    return {"trailing_bytes": n_bytes}
