"""NPZ recordings: event columns in a NumPy archive, in our layout and in N-ImageNet's."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from anybind.plugin import BadInput, Reader
from anybind_events.readers.column_statistics import TABLES, Batch
from anybind_events.readers.columns import (
    NAMES,
    build_streams,
    check_options,
    group_columns,
    make_read_method,
    name_file_in_errors,
    reject_order,
)
from anybind_events.readers.npy import ArrayHeader, list_fields, read_header
from anybind_events.sources import choose_source, find_source_column, select_rows
from anybind_events.stream import EventStream
from anybind_events.time_unit import FORMAT_UNIT, TimeUnit, parse_unit, split_unit

N_IMAGENET_TABLE = "event_data"
"""Structured array of the events in N-ImageNet."""
OFFSET_NAME = "t_offset"
"""Array with the microseconds to add to all times, as in DSEC's files."""
UNIT_NAME = "time_unit"
"""Array with the name of the unit of time."""
N_IMAGENET_SIZE = (640, 480)
"""Sensor size of N-ImageNet recordings, whose files do not store it."""
BLOCK_BYTES = 1 << 18
DAMAGE_ERRORS = (
    ArithmeticError,
    EOFError,
    MemoryError,
    OSError,
    RuntimeError,  # of zipfile: a compression or encryption that NumPy does not write
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors of reading a damaged archive."""


class ArchiveLayout(NamedTuple):
    """The layout of the events in an archive.

    Attributes:
        members: names of the arrays: one structured array, or arrays with the four columns together.
        fields: fields of the structured array, in the order x, y, t, p; empty otherwise.
        size: (width, height) of the archive or its dataset.
        unit: unit of time, if the format, a name or the array `time_unit` states it.
        order: order of the columns; None if it must be inferred from their values.
        has_sources: a fifth column has the source of each event.
        offset_us: microseconds to add to all times: the array `t_offset`.
    """

    members: tuple[str, ...]
    fields: tuple[str, ...]
    size: tuple[int, int] | None
    unit: TimeUnit | None
    order: str | None = "xytp"
    has_sources: bool = False
    offset_us: int = 0


class NpzReader(Reader):
    """A reader of arrays `x`, `y`, `t` (microseconds), `p` and, in our layout, `size` (width, height).

    Other common column names (`xs`, `timestamp`, `polarity`, ...) and times in fractions of seconds are supported too.
    N-ImageNet's files have one structured array `event_data` with these four fields instead, others an (n, 4) array
    `events` or `arr_0`, and EVIMO2's `dataset_events_t`, `dataset_events_xy` and `dataset_events_p`. Several sources,
    such as `left_x`, ... and `right_x`, ..., or several arrays of events, need the option `source`. No pickle is ever
    read. A truncated archive cannot be read, since its directory is at its end.
    """

    def sniff(self, head: bytes) -> bool | None:
        """Return True for a zip archive that begins with an event column; None for other archives."""
        if not head.startswith(b"PK\x03\x04"):
            return False
        name = head[30 : 30 + int.from_bytes(head[26:28], "little")].decode(errors="replace")
        names = {*TABLES[:-1], "size", *(each for names in NAMES.values() for each in names)}
        return True if name.endswith(".npy") and name.removesuffix(".npy") in names else None

    def chunks(
        self,
        path: Path,
        *,
        count: int,
        strict: bool = False,
        size: tuple[int, int] | None = None,
        columns: str | None = None,
        time_unit: str | None = None,
        scale: float | None = None,
        source: str | int | None = None,
        polarity: str | Sequence[int] | None = None,
        on_disorder: str = "clamp",
    ) -> Iterator[EventStream]:
        """Yield the recording in chunks; `read` returns it whole.

        Args:
            path: the file.
            count: events per chunk.
            strict: no effect: a truncated archive is always an error.
            size: (width, height) of the sensor; default: from the file, else 640x480 for N-ImageNet, else the smallest
                common sensor that contains all events.
            columns: order of the columns of an (n, 4) array, such as `txyp`; default: inferred from their values.
            time_unit: unit of time: s, ms, us or ns; default: that of the format, of a name, of the type of the times
                or of the array `time_unit`, else seconds for fractions and microseconds for whole numbers (nanoseconds
                from 10^17 on), with a warning if the event rate is implausible.
            source: what the names of its arrays begin or end with, such as `left`, the name of its array, or the value
                of a column `camera`, `sensor`, ...; required if the archive has several sources.
            scale, polarity, on_disorder: see `anybind_events.readers.columns`.

        Raises:
            BadInput: the archive is truncated or corrupt, has no event columns, or has several sources.
            BadOption: invalid columns, columns of arrays that are named, an invalid scale, or an unknown source or
                unit.
        """
        check_options(time_unit, scale, on_disorder, columns)
        with name_file_in_errors(path):
            try:
                with zipfile.ZipFile(path) as archive:
                    _check_directory(archive)
                    layout = _find_layout(path, archive, source)
                    if layout.order:
                        reject_order(columns, layout.fields or layout.members)
                    batches = partial(_read_batches, archive, layout)
                    batches = select_rows(batches, path, source, has_sources=layout.has_sources, is_chosen=True)
                    yield from build_streams(
                        batches,
                        count,
                        order=layout.order or columns,
                        size=size,
                        stated_size=layout.size,
                        time_unit=time_unit,
                        stated_unit=layout.unit,
                        offset_us=layout.offset_us,
                        scale=scale,
                        polarity=polarity,
                        on_disorder=on_disorder,
                        path=path,
                    )
            except DAMAGE_ERRORS as error:
                raise BadInput(f"{path}: not a complete .npz recording: {error}") from error

    read = make_read_method(chunks)

    def write(self, sample: EventStream, path: Path) -> None:
        columns = {name: getattr(sample, name) for name in "xytp"}
        np.savez_compressed(path, **columns, size=np.array([sample.width, sample.height]))


def _check_directory(archive: zipfile.ZipFile) -> None:
    """Raise `BadZipFile` for a damaged directory, which could hide an array."""
    for member in archive.infolist():
        archive.open(member).close()  # raises if member and directory disagree on the name
        if member.comment:  # NumPy writes none; it may contain later entries
            raise zipfile.BadZipFile("its directory is damaged")
    if n_bytes := min((member.header_offset for member in archive.infolist()), default=0):
        raise zipfile.BadZipFile(f"{n_bytes} bytes before the archive, such as another recording; split the file")


def _find_layout(path: Path, archive: zipfile.ZipFile, source: str | int | None) -> ArchiveLayout:
    """Find the events of a source; raise `BadInput` if there are none, or several sources and none is chosen."""
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    groups = group_columns(names)
    # Beside named columns, other arrays can be anything, and are not opened.
    layouts = _find_tables(archive, [name for name in names if not groups or name in TABLES])
    common = [name for name, layout in layouts.items() if name in TABLES or name == source or layout.order]
    sources = [*groups, *(common or layouts)]
    if not sources or (not common and len(sources) == 1 and not groups):
        raise BadInput(f"{path}: expected event columns x, y, t, p, got: {', '.join(names) or 'nothing'}")
    of_rows = find_source_column(names)
    has_sources = layouts[sources[0]].has_sources if sources[0] in layouts else of_rows is not None
    # With a column of sources in the only recording, `source` is one of those.
    chosen = sources[0] if len(sources) == 1 and has_sources else choose_source(path, sources, source)
    if chosen in layouts:
        return layouts[chosen] if len(sources) == 1 else layouts[chosen]._replace(has_sources=False)
    members, unit, size = groups[chosen], split_unit(groups[chosen][-2])[1], None
    if UNIT_NAME in names:
        with _open_array(archive, UNIT_NAME) as (file, header):
            unit = parse_unit(_read_text(file, header), "attribute") or unit
    if "size" in names:
        with _open_array(archive, "size") as (file, header):
            if header.shape != (2,) or header.dtype.kind not in "iuf":
                raise BadInput(f"size: expected (width, height), got shape {header.shape} and type {header.dtype}")
            width, height = _read_numbers(file, header.dtype, 2).tolist()
            size = int(width), int(height)
        with _open_array(archive, members[-2]) as (_, header):
            unit = unit or (FORMAT_UNIT if header.dtype.kind in "iu" else None)  # our layout has whole numbers
    offset_us = _read_offset(archive) if OFFSET_NAME in names else 0
    if of_rows is not None and len(sources) == 1:
        return ArchiveLayout((*members, of_rows), (), size, unit, has_sources=True, offset_us=offset_us)
    return ArchiveLayout(members, (), size, unit, offset_us=offset_us)


def _find_tables(archive: zipfile.ZipFile, names: Sequence[str]) -> dict[str, ArchiveLayout]:
    """Return the layouts of the arrays that have all four columns, with names or without."""
    layouts = {}
    for name in names:
        try:
            with _open_array(archive, name) as (_, header):
                pass
        except BadInput:
            if name in TABLES:
                raise
            continue
        size = N_IMAGENET_SIZE if name == N_IMAGENET_TABLE and header.fields else None
        if header.fields:
            fields = list_fields(header)
            unit = split_unit(header.fields["t"])[1]
            layouts[name] = ArchiveLayout((name,), fields, size, unit, has_sources=header.source_field is not None)
        elif header.has_four_columns:
            layouts[name] = ArchiveLayout((name,), (), None, None, None)
    return layouts


def _read_offset(archive: zipfile.ZipFile) -> int:
    """Return the array `t_offset`; raise `BadInput` for other than a whole number of microseconds."""
    with _open_array(archive, OFFSET_NAME) as (file, header):
        if math.prod(header.shape) != 1 or header.dtype.kind not in "iu":
            raise BadInput(f"{OFFSET_NAME}: expected whole microseconds, got {header.shape} {header.dtype}")
        return int(_read_numbers(file, header.dtype, 1)[0])


def _read_text(file: IO[bytes], header: ArrayHeader) -> str:
    """Read the text in an array of one text; return an empty one for other arrays."""
    if header.dtype.kind not in "US" or math.prod(header.shape) != 1:
        return ""
    text = _read_numbers(file, header.dtype, 1)[0]
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


@contextmanager
def _open_array(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[IO[bytes], ArrayHeader]]:
    """Open an array of the archive after its header, and check the header against the member's length."""
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        try:
            header = read_header(file)
        except BadInput as error:
            raise BadInput(f"array {name}: {error}") from error
        if header.n_bytes + header.data_bytes != member.file_size:
            raise BadInput(f"array {name}: damaged: {header.data_bytes} bytes stated in its header")
        yield file, header


def _read_batches(archive: zipfile.ZipFile, layout: ArchiveLayout, count: int) -> Iterator[Batch]:
    """Yield the columns, at most `count` events at a time: at least one batch, which may be empty."""
    with ExitStack() as stack:
        arrays = [stack.enter_context(_open_array(archive, name)) for name in layout.members]
        shapes = [header.shape for _, header in arrays]
        n_columns = sum(math.prod(shape[1:]) for shape in shapes)
        if (
            n_columns != (1 if layout.fields else 4 + layout.has_sources)
            or len({shape[:1] for shape in shapes}) > 1
            or () in shapes
        ):
            raise BadInput(f"expected event columns of one length, got {sorted(set(shapes))}")
        n_left = shapes[0][0]
        if any(header.fortran_order and len(header.shape) > 1 for _, header in arrays):
            # Column-major data have no complete event before their end.
            table = [column for file, header in arrays for column in _read_columns(file, header, n_left)]
            starts = range(0, n_left or 1, min(count, n_left or 1))
            yield from ([column[start : start + count] for column in table] for start in starts)
            return
        while True:
            n_taken = min(count, n_left)
            columns = [column for file, header in arrays for column in _read_columns(file, header, n_taken)]
            n_left -= n_taken
            for file, _ in () if n_left else arrays:
                file.read(1)  # beyond the last byte, so that zipfile compares the checksum
            yield [columns[0][field] for field in layout.fields] or columns
            if not n_left:
                return


def _read_columns(file: IO[bytes], header: ArrayHeader, count: int) -> list[np.ndarray]:
    """Read the next rows of an array (n,) or (n, columns), as columns."""
    width = math.prod(header.shape[1:])
    numbers = _read_numbers(file, header.dtype, count * width)
    return [*(numbers.reshape(width, count) if header.fortran_order else numbers.reshape(count, width).T)]


def _read_numbers(file: IO[bytes], dtype: np.dtype, count: int) -> np.ndarray:
    n_left = count * dtype.itemsize
    data = bytearray()  # grows with the actual data, whatever the headers state
    while n_left and (block := file.read(min(n_left, BLOCK_BYTES))):
        data += block
        n_left -= len(block)
    if n_left:
        raise EOFError("an array ends early")
    return np.frombuffer(data, dtype) if count else np.empty(0, dtype)
