"""NPZ recordings: event columns in a NumPy archive, ours and N-ImageNet's."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from anybind.plugin import BadInput, Reader
from anybind_events.readers.columns import NAMES, Batch, check_unit, find_columns, naming, streams_of, unit_in, whole
from anybind_events.readers.npy import Header, read_header
from anybind_events.stream import EventStream

TABLE = "event_data"
"""The one array in which N-ImageNet has its events."""
N_IMAGENET_SIZE = (640, 480)
"""Sensor of N-ImageNet's recordings, whose files do not record it."""
BLOCK_BYTES = 1 << 18
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


class Layout(NamedTuple):
    """Where an archive has its events.

    Attributes:
        members: the names of the arrays: one table with fields, or x, y, t, p.
        fields: of the table, in the order x, y, t, p; empty where each column is an array of its own.
        size: (width, height) as the archive, or its data set, has it.
        unit: of time, where a name says it.
    """

    members: tuple[str, ...]
    fields: tuple[str, ...]
    size: tuple[int, int] | None
    unit: str | None


class NpzReader(Reader):
    """Arrays `x`, `y`, `t` (microseconds), `p` and, as ours have it, `size` (width, height).

    The names of other people's columns (`xs`, `timestamp`, `polarity`, ...) are known too, and their fractions of
    seconds. N-ImageNet's files hold one structured array `event_data` with these four fields instead. No pickle
    is ever read. The data of a truncated archive cannot be found, since its directory is at its end.
    """

    def sniff(self, head: bytes) -> bool | None:
        """A zip archive with an event column in front; any other may be one, and reading tells."""
        if not head.startswith(b"PK\x03\x04"):
            return False
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")].decode(errors="replace")
        known = {TABLE, "size", *(each for names in NAMES.values() for each in names)}
        return True if name.endswith(".npy") and name.removesuffix(".npy") in known else None

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        unit: str | None = None,
    ) -> Iterator[EventStream]:
        """Yield the recording in parts; `read` gives it whole.

        Args:
            path: the file.
            count: events in a part.
            strict: makes no difference: a truncated archive is always refused.
            size: (width, height) of the sensor; by default what the file says, else 640x480 for
                N-ImageNet's, else the smallest in use that holds all events.
            unit: of time: s, ms, us or ns; by default seconds where times have fractions, else microseconds.

        Raises:
            BadInput: the archive is truncated or corrupt, or holds no event columns.
            BadOption: a unit that is none.
        """
        check_unit(unit)
        with naming(path):
            try:
                with zipfile.ZipFile(path) as archive:
                    _check_directory(archive)
                    layout = _layout(archive)
                    batches = partial(_batches, archive, layout)
                    yield from streams_of(batches, count, size=size or layout.size, unit=unit or layout.unit)
            except DAMAGE as error:
                raise BadInput(f"{path} is no complete .npz recording: {error}") from error

    read = whole(chunks)

    def write(self, sample: EventStream, path: Path) -> None:
        columns = {name: getattr(sample, name) for name in "xytp"}
        np.savez_compressed(path, **columns, size=np.array([sample.width, sample.height]))


def _check_directory(archive: zipfile.ZipFile) -> None:
    """Raise `BadZipFile` where the directory is damaged so that an array would be lost unseen."""
    for member in archive.infolist():
        archive.open(member).close()  # raises where member and directory disagree on the name
        if member.comment:  # NumPy writes none; it may have swallowed the entries behind it
            raise zipfile.BadZipFile("its directory is damaged")


def _layout(archive: zipfile.ZipFile) -> Layout:
    """Where the events are; raises `BadInput` when there are none."""
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if TABLE in names:
        with _open_array(archive, TABLE) as (_, header):
            if header.fields:
                fields = tuple(header.fields[letter] for letter in "xytp")
                return Layout((TABLE,), fields, N_IMAGENET_SIZE, unit_in(header.fields["t"]))
    found = find_columns(names)
    if found is None:
        raise BadInput(
            f"{archive.filename} holds no event columns x, y, t, p (it holds: {', '.join(names) or 'nothing'})"
        )
    size = None
    if "size" in names:
        with _open_array(archive, "size") as (file, header):
            if header.shape != (2,) or header.dtype.kind not in "iuf":
                raise BadInput(f"its size is no width and height, but of shape {header.shape} and type {header.dtype}")
            width, height = _numbers(file, header.dtype, 2).tolist()
            size = int(width), int(height)
    unit = "us" if size else unit_in(found["t"])  # ours, whatever the numbers look like
    return Layout(tuple(found[letter] for letter in "xytp"), (), size, unit)


@contextmanager
def _open_array(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[IO[bytes], Header]]:
    """An array of the archive, open behind its header, whose claims have been compared with the member's length."""
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        try:
            header = read_header(file)
        except BadInput as error:
            raise BadInput(f"its array {name}: {error}") from error
        if header.bytes + header.data_bytes != member.file_size:
            raise BadInput(f"its array {name} is damaged: {header.data_bytes} bytes are promised in its header")
        yield file, header


def _batches(archive: zipfile.ZipFile, layout: Layout, count: int) -> Iterator[Batch]:
    """The columns, at most `count` events at a time: at least one batch, which may be empty."""
    with ExitStack() as stack:
        arrays = [stack.enter_context(_open_array(archive, name)) for name in layout.members]
        shapes = {header.shape for _, header in arrays}
        if len(shapes) > 1 or len(arrays[0][1].shape) != 1:
            raise BadInput(f"event columns must be of one length, got {sorted(shapes)}")
        left = arrays[0][1].shape[0]
        while True:
            taken = min(count, left)
            columns = [_numbers(file, header.dtype, taken) for file, header in arrays]
            left -= taken
            if not left:
                _check_ends(file for file, _ in arrays)
            yield [columns[0][field] for field in layout.fields] or columns
            if not left:
                return


def _numbers(file: IO[bytes], dtype: np.dtype, count: int) -> np.ndarray:
    left = count * dtype.itemsize
    data = bytearray()  # grows with what is really there, whatever the headers claim
    while left and (block := file.read(min(left, BLOCK_BYTES))):
        data += block
        left -= len(block)
    if left:
        raise EOFError("an array ends early")
    return np.frombuffer(data, dtype) if count else np.empty(0, dtype)


def _check_ends(files: Iterator[IO[bytes]]) -> None:
    """Read beyond the last byte, which makes zipfile compare the checksum."""
    for file in files:
        file.read(1)
