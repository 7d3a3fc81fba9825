"""MATLAB 5 recordings (`.mat`): columns, structures of columns, tables, and the spike trains of ST-MNIST."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anybind.plugin import BadInput, BadOption, Reader
from anybind_events.readers.column_statistics import TABLES, Batch
from anybind_events.readers.columns import (
    NAMES,
    build_streams,
    check_options,
    find_columns,
    make_read_method,
    name_file_in_errors,
    split_batches,
)
from anybind_events.readers.mat_elements import (
    COMPRESSED,
    HEADER_BYTES,
    MAGIC,
    MATRIX,
    NUMBERS,
    STRUCTURE,
    TAG_BYTES,
    Variable,
    list_variables,
    load_arrays,
    parse_byte_order,
    parse_summary,
)
from anybind_events.sources import choose_source
from anybind_events.stream import EventStream
from anybind_events.time_unit import TimeUnit, split_unit

SPIKE_TRAIN, TAXEL_SIDE = "spiketrain", 10
"""Name of ST-MNIST's matrix, and width and height of its tactile sensor."""
SPIKE_ROWS = TAXEL_SIDE * TAXEL_SIDE + 1
COLUMNS = "columns"
"""Name, for the option `source`, of variables that are one column each."""
MAX_BYTES = 1 << 29


class Recording(NamedTuple):
    """The location of the events in a file.

    Attributes:
        variables: the variables with the events.
        fields: fields of a structure, in the order x, y, t, p; empty otherwise.
    """

    variables: tuple[Variable, ...]
    fields: tuple[str, ...] = ()


class Table(NamedTuple):
    """The events of a file.

    Attributes:
        columns: the four columns, each (n,).
        order: their order; None if it must be inferred.
        unit: unit of time, if a name or the format states it.
        size: (width, height) of the sensor; None if unknown.
    """

    columns: Batch
    order: str | None = "xytp"
    unit: TimeUnit | None = None
    size: tuple[int, int] | None = None


class MatReader(Reader):
    """A reader of the variables x, y, t and p by their common names, as in ASL-DVS, or of a structure with such fields.

    Other layouts: an (n, 4) matrix `events`; and ST-MNIST's `spiketrain`, (101, n), whose last row has the times in
    seconds and whose others the spikes, 1 or -1, of the 10x10 taxels, row by row. Coordinates are those in the file:
    some publishers count rows from the bottom, as ASL-DVS does for readers that mirror it (`flip_vertically`).

    Files of MATLAB 7.3 are HDF5.
    """

    def sniff(self, head: bytes) -> bool:
        """Return whether the first variable has events."""
        if not head.startswith(MAGIC) or len(head) < HEADER_BYTES + TAG_BYTES:
            return False
        try:
            order, start = parse_byte_order(head), HEADER_BYTES + TAG_BYTES
            kind = int.from_bytes(head[HEADER_BYTES : HEADER_BYTES + 4], "little" if order == "<" else "big")
            if kind not in (MATRIX, COMPRESSED):
                return False
            variable = parse_summary(head[start:], order, kind, start, 0)
        except (BadInput, zlib.error):
            return False
        names = {alias for names in NAMES.values() for alias in names}
        is_column = variable.kind in NUMBERS and variable.name.lower() in names
        return is_column or any(name != COLUMNS for name in _find_recordings([variable]))

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
        polarity: str | Sequence[int] | None = None,
        on_disorder: str = "clamp",
        source: str | None = None,
        origin: int | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Iterator[EventStream]:
        """Yield the recording in chunks; `read` returns it whole.

        Args:
            path: the file.
            count: events per chunk.
            strict: no effect: a truncated file is always an error.
            size: (width, height) of the sensor; default: 10x10 for ST-MNIST, else the smallest common sensor that
                contains all events.
            columns: order of the columns of an (n, 4) matrix, such as `txyp`; default: inferred from their values.
            time_unit: unit of time: s, ms, us or ns; default: that of a name or of ST-MNIST, else seconds for fractions
                and microseconds for whole numbers (nanoseconds from 10^17 on), with a warning if the event rate is
                implausible.
            scale, polarity, on_disorder: see `anybind_events.readers.columns`.
            source: the structure or matrix, such as `TD`, or `columns`; required if several have events.
            origin: coordinate of the first pixel, 0 or 1; default: 1 for a structure without a 0, as MATLAB counts,
                noted as `assumed_origin`; else 0.
            max_bytes: maximum length of a variable, inflated, in bytes.

        Raises:
            BadInput: the file is truncated or damaged, has no or several recordings, or a variable is too long.
            BadOption: an invalid option.
        """
        check_options(time_unit, scale, on_disorder, columns)
        if origin not in (None, 0, 1):
            raise BadOption(f"origin: expected 0 or 1, got {origin!r}")
        with name_file_in_errors(path):
            with path.open("rb") as file:
                recording = _choose_recording(path, list_variables(file), source)
            table = _load_table(path, recording, max_bytes)
            table, notes = _move_origin(table, origin, assume=bool(recording.fields))
            yield from build_streams(
                split_batches(lambda first, last: [each[first:last] for each in table.columns], 0, _get_length(table)),
                count,
                order=table.order or columns,
                size=size,
                stated_size=table.size,
                time_unit=time_unit,
                stated_unit=table.unit,
                scale=scale,
                polarity=polarity,
                on_disorder=on_disorder,
                path=path,
                notes=notes,
            )

    read = make_read_method(chunks)


