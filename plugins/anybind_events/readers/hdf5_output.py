"""HDF5 files for writing that a full disk cannot crash."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py
    from _typeshed import ReadableBuffer


class _FailsafeFile(io.FileIO):
    """A file whose writes always succeed for HDF5; the first error is kept, and nothing is written after it.

    The HDF5 library cannot close a file that it fails to write: it ends the process with a segmentation fault,
    whatever driver reports the error.
    """

    error: OSError | None = None

    def write(self, data: ReadableBuffer) -> int:
        content = memoryview(data).cast("B")
        try:
            written = 0
            while self.error is None and written < len(content):
                written += super().write(content[written:]) or 0
        except OSError as error:
            self.error = error
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return 0

    def check(self) -> None:
        """Raise the error of an earlier write."""
        if self.error is not None:
            raise self.error


@contextmanager
def create_file(path: Path) -> Iterator[tuple[h5py.File, _FailsafeFile]]:
    """Create an HDF5 file for writing; call `check` of the second value between the writes of a long file.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    import h5py

    with _FailsafeFile(path, "w+b") as raw:
        # Metadata of this version have checksums.
        with h5py.File(raw, "w", libver=("v110", "v110")) as file:
            yield file, raw
        raw.check()
