"""The location of events in HDF5 files, and the search for a time among them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from anybind.plugin import BadInput
from anybind_events.polarity import PolarityOption
from anybind_events.readers.column_statistics import (
    TABLES,
    Batch,
    ColumnStatistics,
    compute_statistics,
    infer_column_order,
    is_ambiguous,
)
from anybind_events.readers.columns import find_columns, group_columns, infer_unit
from anybind_events.readers.hdf5_attributes import parse_size, read_offset, read_size
from anybind_events.readers.hdf5_heap import check_heaps
from anybind_events.sources import choose_source, find_source_column
from anybind_events.time_unit import FORMAT_UNIT, TimeUnit, convert_to_microseconds, parse_unit, split_unit, state_unit

if TYPE_CHECKING:
    import h5py

DSEC_SIZE = (640, 480)
"""Sensor size of DSEC recordings, whose files do not store it."""
MAX_DEPTH, MAX_GROUPS = 3, 1000
"""Limits of the search for events in a file."""
EVENT_BYTES = 13
MAX_COMPRESSION, MAX_UNCHECKED_BYTES = 1100, 1 << 26
"""Maximum compression ratio of events, above a size that is always accepted."""
SEARCH_EVENTS = 1 << 16
"""Events among which a time is searched in memory."""
FORMAT = "anybind-events"
"""Attribute `format` of our files, whose times never decrease."""
UNIT_ATTRIBUTES = ("time_unit", "time_units", "unit", "units")
"""Attributes of a dataset of times that state their unit; the first two also of its group."""
ECF_FILTER = 36559
"""Number of the filter of Prophesee's own compression."""


