"""Shared code of readers of event columns: names, order and unit of time, sensors, streams of batches.

Options that these readers share:

* `scale`: factor of columns and rows before they are rounded down, such as 1 for sub-pixel coordinates, or 0.0625 for
  1/16 of a pixel; above 1 it enlarges the sensor of the file.
* `polarity`: the ON code, then the OFF code or codes, such as `2,1`; default: certain notations only (0 and 1, -1 and
  1, also with -1 stored unsigned, or booleans).
* `on_disorder`: for times that decrease: `clamp` raises them to the previous time and notes their number as
  `backwards`; `sort` sorts the events, all in memory, and notes it as `sorted`; `error` raises.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np

from anybind.plugin import BadInput, BadOption, Reader
from anybind_events.disorder import SORT_HINT, TimeOrder, build_ordered_stream, check_policy
from anybind_events.event_columns import DecreasingTime, UnscaledPixel, parse_size
from anybind_events.polarity import (
    PolarityDecoder,
    PolarityOption,
)
from anybind_events.readers.column_statistics import (
    Batch,
    ColumnStatistics,
    compute_statistics,
    infer_column_order,
    is_ambiguous,
)
from anybind_events.stream import EventStream, concatenate_streams
from anybind_events.time_range import TimeRange
from anybind_events.time_unit import (
    TimeUnit,
    assume_unit,
    check_time_unit,
    convert_to_microseconds,
    split_unit,
    state_unit,
)

NAMES = {
    "x": ("x", "xs", "col", "column"),
    "y": ("y", "ys", "row"),
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
"""Names of the four columns in files, in lower case."""
SENSORS = ((34, 34), (128, 128), (240, 180), (304, 240), (320, 240), (346, 260), (640, 480), (1280, 720))
"""Common sensors, the smallest first: N-MNIST, DVS128, DAVIS240, ATIS, DVXplorer Mini, ..."""
MAX_INFERRED_SIDE = 4096
"""Largest sensor side that is inferred from events: one damaged pixel must not make frames of gigabytes."""

SEPARATORS = "_/."
"""Separators of a column's name and that of its source, as in `left_x`, `x_left` and EVIMO2's `dataset_events_t`."""
ALL_EVENTS = sys.maxsize
"""A `count` that puts all events into one batch."""
MIN_STATISTICS_EVENTS = 1 << 16
"""Minimum number of events per batch in the pass that infers order, sensor and unit."""


def find_columns(names: Iterable[str]) -> dict[str, str] | None:
    """Find the names of the columns x, y, t and p among names; None if one is missing."""
    columns: dict[str, str] = {}
    for name in names:
        bare = split_unit(name)[0]
        for letter, aliases in NAMES.items():
            if bare in aliases:
                columns.setdefault(letter, name)
    return columns if len(columns) == len(NAMES) else None


def group_columns(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of x, y (or xy), t and p of each source that has all, by what they begin or end with.

    The source of names without such a part is the empty text.
    """
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        places = [i for i, letter in enumerate(name) if letter in SEPARATORS]
        parts = [("", name), *((name[:i], name[i + 1 :]) for i in places), *((name[i + 1 :], name[:i]) for i in places)]
        for source, bare in parts:
            groups.setdefault(source, {}).setdefault(bare, name)
    complete = {}
    for source, bare in groups.items():
        pair = {"x": "xy", "y": "xy"} if "xy" in bare else {}
        if columns := find_columns([*pair, *bare]):
            members = (bare[pair.get(columns[letter], columns[letter])] for letter in "xytp")
            complete[source] = tuple(dict.fromkeys(members))
    return complete


def reject_order(order: str | None, names: Iterable[str]) -> None:
    """Raise `BadOption` if the order of the columns is given for a file that names them."""
    if order is not None:
        raise BadOption(
            f"columns: the file names its columns ({', '.join(names)}); columns= orders tables without names"
        )


def check_order(order: str | None) -> None:
    """Raise `BadOption` for an order of columns that does not name each of the four once."""
    if order is not None and sorted(order) != sorted(NAMES):
        raise BadOption(f"columns: expected the order of x, y, t and p, such as txyp, got {order!r}")


