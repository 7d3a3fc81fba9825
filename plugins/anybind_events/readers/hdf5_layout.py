"""The location of events in HDF5 files, and the search for a time among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from anybind.plugin import BadInput, BadOption, errors
from anybind_events.polarity import PolarityOption
from anybind_events.readers.column_statistics import (
    TABLES,
    Batch,
    ColumnStatistics,
    compute_statistics,
    infer_column_order,
    is_ambiguous,
)
from anybind_events.readers.columns import convert_to_microseconds, find_columns, parse_unit
from anybind_events.readers.hdf5_heap import check_heaps

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
ECF_FILTER = 36559
"""Number of the filter of Prophesee's own compression."""


@dataclass
class EventDatasets:
    """The datasets of the events in a file.

    Attributes:
        columns: datasets of x, y, t and p; the same one four times if it has fields, or four columns.
        fields: fields of the dataset, in the order x, y, t, p: names, or indices; empty if each column is a dataset.
            Until `set_column_order`, the indices are those of the file.
        notes: notes for the stream.
        offset: microseconds to add to the times.
        unit: unit of the times; empty if unknown, and times are raw numbers.
        size: (width, height) of the sensor.
        milliseconds: index of the first event at or after each millisecond from `offset`.
        index: fields `id` and `ts`: indices of some events, and their times.
    """

    columns: list[h5py.Dataset]
    fields: tuple[str | int, ...] = ()
    offset: int = 0
    unit: str = ""
    size: tuple[int, int] | None = None
    milliseconds: h5py.Dataset | None = None
    index: h5py.Dataset | None = None
    notes: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.columns[0].shape[0]

    def read_batch(self, first: int, last: int) -> Batch:
        """Read the columns of some events, times in microseconds."""
        if self.fields:
            table = self.columns[0][first:last]
            x, y, t, p = (table[name] if isinstance(name, str) else table[:, name] for name in self.fields)
        else:
            x, y, t, p = (column[first:last] for column in self.columns)
        return x, y, self._convert_times(t), p

    def read_times(self, first: int, last: int) -> np.ndarray:
        """Read the times of some events in microseconds, (n,) int64."""
        if not self.fields:
            return self._convert_times(self.columns[2][first:last])
        name = self.fields[2]
        table = self.columns[2][first:last]
        return self._convert_times(table[name] if isinstance(name, str) else table[:, name])

    def _convert_times(self, time: np.ndarray) -> np.ndarray:
        time = convert_to_microseconds(time, self.unit) if self.unit else time
        # The 64-bit sum wraps around, as the difference did in writing.
        return time.astype(np.int64) + np.int64(self.offset) if self.offset else time

    @property
    def is_table(self) -> bool:
        """Whether the events are one dataset of four columns without names."""
        return bool(self.fields) and isinstance(self.fields[0], int)

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
            self.notes = {"assumed_columns": 1} if is_ambiguous(statistics, order) else {}
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


def find_events(path: Path, file: h5py.File, group: str | None) -> EventDatasets:
    """Find the events in a file; raise `BadInput` if there are none, or several recordings."""
    recordings = {
        name: events for name in _list_groups(file) if (events := _find_events_in_group(file, name)) is not None
    }
    if group is not None:
        group = group.strip("/")
        if group not in recordings:
            raise BadOption(f"{path}: no events in the group {group!r}{errors.suggest_names(group, recordings)}")
        return recordings[group]
    if not recordings:
        raise BadInput(f"{path}: expected event columns x, y, t, p, got: {', '.join(file) or 'nothing'}")
    if len(recordings) > 1:
        raise BadInput(f"{path}: several recordings; choose one with group=: {', '.join(map(repr, recordings))}")
    return next(iter(recordings.values()))


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


def _find_events_in_group(file: h5py.File, name: str) -> EventDatasets | None:
    """Find the events in one group; None if it has none."""
    group = _get_group(file, name)
    datasets = {key: cast("h5py.Dataset", group[key]) for key in _list_members(group, "Dataset")}
    columns = find_columns(key for key, dataset in datasets.items() if dataset.ndim == 1)
    if columns:
        events = EventDatasets([datasets[columns[letter]] for letter in "xytp"], unit=parse_unit(columns["t"]) or "")
    else:
        tables = ((dataset, _find_fields(key, dataset)) for key, dataset in datasets.items())
        dataset, fields = next(((dataset, fields) for dataset, fields in tables if fields), (None, ()))
        if dataset is None:
            return None
        events = EventDatasets([dataset] * 4, fields)
    extras = {
        key: cast("h5py.Dataset", each[key])
        for each in (file, group)
        for key in ("t_offset", "ms_to_idx")
        if key in each
    }
    events.milliseconds, events.index = extras.get("ms_to_idx"), datasets.get("indexes")
    events.offset = int(np.ravel(extras["t_offset"][()])[0]) if "t_offset" in extras else 0
    events.size = _parse_size(group.attrs) or _parse_size(file.attrs) or (DSEC_SIZE if len(extras) == 2 else None)
    if extras or events.index is not None:
        events.unit = "us"
    return events


def _find_fields(key: str, dataset: h5py.Dataset) -> tuple[str | int, ...]:
    """Return the fields with x, y, t, p of a dataset, or their indices in four columns; empty if it has none."""
    if dataset.ndim == 1 and dataset.dtype.names:
        columns = find_columns(dataset.dtype.names)
        return tuple(columns[letter] for letter in "xytp") if columns else ()
    is_table = key in TABLES and dataset.ndim == 2 and dataset.shape[1] == 4
    return (0, 1, 2, 3) if is_table else ()


def _parse_size(attributes: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the sensor size from the attributes of the formats."""
    if "width" in attributes and "height" in attributes:
        return int(attributes["width"]), int(attributes["height"])
    if "sensor_resolution" in attributes:
        height, width = np.ravel(attributes["sensor_resolution"])[:2].tolist()
        return int(width), int(height)
    geometry = re.fullmatch(r"(\d+)x(\d+)", str(attributes.get("geometry", "")))
    return (int(geometry[1]), int(geometry[2])) if geometry else None


def infer_unit(events: EventDatasets) -> str:
    """Infer the unit of the times from those at both ends."""
    statistics, n_events = ColumnStatistics(), len(events)
    for first in (0, max(0, n_events - SEARCH_EVENTS)):
        statistics.add(events.read_times(first, min(first + SEARCH_EVENTS, n_events)))
    return statistics.unit


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


def find_first_event(events: EventDatasets, time: int) -> int:
    """Return the index of the first event at or after a time; the file's index is used if it agrees with the events."""
    low, high = _look_up_index(events, time)
    in_range = 0 <= low <= high <= len(events)
    if not (
        in_range
        and (low == 0 or events.read_times(low - 1, low)[0] < time)
        and (high == len(events) or events.read_times(high, high + 1)[0] >= time)
    ):
        low, high = 0, len(events)
    while high - low > SEARCH_EVENTS:
        middle = (low + high) // 2
        if events.read_times(middle, middle + 1)[0] < time:
            low = middle + 1
        else:
            high = middle
    return low + int(np.searchsorted(events.read_times(low, high), time))


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
