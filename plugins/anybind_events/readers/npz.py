"""NPZ recordings: event columns in a NumPy archive, ours and N-ImageNet's."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from anybind import BadInput, Reader
from anybind_events.stream import EventStream

N_IMAGENET_SIZE = (640, 480)
"""Sensor of N-ImageNet's recordings, whose files do not record it."""
LARGEST_GUESS = 4096
"""Widest sensor that is believed without being told: one damaged pixel must not make frames of gigabytes."""
DAMAGE = (
    ArithmeticError,
    EOFError,
    MemoryError,
    OSError,
    RuntimeError,  # zipfile, on a method of compression or encryption that no archive of NumPy's has
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged archive raises."""


class NpzReader(Reader):
    """Arrays `x`, `y`, `t` (microseconds), `p` and, as ours have it, `size` (width, height).

    N-ImageNet's files hold one structured array `event_data` with these four fields instead. No pickle is
    ever read.
    """

    def sniff(self, head: bytes) -> bool | None:
        """A zip archive with an array in front is NumPy's; whether the arrays are events, reading tells."""
        if not head.startswith(b"PK\x03\x04"):
            return False
        return True if b".npy" in head[:128] else None

    def read(self, path: Path, *, size: tuple[int, int] | None = None) -> EventStream:
        """The recording.

        Args:
            path: the file.
            size: (width, height) of the sensor; by default what the file says, else 640x480 for
                N-ImageNet's, else the smallest that holds all events.

        Raises:
            BadInput: the archive is truncated or corrupt, or holds no event columns.
        """
        try:
            _check_directory(path)
            with np.load(path, allow_pickle=False) as archive:
                (x, y, t, p), recorded = _columns(path, archive)
            width, height = size or recorded or _smallest_sensor(x, y)
            return EventStream(x, y, t, p, int(width), int(height))
        except BadInput as error:
            raise BadInput(str(error) if str(path) in str(error) else f"{path}: {error}") from error
        except DAMAGE as error:
            raise BadInput(f"{path} is no complete .npz recording: {error}") from error

    def write(self, sample: EventStream, path: Path) -> None:
        columns = {name: getattr(sample, name) for name in "xytp"}
        np.savez_compressed(path, **columns, size=np.array([sample.width, sample.height]))


def _check_directory(path: Path) -> None:
    """Raise `BadZipFile` where the directory is damaged so that an array would be lost unseen."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            archive.open(member).close()  # raises where member and directory disagree on the name
            if member.comment:  # NumPy writes none; it may have swallowed the entries behind it
                raise zipfile.BadZipFile("its directory is damaged")


def _smallest_sensor(x: np.ndarray, y: np.ndarray) -> tuple[int, int]:
    width, height = (int(column.max(initial=0)) + 1 for column in (x, y))
    if max(width, height) > LARGEST_GUESS:
        raise BadInput(f"an event lies at column or row {max(width, height) - 1}; if that is right, give size=")
    return width, height


def _columns(path: Path, archive: Any) -> tuple[list[np.ndarray], tuple[int, int] | None]:
    """The columns x, y, t, p and the sensor size, as far as the file (or its data set) says it."""
    table = archive.get("event_data", None)
    if table is not None and table.dtype.names and set("xytp") <= set(table.dtype.names):
        return [table[name] for name in "xytp"], N_IMAGENET_SIZE
    if not set("xytp") <= set(archive.files):
        held = ", ".join(archive.files) or "nothing"
        raise BadInput(f"{path} holds no event columns x, y, t, p (it holds: {held})")
    size = tuple(archive["size"].tolist()) if "size" in archive else None
    return [archive[name] for name in "xytp"], size