def find_smallest_sensor(right: float, bottom: float) -> tuple[int, int]:
    """Return the smallest common sensor with that column and row, or else a sensor that ends there.

    Raises:
        BadInput: it would be larger than any real sensor.
    """
    for width, height in SENSORS:
        if right < width and bottom < height:
            return width, height
    if not max(right, bottom) < MAX_INFERRED_SIDE:
        raise BadInput(
            f"an event is at column or row {max(right, bottom):.0f}, beyond all sensors; give size=(width, height), or"
            " scale=, such as 0.0625 for coordinates in 1/16 of a pixel"
        )
    return max(int(right), 0) + 1, max(int(bottom), 0) + 1


def check_scale(scale: float | None) -> None:
    """Raise `BadOption` for other than a positive number."""
    if scale is not None and (isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < np.inf):
        raise BadOption(f"scale: expected a number above 0, got {scale!r}")


def check_options(time_unit: str | None, scale: float | None, on_disorder: str, order: str | None = None) -> None:
    """Raise `BadOption` for invalid options of `build_streams`."""
    check_order(order)
    check_time_unit(time_unit)
    check_scale(scale)
    check_policy(on_disorder)


@overload
def scale_coordinates(coordinates: float, scale: float | None) -> float: ...
@overload
def scale_coordinates(coordinates: np.ndarray, scale: float | None) -> np.ndarray: ...
def scale_coordinates(coordinates: np.ndarray | float, scale: float | None) -> np.ndarray | float:
    """Multiply columns or rows by `scale` and round them down; None leaves them unchanged.

    A millionth of a pixel is added, so that products that are whole but for their rounding stay whole.
    """
    return coordinates if scale is None else np.floor(np.multiply(coordinates, float(scale)) + 1e-6)


def scale_sensor(size: tuple[int, int] | None, scale: float | None) -> tuple[int, int] | None:
    """Return the sensor of the scaled coordinates of a sensor in pixels: as many times larger for a scale above 1."""
    if size is None or scale is None or scale <= 1:
        return size
    return math.ceil(size[0] * scale), math.ceil(size[1] * scale)


def build_streams(
    batches: Callable[[int], Iterator[Batch]],
    count: int,
    *,
    order: str | None = "xytp",
    size: tuple[int, int] | None = None,
    stated_size: tuple[int, int] | None = None,
    time_unit: str | None = None,
    stated_unit: TimeUnit | None = None,
    offset_us: int = 0,
    scale: float | None = None,
    polarity: PolarityOption = None,
    on_disorder: str = "clamp",
    notes: Mapping[str, int] | None = None,
    path: Path | None = None,
) -> Iterator[EventStream]:
    """Yield event streams of batches of columns, all of one order, sensor and unit.

    Missing arguments are inferred by a first pass over all batches.

    Args:
        batches: function of the number of events per batch that yields the batches from the first.
        count: events per stream; `ALL_EVENTS` keeps all batches in memory and reads them once.
        order: order of the columns; None: `infer_column_order`, with the note `assumed_columns` if another is possible.
        size: (width, height) given by the user; None: `stated_size`.
        stated_size: (width, height) in the file, in pixels; None: the smallest common sensor with all events.
        time_unit: unit of time given by the user: s, ms, us or ns; None: `stated_unit`.
        stated_unit: unit of time that the file states; None: that of a type of dates, or else `assume_unit`.
        offset_us: microseconds to add to all times.
        scale, polarity, on_disorder: see the module.
        notes: counts of the reader; the first stream carries them.
        path: the file.

    Raises:
        BadInput: as `EventStream`, with the index of the event in the file.
    """
    decoder, notes = PolarityDecoder(polarity), dict(notes or {})
    if on_disorder == "sort":
        batches = _cache_batches([[np.concatenate(parts) for parts in zip(*batches(ALL_EVENTS), strict=True)]])
    elif count == ALL_EVENTS:
        batches = _cache_batches(batches(count))
    size = parse_size(size) if size is not None else scale_sensor(stated_size, scale)
    unit = state_unit(time_unit, stated_unit)
    if order is None or size is None or unit is None:
        statistics = compute_statistics(batches(max(count, MIN_STATISTICS_EVENTS)))
        if order is None:
            order = infer_column_order(statistics, polarity)
            notes |= {"assumed_columns": 1} if is_ambiguous(statistics, order) else {}
        x, y, times = (statistics[order.index(letter)] for letter in "xyt")
        size = size or find_smallest_sensor(scale_coordinates(x.high, scale), scale_coordinates(y.high, scale))
        unit = unit or infer_unit(times, times.n_numbers, str(path), notes)
    n_events, times = 0, TimeOrder()
    for batch in batches(count):
        columns = dict(zip(order, batch, strict=True))
        columns |= {letter: scale_coordinates(columns[letter], scale) for letter in "xy"}
        try:
            columns["t"] = convert_to_microseconds(columns["t"], unit.name, offset_us)
            columns["p"] = decoder.decode(columns["p"], functools.partial(_read_column, batches, order.index("p")))
            stream = build_ordered_stream(
                columns, int(size[0]), int(size[1]), on_disorder,
                times=None if on_disorder == "sort" else times, notes=notes, time_unit=unit,
            )  # fmt: skip
        except BadInput as error:
            where = f"from event {n_events} on: " if n_events else ""
            raise BadInput(f"{where}{error}{_suggest_option(error)}") from error
        n_events, notes = n_events + len(stream), {}
        yield from _split_sorted(stream, count) if on_disorder == "sort" else (stream,)
    times.warn(str(path), SORT_HINT)