@dataclass
class EventDatasets:
    """The datasets of the events in a file.

    Attributes:
        columns: datasets of x, y, t and p, and that with the source of each event, if there is one; the same one four
            times if it has fields, or four columns.
        fields: fields of the dataset, in the order x, y, t, p: names, or indices; empty if each column is a dataset. A
            fifth one has the source of each event.
            Until `set_column_order`, the indices are those of the file.
        notes: notes for the stream.
        offset: microseconds to add to the times.
        unit: unit of the times; None until it is inferred by `set_unit`, and times are raw numbers.
        is_ordered: whether the format guarantees that times never decrease.
        size: (width, height) of the sensor.
        milliseconds: index of the first event at or after each millisecond from `offset`.
        index: fields `id` and `ts`: indices of some events, and their times.
    """

    columns: list[h5py.Dataset]
    fields: tuple[str | int, ...] = ()
    offset: int = 0
    unit: TimeUnit | None = None
    is_ordered: bool = False
    size: tuple[int, int] | None = None
    milliseconds: h5py.Dataset | None = None
    index: h5py.Dataset | None = None
    notes: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        shape = self.columns[0].shape
        return shape[0] if self.fields else math.prod(shape)

    def read_batch(self, first: int, last: int) -> Batch:
        """Read the columns of some events, times as in the file."""
        if self.fields:
            table = self.columns[0][first:last]
            return [table[name] if isinstance(name, str) else table[:, name] for name in self.fields]
        return [_read_vector(column, first, last) for column in self.columns]

    @property
    def has_sources(self) -> bool:
        """Whether a fifth column has the source of each event."""
        return len(self.fields or self.columns) > len("xytp")

    def read_times(self, first: int, last: int) -> np.ndarray:
        """Read the times of some events, (n,), in microseconds if their unit is known."""
        if not self.fields:
            return self._convert_times(_read_vector(self.columns[2], first, last))
        name = self.fields[2]
        table = self.columns[2][first:last]
        return self._convert_times(table[name] if isinstance(name, str) else table[:, name])

    def _convert_times(self, time: np.ndarray) -> np.ndarray:
        return convert_to_microseconds(time, self.unit.name, self.offset) if self.unit else time

    @property
    def is_table(self) -> bool:
        """Whether the events are one dataset of four columns without names."""
        return bool(self.fields) and isinstance(self.fields[0], int)

    def set_unit(self, option: str | None, path: Path) -> None:
        """Set the unit of the times: that of the option or of the file, or else inferred from both ends."""
        self.unit = state_unit(option, self.unit)
        if self.unit is None:
            statistics, n_events = ColumnStatistics(), len(self)
            for first in (0, max(0, n_events - SEARCH_EVENTS)):
                statistics.add(self.read_times(first, min(first + SEARCH_EVENTS, n_events)))
            self.unit = infer_unit(statistics, n_events, str(path), self.notes)

    def set_column_order(self, order: str | None, polarity: PolarityOption) -> None:
        """Set the order of the columns of a table, such as `txyp`; None infers it from a part of the events.

        Raises:
            BadInput: no column can be time, or none polarity.
        """
        if order is None:
            middle, last = (max(0, (len(self) - SEARCH_EVENTS) * i // 2) for i in (1, 2))
            starts = [0, max(middle, SEARCH_EVENTS), max(last, 2 * SEARCH_EVENTS)]
            tables = (self.columns[0][start : start + SEARCH_EVENTS] for start in starts)
            statistics = compute_statistics(list(table.T) for table in tables)
            order = infer_column_order(statistics, polarity)
            self.notes |= {"assumed_columns": 1} if is_ambiguous(statistics, order) else {}
        self.fields = tuple(order.index(letter) for letter in "xytp")


@contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file; errors of HDF5 become `BadInput`."""
    import h5py
    import hdf5plugin  # noqa: F401  # registers its filters with h5py

    check_heaps(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise BadInput(f"cannot be read as HDF5: {' '.join(str(error).split())}") from error


def find_events(path: Path, file: h5py.File, source: str | int | None) -> EventDatasets:
    """Find the events of a source in a file; raise `BadInput` if there are none, or several and none is chosen."""
    recordings = {name: events for group in _list_groups(file) for name, events in _find_events_in_group(file, group)}
    if not recordings:
        raise BadInput(f"{path}: expected event columns x, y, t, p, got: {', '.join(file) or 'nothing'}")
    only = next(iter(recordings.values()))
    if len(recordings) == 1 and only.has_sources:  # `source` is one in its rows
        return only
    return recordings[choose_source(path, list(recordings), source)]


def _list_groups(file: h5py.File) -> Iterator[str]:
    """Yield the names of the groups in a file, first the root's, which is empty. Links are not followed."""
    pending = [""]
    for _ in range(MAX_GROUPS):
        if not pending:
            return
        name = pending.pop(0)
        yield name
        if name.count("/") < MAX_DEPTH - 1 or not name:
            group = _get_group(file, name)
            pending += [f"{name}/{key}".lstrip("/") for key in _list_members(group, "Group")]


def _get_group(file: h5py.File, name: str) -> h5py.Group:
    return cast("h5py.Group", file[name or "/"])


def _list_members(group: h5py.Group, kind: str) -> list[str]:
    """Return the names of a group's own members, each a `Group` or `Dataset`, without links."""
    import h5py

    names = (key for key in cast("Iterable[str]", group) if isinstance(group.get(key, getlink=True), h5py.HardLink))
    return [key for key in names if cast(type, group.get(key, getclass=True)).__name__ == kind]


def _find_events_in_group(file: h5py.File, name: str) -> Iterator[tuple[str, EventDatasets]]:
    """Yield the recordings in one group, with their names: its own if it has one, those of the datasets if several."""
    group = _get_group(file, name)
    datasets = {key: cast("h5py.Dataset", group[key]) for key in _list_members(group, "Dataset")}
    recordings: dict[str, EventDatasets] = {}
    for source, names in group_columns(key for key, dataset in datasets.items() if _is_vector(dataset)).items():
        if len(names) == len("xytp"):
            unit = split_unit(names[2])[1]
            if not source and (of_rows := find_source_column(datasets)) is not None:
                names = (*names, of_rows)
            recordings[source] = EventDatasets([datasets[each] for each in names], unit=unit)
    if not recordings:
        for key, dataset in datasets.items():
            if fields := _find_fields(key, dataset):
                unit = split_unit(fields[2])[1] if isinstance(fields[2], str) else None
                recordings[key] = EventDatasets([dataset] * 4, fields, unit=unit)
    for key, events in recordings.items():
        _add_extras(file, group, events, datasets.get("indexes"))
        yield (name if len(recordings) == 1 else f"{name}/{key}".strip("/")), events


def _add_extras(file: h5py.File, group: h5py.Group, events: EventDatasets, index: h5py.Dataset | None) -> None:
    """Set what the format and the attributes say of the events: offset, unit, sensor size and indexes."""
    extras = {
        key: cast("h5py.Dataset", each[key])
        for each in (file, group)
        for key in ("t_offset", "ms_to_idx")
        if key in each
    }
    events.milliseconds, events.index = extras.get("ms_to_idx"), index
    events.offset = read_offset(extras["t_offset"]) if "t_offset" in extras else 0
    if int(group.attrs.get("t_offset", events.offset)) != events.offset:
        raise BadInput("damaged: two values of t_offset")
    stated = parse_size(group.attrs) or parse_size(file.attrs) or read_size(group)
    events.size = stated or (DSEC_SIZE if len(extras) == 2 else None)
    events.is_ordered = file.attrs.get("format") == FORMAT
    if (extras or events.index is not None) and _get_time_type(events).kind in "iu":
        events.unit = FORMAT_UNIT
    for attributes, names in (
        (file.attrs, UNIT_ATTRIBUTES[:2]),
        (group.attrs, UNIT_ATTRIBUTES[:2]),
        (events.columns[2].attrs, UNIT_ATTRIBUTES),
    ):
        for name in names:
            events.unit = parse_unit(attributes.get(name, ""), "attribute") or events.unit


def _get_time_type(events: EventDatasets) -> np.dtype:
    """Return the type of the times."""
    dtype = events.columns[2].dtype
    return dtype[str(events.fields[2])] if dtype.names else dtype


def _is_vector(dataset: h5py.Dataset) -> bool:
    """Return whether a dataset is one column, which MATLAB stores in two dimensions."""
    return dataset.ndim == 1 or (dataset.ndim == 2 and 1 in dataset.shape)


def _read_vector(dataset: h5py.Dataset, first: int, last: int) -> np.ndarray:
    if dataset.ndim == 1:
        return dataset[first:last]
    return np.ravel(dataset[first:last] if dataset.shape[1] == 1 else dataset[:, first:last])


def _find_fields(key: str, dataset: h5py.Dataset) -> tuple[str | int, ...]:
    """Return the fields with x, y, t, p of a dataset, or their indices in four columns; empty if it has none."""
    if dataset.ndim == 1 and dataset.dtype.names:
        columns, source = find_columns(dataset.dtype.names), find_source_column(dataset.dtype.names)
        fields = tuple(columns[letter] for letter in "xytp") if columns else ()
        return (*fields, source) if fields and source is not None else fields
    is_table = key in TABLES and dataset.ndim == 2 and dataset.shape[1] == 4
    return (0, 1, 2, 3) if is_table else ()


def check_datasets(file: h5py.File, events: EventDatasets) -> None:
    """Raise `BadInput` for datasets that are inconsistent or cannot be read."""
    import h5py

    shapes = {column.shape for column in events.columns}
    if len(shapes) > 1:
        raise BadInput(f"expected event columns of one length, got {sorted(shapes)}")
    if any(column.is_virtual or column.external for column in events.columns):
        raise BadInput("the events are in other files, which are not read; copy them into one file")
    size = file.id.get_filesize()
    stored = not len(events) or all(column.id.get_storage_size() for column in events.columns)
    if len(events) * EVENT_BYTES > MAX_COMPRESSION * size + MAX_UNCHECKED_BYTES or not stored:
        raise BadInput(f"damaged: {len(events)} events stated in a file of {size} bytes")
    for column in events.columns:
        properties = column.id.get_create_plist()
        for number in (properties.get_filter(i)[0] for i in range(properties.get_nfilters())):
            if not h5py.h5z.filter_avail(number):
                name = " (Prophesee's ECF codec)" if number == ECF_FILTER else ""
                raise BadInput(
                    f"compressed by the HDF5 filter {number}{name}, which is not installed;"
                    " set HDF5_PLUGIN_PATH to its folder, or convert the file with the software that wrote it"
                )


def find_first_event(events: EventDatasets, time: int, start: int = 0) -> int:
    """Return the index, from `start` on, of the first event at or after a time in microseconds.

    Raising decreasing times to the previous one does not change it. The file's index is used if it agrees with the
    events, and bisection where the format guarantees their order; elsewhere all times before the event are read.
    """
    low, high = _look_up_index(events, time)
    in_range = 0 <= low <= high <= len(events)
    if not (
        in_range
        and (low == 0 or events.read_times(low - 1, low)[0] < time)
        and (high == len(events) or events.read_times(high, high + 1)[0] >= time)
    ):
        low, high = 0, len(events)
    while events.is_ordered and high - low > SEARCH_EVENTS:
        middle = (low + high) // 2
        if events.read_times(middle, middle + 1)[0] < time:
            low = middle + 1
        else:
            high = middle
    for first in range(max(low, start), high, SEARCH_EVENTS):
        reached = events.read_times(first, min(first + SEARCH_EVENTS, high)) >= time
        if reached.any():
            return first + int(reached.argmax())
    return max(high, start)


def _look_up_index(events: EventDatasets, time: int) -> tuple[int, int]:
    """Return two indices between which, by the file's index, the first event at or after a time lies."""
    if events.milliseconds is not None and len(events.milliseconds):
        index_row = min(max((time - events.offset) // 1000, 0), len(events.milliseconds) - 1)
        numbers = events.milliseconds[index_row : index_row + 2].tolist()
    elif events.index is not None and events.index.dtype.names and {"id", "ts"} <= set(events.index.dtype.names):
        index = events.index[()]
        index_row = max(int(np.searchsorted(index["ts"], time)) - 1, 0)
        numbers = index["id"][index_row : index_row + 2].tolist()
    else:
        return 0, len(events)
    return int(numbers[0]) if index_row else 0, int(numbers[1]) if len(numbers) == 2 else len(events)
