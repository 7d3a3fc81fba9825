"""Shared code of readers of event columns: names, order and unit of time, sensors, streams of batches."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, BadOption, Reader, errors
from anybind_events.disorder import build_ordered_stream
from anybind_events.polarity import (
    PolarityDecoder,
    PolarityOption,
)
from anybind_events.readers.column_statistics import Batch, compute_statistics, infer_column_order, is_ambiguous
from anybind_events.stream import DecreasingTime, EventStream, concatenate_streams

NAMES = {
    "x": ("x", "xs", "col", "column"),
    "y": ("y", "ys", "row"),
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
"""Names of the four columns in files, in lower case."""
UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds per unit of time."""
SENSORS = ((34, 34), (128, 128), (240, 180), (304, 240), (320, 240), (346, 260), (640, 480), (1280, 720))
"""Common sensors, the smallest first: N-MNIST, DVS128, DAVIS240, ATIS, DVXplorer Mini, ..."""
MAX_INFERRED_SIDE = 4096
"""Largest sensor side that is inferred from events: one damaged pixel must not make frames of gigabytes."""

ALL_EVENTS = sys.maxsize
"""A `count` that puts all events into one batch."""
MIN_STATISTICS_EVENTS = 1 << 16
"""Minimum number of events per batch in the pass that infers order, sensor and unit."""


def find_columns(names: Iterable[str]) -> dict[str, str] | None:
    """Find the names of the columns x, y, t and p among names; None if one is missing."""
    columns: dict[str, str] = {}
    for name in names:
        bare = _split_unit(name)[0]
        for letter, aliases in NAMES.items():
            if bare in aliases:
                columns.setdefault(letter, name)
    return columns if len(columns) == len(NAMES) else None


def parse_unit(name: str) -> str | None:
    """Return the unit of time in a column's name, as in `t_us` and `time [s]`."""
    return _split_unit(name)[1]


def _split_unit(name: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"(.*?)(?:[\s_]*[\s_(\[](s|ms|us|µs|ns)[)\]]?)?", name.strip().lower())
    if match is None:
        return "", None
    return match[1], match[2].replace("µ", "u") if match[2] else None


def check_order(order: str | None) -> None:
    """Raise `BadOption` for an order of columns that does not name each of the four once."""
    if order is not None and sorted(order) != sorted(NAMES):
        raise BadOption(f"columns: expected the order of x, y, t and p, such as txyp, got {order!r}")


def check_unit(unit: str | None) -> None:
    """Raise `BadOption` for an unknown unit of time."""
    if unit is not None and unit not in UNITS_US:
        raise BadOption(f"unit: expected {', '.join(UNITS_US)}, got {unit!r}{errors.suggest_names(unit, UNITS_US)}")


def convert_to_microseconds(time: np.ndarray, unit: str) -> np.ndarray:
    """Convert times to microseconds: unchanged, or (n,) int64; whole nanoseconds are truncated, fractions rounded.

    Raises:
        BadInput: a time is not a number, or exceeds microseconds in 64 bits.
    """
    if not time.size or (unit == "us" and time.dtype.kind in "biu"):
        return time
    if time.dtype.kind not in "biuf":
        raise BadInput(f"column t: expected numbers, got {time.dtype}")
    if unit == "ns" and time.dtype.kind in "iu":
        return time.astype(np.promote_types(time.dtype, np.uint16), copy=False) // 1000  # 1000 exceeds 8 bits
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(time.astype(np.float64) * UNITS_US[unit])
    invalid = ~(np.abs(scaled) < 2.0**63)
    if invalid.any():
        index = int(invalid.argmax())
        raise BadInput(f"event {index}: expected a time, got t = {time[index]} {unit}")
    # Whole milliseconds and seconds stay exact beyond the precision of a float.
    return time.astype(np.int64) * int(UNITS_US[unit]) if time.dtype.kind in "biu" else scaled.astype(np.int64)


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
            f"an event is at column or row {max(right, bottom):.0f}, beyond all sensors; give size=(width, height)"
        )
    return max(int(right), 0) + 1, max(int(bottom), 0) + 1


def build_streams(
    batches: Callable[[int], Iterator[Batch]],
    count: int,
    *,
    order: str | None = "xytp",
    size: tuple[int, int] | None = None,
    unit: str | None = None,
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
        order: order of the columns; None infers it by `infer_column_order`, with the note `assumed_columns` if another
            one is possible.
        size: (width, height); None: the smallest common sensor that contains all events.
        unit: unit of time; None: seconds for fractions and microseconds for whole numbers.
        polarity: the ON code, then the OFF code; see `PolarityDecoder`.
        on_disorder: policy for decreasing times; see `build_ordered_stream`. `sort` keeps all events in memory.
        notes: counts of the reader; the first stream carries them.
        path: the file, for warnings.

    Raises:
        BadInput: as `EventStream`, with the index of the event in the file.
    """
    decoder = PolarityDecoder(polarity)
    if on_disorder == "sort":
        batches = _cache_batches([[np.concatenate(parts) for parts in zip(*batches(ALL_EVENTS), strict=True)]])
    elif count == ALL_EVENTS:
        batches = _cache_batches(batches(count))
    if order is None or size is None or unit is None:
        statistics = compute_statistics(batches(max(count, MIN_STATISTICS_EVENTS)))
        if order is None:
            order = infer_column_order(statistics, polarity)
            notes = {**(notes or {}), **({"assumed_columns": 1} if is_ambiguous(statistics, order) else {})}
        size = size or find_smallest_sensor(statistics[order.index("x")].high, statistics[order.index("y")].high)
        unit = unit or statistics[order.index("t")].unit
    n_events, last_us = 0, None
    for batch in batches(count):
        columns = dict(zip(order, batch, strict=True))
        columns["t"] = convert_to_microseconds(columns["t"], unit)
        try:
            columns["p"] = decoder.decode(columns["p"], functools.partial(_read_column, batches, order.index("p")))
            stream = build_ordered_stream(
                columns, int(size[0]), int(size[1]), on_disorder, last_us=last_us, notes=notes, source=str(path)
            )
        except BadInput as error:
            hint = "; give on_disorder=, clamp or sort" if isinstance(error, DecreasingTime) else ""
            raise BadInput(f"from event {n_events} on: {error}{hint}" if n_events else f"{error}{hint}") from error
        if len(stream):
            n_events, last_us = n_events + len(stream), int(stream.t[-1])
        notes = None
        yield from _split_sorted(stream, count) if on_disorder == "sort" else (stream,)


def _read_column(batches: Callable[[int], Iterator[Batch]], index: int) -> Iterator[np.ndarray]:
    return (batch[index] for batch in batches(MIN_STATISTICS_EVENTS))


def _split_sorted(stream: EventStream, count: int) -> Iterator[EventStream]:
    """Split a whole recording into chunks of `count` events; the first one carries its notes."""
    first = stream.head(count)
    yield EventStream.from_valid(first.x, first.y, first.t, first.p, stream.width, stream.height, stream.notes)
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
    columns = (joined.x, joined.y, joined.t, joined.p)
    return EventStream.from_valid(*columns, joined.width, joined.height, dict(notes))


def make_read_method(chunks: Callable[..., Iterator[EventStream]]) -> Callable[..., EventStream]:
    """Make the method `read` of a reader from its `chunks`: all events, with the same options except `count`."""

    @functools.wraps(chunks)
    def read(reader: Reader, path: Path, **options: object) -> EventStream:
        return join_streams(list(chunks(reader, path, count=ALL_EVENTS, **options)))

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