def _suggest_option(error: BadInput) -> str:
    """Return the hint of an option that reads a file in spite of an error; empty if there is none."""
    if isinstance(error, DecreasingTime):
        return "; give on_disorder=, clamp or sort"
    return "; give scale=, such as 1 to round sub-pixel coordinates down" if isinstance(error, UnscaledPixel) else ""


def infer_unit(times: ColumnStatistics, n_events: int, source: str, notes: dict[str, int]) -> TimeUnit:
    """Return the unit of times from their type, or else from their values, and add notes; see `assume_unit`."""
    if times.unit or not times.n_numbers:
        return times.unit or TimeUnit("us", "assumed")
    unit, assumptions = assume_unit(n_events, times.low, times.high, is_whole=times.is_integer, source=source)
    notes |= assumptions
    return unit


def _read_column(batches: Callable[[int], Iterator[Batch]], index: int) -> Iterator[np.ndarray]:
    return (batch[index] for batch in batches(MIN_STATISTICS_EVENTS))


def _split_sorted(stream: EventStream, count: int) -> Iterator[EventStream]:
    """Split a whole recording into chunks of `count` events; the first one carries its notes."""
    first = stream.head(count)
    yield first.with_notes(stream.notes, stream.time_unit)
    for start in range(count, len(stream), count):
        yield stream.slice_events(start, start + count)


def _cache_batches(batches: Iterable[Batch]) -> Callable[[int], Iterator[Batch]]:
    cached = list(batches)
    return lambda count: iter(cached)


def split_batches(read: Callable[[int, int], Batch], start: int, stop: int) -> Callable[[int], Iterator[Batch]]:
    """Return a function that yields batches of a file with random access: at least one batch, which may be empty."""

    def batches(count: int) -> Iterator[Batch]:
        edges = [start, *range(start + count, stop, count), stop]
        return (read(first, last) for first, last in pairwise(edges))

    return batches


def join_streams(chunks: Sequence[EventStream]) -> EventStream:
    """Join the chunks of one recording to one stream, and sum their notes."""
    if len(chunks) == 1:
        return chunks[0]
    joined, notes = concatenate_streams(chunks), Counter[str]()
    for chunk in chunks:
        notes.update(chunk.notes)
    return joined.with_notes(dict(notes), chunks[0].time_unit)


def make_read_method(chunks: Callable[..., Iterator[EventStream]]) -> Callable[..., EventStream]:
    """Make the method `read` of a reader from its `chunks`: all events, with the same options except `count`.

    No events in the range of the options `start` and `end` are a warning.
    """

    @functools.wraps(chunks)
    def read(reader: Reader, path: Path, **options: Any) -> EventStream:
        stream = join_streams(list(chunks(reader, path, count=ALL_EVENTS, **options)))
        time_range = TimeRange.parse(options.get("start"), options.get("end"), options.get("absolute", False))
        if not (time_range.is_whole or len(stream)):
            time_range.warn_empty(str(path))
        return stream

    options = inspect.signature(chunks)
    parameters = [each for each in options.parameters.values() if each.name != "count"]
    # The signature names the options in errors of an unknown option.
    signature = options.replace(parameters=parameters, return_annotation="EventStream")
    read.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
    return read


@contextmanager
def name_file_in_errors(path: Path) -> Iterator[None]:
    """Prefix errors in a file's contents with the file's name."""
    try:
        yield
    except BadInput as error:
        raise BadInput(str(error) if str(path) in str(error) else f"{path}: {error}") from error
