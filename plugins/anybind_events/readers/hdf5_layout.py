"""Where HDF5 files have their events, and how to find a time among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from anybind.plugin import BadInput, BadOption, errors
from anybind_events.readers.columns import Batch, Facts, find_columns, to_microseconds, unit_in

if TYPE_CHECKING:
    import h5py

DSEC_SIZE = (640, 480)
"""Sensor of DSEC's recordings, whose files do not record it."""
DEEPEST, MOST_GROUPS = 3, 1000
"""How far into a file events are looked for."""
EVENT_BYTES = 13
HIGHEST_RATIO, SMALL_BYTES = 1100, 1 << 26
"""No compression makes events smaller than this many times; claims up to some size are not worth a doubt."""
SEARCHED = 1 << 16
"""Events among which a time is searched for in memory."""
ECF = 36559
"""Number of the filter of Prophesee's own compression."""


@dataclass
class Source:
    """Where a file has its events.

    Attributes:
        columns: datasets of x, y, t and p; the same for all where it has fields, or four columns.
        fields: of the dataset, in the order x, y, t, p: names, or places; empty where each column is a dataset.
        offset: microseconds to be added to the times.
        unit: of the times; empty where it is not known yet, and times are as they stand in the file.
        size: (width, height) of the sensor.
        milliseconds: number of the first event at or after each millisecond from `offset`.
        index: fields `id` and `ts`: numbers of some events, and their times.
    """

    columns: list[h5py.Dataset]
    fields: tuple[str | int, ...] = ()
    offset: int = 0
    unit: str = ""
    size: tuple[int, int] | None = None
    milliseconds: h5py.Dataset | None = None
    index: h5py.Dataset | None = None

    def __len__(self) -> int:
        return self.columns[0].shape[0]

    def batch(self, first: int, last: int) -> Batch:
        """The columns of some events, times in microseconds."""
        if self.fields:
            table = self.columns[0][first:last]
            x, y, t, p = (table[name] if isinstance(name, str) else table[:, name] for name in self.fields)
        else:
            x, y, t, p = (column[first:last] for column in self.columns)
        return x, y, self._shifted(t), p

    def times(self, first: int, last: int) -> np.ndarray:
        """The times of some events in microseconds, (n,) int64."""
        if not self.fields:
            return self._shifted(self.columns[2][first:last])
        name = self.fields[2]
        table = self.columns[2][first:last]
        return self._shifted(table[name] if isinstance(name, str) else table[:, name])

    def stored(self) -> bool:
        """Whether the file has data for the columns, where they have events."""
        return not len(self) or all(column.id.get_storage_size() for column in self.columns)

    def _shifted(self, time: np.ndarray) -> np.ndarray:
        time = to_microseconds(time, self.unit) if self.unit else time
        # Of 64 unsigned bits the sum goes round, as the difference did in writing.
        return time.astype(np.int64) + np.int64(self.offset) if self.offset else time


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file; what HDF5 raises becomes `BadInput`."""
    import h5py
    import hdf5plugin  # noqa: F401  # makes its filters known to h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise BadInput(f"it cannot be read as HDF5: {' '.join(str(error).split())}") from error


def find_source(path: Path, file: h5py.File, wanted: str | None) -> Source:
    """The events in a file; raises `BadInput` when there are none, or several recordings."""
    found = {name: source for name in _groups(file) if (source := _source_in(file, name)) is not None}
    if wanted is not None:
        wanted = wanted.strip("/")
        if wanted not in found:
            raise BadOption(f"{path} holds no events in the group {wanted!r}{errors.suggest_names(wanted, found)}")
        return found[wanted]
    if not found:
        raise BadInput(f"{path} holds no event columns x, y, t, p (it holds: {', '.join(file) or 'nothing'})")
    if len(found) > 1:
        raise BadInput(f"{path} holds several recordings; choose one with group=: {', '.join(map(repr, found))}")
    return next(iter(found.values()))


def _groups(file: h5py.File) -> Iterator[str]:
    """Names of the groups in a file, the root's first, which is empty. Links to other places are not followed."""
    waiting = [""]
    for _ in range(MOST_GROUPS):
        if not waiting:
            return
        name = waiting.pop(0)
        yield name
        if name.count("/") < DEEPEST - 1 or not name:
            group = _group(file, name)
            waiting += [f"{name}/{key}".lstrip("/") for key in _members(group, "Group")]


def _group(file: h5py.File, name: str) -> h5py.Group:
    return cast("h5py.Group", file[name or "/"])


def _members(group: h5py.Group, kind: str) -> list[str]:
    """Names of a group's own members, each a `Group` or `Dataset`; links to other places and files are none."""
    import h5py

    own = (key for key in cast("Iterable[str]", group) if isinstance(group.get(key, getlink=True), h5py.HardLink))
    return [key for key in own if cast(type, group.get(key, getclass=True)).__name__ == kind]