def _find_recordings(variables: Sequence[Variable]) -> dict[str, Recording]:
    """Find the recordings among the variables, by name."""
    recordings: dict[str, Recording] = {}
    for each in variables:
        if each.kind == STRUCTURE and set(each.shape) == {1} and (columns := find_columns(each.fields)):
            recordings[each.name] = Recording((each,), tuple(columns[letter] for letter in "xytp"))
        elif each.kind in NUMBERS and len(each.shape) == 2:
            is_spike_train = each.name == SPIKE_TRAIN and each.shape[0] == SPIKE_ROWS
            if is_spike_train or (each.name in TABLES and each.shape[1] == 4):
                recordings[each.name] = Recording((each,))
    vectors = {each.name: each for each in variables if each.kind in NUMBERS}
    if columns := find_columns(vectors):
        recordings[COLUMNS] = Recording(tuple(vectors[columns[letter]] for letter in "xytp"))
    return recordings


def _choose_recording(path: Path, variables: Sequence[Variable], source: str | None) -> Recording:
    recordings = _find_recordings(variables)
    if not recordings:
        names = ", ".join(each.name for each in variables) or "nothing"
        raise BadInput(f"expected event columns x, y, t, p, a structure with them, or {SPIKE_TRAIN!r}, got: {names}")
    return recordings[choose_source(path, recordings.keys(), source)]


def _load_table(path: Path, recording: Recording, max_bytes: int) -> Table:
    """Load the columns of a recording."""
    arrays: dict[str, np.ndarray] = {}
    for variable in recording.variables:
        arrays |= load_arrays(path, variable, max_bytes)
    names = recording.fields or tuple(variable.name for variable in recording.variables)
    if missing := [name for name in names if name not in arrays]:
        raise BadInput(f"{missing[0]}: expected a vector of numbers")
    if len(names) == len("xytp"):
        return Table(_flatten_columns({name: arrays[name] for name in names}), unit=split_unit(names[2])[1])
    array = arrays[names[0]]
    if names[0] != SPIKE_TRAIN:
        return Table(list(array.T), order=None)
    spikes, time = array[:-1].T, array[-1]
    moments, taxels = np.nonzero(spikes)
    columns = {"x": taxels % TAXEL_SIDE, "y": taxels // TAXEL_SIDE, "t": time[moments], "p": spikes[moments, taxels]}
    return Table(list(columns.values()), unit=TimeUnit("s", "format"), size=(TAXEL_SIDE, TAXEL_SIDE))


def _flatten_columns(columns: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return columns that MATLAB has as (n, 1) or (1, n)."""
    for name, column in columns.items():
        if column.dtype.kind not in "biuf" or sorted(column.shape)[:-1] not in ([1], [0]):
            raise BadInput(f"{name}: expected a vector of numbers, got {column.dtype} {column.shape}")
    if len({column.size for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {column.size}" for name, column in columns.items())
        raise BadInput(f"expected event columns of one length, got {lengths}")
    return [column.ravel() for column in columns.values()]


def _get_length(table: Table) -> int:
    return len(table.columns[0])


def _move_origin(table: Table, origin: int | None, assume: bool) -> tuple[Table, dict[str, int]]:
    """Return the table with pixels from 0 on, and the notes about it."""
    x, y, t, p = table.columns
    notes = {}
    if origin is None and assume and len(x) and min(x.min(), y.min()) >= 1:
        origin, notes = 1, {"assumed_origin": 1}
    if not origin or table.order is None:
        return table, notes
    if len(x) and min(x.min(), y.min()) < 1:
        raise BadInput("a pixel is at 0, before the first one by origin=1")
    return table._replace(columns=[x - x.dtype.type(1), y - y.dtype.type(1), t, p]), notes