def _source_in(file: h5py.File, name: str) -> Source | None:
    """The events in one group, None where it holds none."""
    group = _group(file, name)
    datasets = {key: cast("h5py.Dataset", group[key]) for key in _members(group, "Dataset")}
    named = find_columns(key for key, dataset in datasets.items() if dataset.ndim == 1)
    if named:
        source = Source([datasets[named[letter]] for letter in "xytp"], unit=unit_in(named["t"]) or "")
    else:
        tables = ((dataset, _fields(key, dataset)) for key, dataset in datasets.items())
        dataset, fields = next(((dataset, fields) for dataset, fields in tables if fields), (None, ()))
        if dataset is None:
            return None
        source = Source([dataset] * 4, fields)
    beside = {
        key: cast("h5py.Dataset", each[key])
        for each in (file, group)
        for key in ("t_offset", "ms_to_idx")
        if key in each
    }
    source.milliseconds, source.index = beside.get("ms_to_idx"), datasets.get("indexes")
    source.offset = int(np.ravel(beside["t_offset"][()])[0]) if "t_offset" in beside else 0
    source.size = _size_in(group.attrs) or _size_in(file.attrs) or (DSEC_SIZE if len(beside) == 2 else None)
    if beside or source.index is not None:
        source.unit = "us"
    return source


def _fields(key: str, dataset: h5py.Dataset) -> tuple[str | int, ...]:
    """Names of the fields with x, y, t, p of a dataset, or their places in four columns; empty where it has none."""
    if dataset.ndim == 1 and dataset.dtype.names:
        named = find_columns(dataset.dtype.names)
        return tuple(named[letter] for letter in "xytp") if named else ()
    four = key == "events" and dataset.ndim == 2 and dataset.shape[1] == 4
    return (0, 1, 2, 3) if four else ()


def _size_in(attributes: Mapping[str, Any]) -> tuple[int, int] | None:
    """The sensor's size as the formats note it."""
    if "width" in attributes and "height" in attributes:
        return int(attributes["width"]), int(attributes["height"])
    if "sensor_resolution" in attributes:
        height, width = np.ravel(attributes["sensor_resolution"])[:2].tolist()
        return int(width), int(height)
    geometry = re.fullmatch(r"(\d+)x(\d+)", str(attributes.get("geometry", "")))
    return (int(geometry[1]), int(geometry[2])) if geometry else None


def likely_unit(source: Source) -> str:
    """The unit of the times of a source that has none yet, by those at both ends."""
    facts, events = Facts(), len(source)
    for first in (0, max(0, events - SEARCHED)):
        facts.add(source.times(first, min(first + SEARCHED, events)))
    return facts.unit


def check_source(file: h5py.File, source: Source) -> None:
    """Raise `BadInput` where the datasets are not what they claim to be."""
    import h5py

    shapes = {column.shape for column in source.columns}
    if len(shapes) > 1:
        raise BadInput(f"event columns must be of one length, got {sorted(shapes)}")
    if any(column.is_virtual or column.external for column in source.columns):
        raise BadInput("its events are in other files, which are not followed; copy them into one file")
    size = file.id.get_filesize()
    if len(source) * EVENT_BYTES > HIGHEST_RATIO * size + SMALL_BYTES or not source.stored():
        raise BadInput(f"it is damaged: it claims {len(source)} events, and has {size} bytes")
    for column in source.columns:
        properties = column.id.get_create_plist()
        for number in (properties.get_filter(i)[0] for i in range(properties.get_nfilters())):
            if not h5py.h5z.filter_avail(number):
                name = " (Prophesee's ECF codec)" if number == ECF else ""
                raise BadInput(
                    f"it is compressed by the HDF5 filter {number}{name}, which is not installed;"
                    " set HDF5_PLUGIN_PATH to its folder, or convert the file with the software that wrote it"
                )


def first_at(source: Source, time: int) -> int:
    """Number of the first event at or after a time; the index is asked, and believed where the events agree."""
    low, high = _bracket(source, time)
    sure = 0 <= low <= high <= len(source)
    if not (
        sure
        and (low == 0 or source.times(low - 1, low)[0] < time)
        and (high == len(source) or source.times(high, high + 1)[0] >= time)
    ):
        low, high = 0, len(source)
    while high - low > SEARCHED:
        middle = (low + high) // 2
        if source.times(middle, middle + 1)[0] < time:
            low = middle + 1
        else:
            high = middle
    return low + int(np.searchsorted(source.times(low, high), time))


def _bracket(source: Source, time: int) -> tuple[int, int]:
    """Two numbers between which the index says that the first event at or after a time is."""
    if source.milliseconds is not None and len(source.milliseconds):
        place = min(max((time - source.offset) // 1000, 0), len(source.milliseconds) - 1)
        numbers = source.milliseconds[place : place + 2].tolist()
    elif source.index is not None and source.index.dtype.names and {"id", "ts"} <= set(source.index.dtype.names):
        index = source.index[()]
        place = max(int(np.searchsorted(index["ts"], time)) - 1, 0)
        numbers = index["id"][place : place + 2].tolist()
    else:
        return 0, len(source)
    return int(numbers[0]) if place else 0, int(numbers[1]) if len(numbers) == 2 else len(source)
