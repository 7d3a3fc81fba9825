"""What files of event columns share: names, order and unit of time, sensors, streams of batches."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, BadOption, Reader, errors
from anybind_events.stream import EventStream, concatenate_streams

NAMES = {
    "x": ("x", "xs", "col", "column"),
    "y": ("y", "ys", "row"),
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
"""What the four columns are called, in lower case."""
UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds in a unit of time."""
SENSORS = ((34, 34), (128, 128), (240, 180), (304, 240), (320, 240), (346, 260), (640, 480), (1280, 720))
"""Sensors that recordings are made with, the smallest first: N-MNIST, DVS128, DAVIS240, ATIS, DVXplorer Mini, ..."""
LARGEST_GUESS = 4096
"""Widest sensor that is believed without being told: one damaged pixel must not make frames of gigabytes."""
NANOSECONDS_FROM = 10**17
"""Whole numbers from here on are nanoseconds since 1970: as microseconds they would be after the year 5000."""

WHOLE = sys.maxsize
"""As many events as there are."""
LOOKED_AT = 1 << 16
"""Events that are looked at together at least, where something has to be found out about all of them."""
Batch = Sequence[np.ndarray]
"""The four columns of some events, in the order of the file."""


def find_columns(names: Iterable[str]) -> dict[str, str] | None:
    """Which of the names in a file are those of x, y, t and p; None when one is missing."""
    found: dict[str, str] = {}
    for name in names:
        bare = _split_unit(name)[0]
        for letter, known in NAMES.items():
            if bare in known:
                found.setdefault(letter, name)
    return found if len(found) == len(NAMES) else None


def unit_in(name: str) -> str | None:
    """The unit of time that a column's name says, as `t_us` and `time [s]` do."""
    return _split_unit(name)[1]


def _split_unit(name: str) -> tuple[str, str | None]:
    words = re.fullmatch(r"(.*?)(?:[\s_]*[\s_(\[](s|ms|us|µs|ns)[)\]]?)?", name.strip().lower())
    if words is None:
        return "", None
    return words[1], words[2].replace("µ", "u") if words[2] else None


def check_order(order: str | None) -> None:
    """Raise `BadOption` for an order of columns that does not name each of the four once."""
    if order is not None and sorted(order) != sorted(NAMES):
        raise BadOption(f"columns names x, y, t and p in their order, such as txyp, and not {order!r}")


def check_unit(unit: str | None) -> None:
    """Raise `BadOption` for a unit of time that is none."""
    if unit is not None and unit not in UNITS_US:
        raise BadOption(f"there is no unit of time {unit!r}{errors.suggest_names(unit, UNITS_US)}")


@dataclass
class Facts:
    """What a pass over one column of a file tells.

    Attributes:
        low, high: the smallest and the largest number.
        falls: whether a number is below the one in front of it.
        whole: whether all numbers are whole.
    """

    low: float = np.inf
    high: float = -np.inf
    falls: bool = False
    whole: bool = True
    last: float | None = None

    def add(self, column: np.ndarray) -> None:
        """Take in the next numbers of the column."""
        if column.ndim != 1 or column.dtype.kind not in "biuf":
            raise BadInput(f"event columns must be lists of numbers, not of {column.dtype} in {column.ndim} dimensions")
        if not column.size:
            return
        self.low, self.high = min(self.low, column.min().item()), max(self.high, column.max().item())
        self.falls |= bool((column[1:] < column[:-1]).any()) or (self.last is not None and column[0] < self.last)
        self.whole &= column.dtype.kind != "f" or bool((np.rint(column) == column).all())
        self.last = column[-1].item()

    @property
    def flags(self) -> bool:
        """Whether the numbers can be polarities: 0 and 1, or -1 and 1."""
        return self.whole and self.low >= -1 and self.high <= 1

    @property
    def unit(self) -> str:
        """The unit of a column of times: fractions are of seconds, whole numbers are microseconds or, late, ns."""
        if not self.whole:
            return "s"
        return "ns" if self.high >= NANOSECONDS_FROM else "us"


def facts_of(batches: Iterable[Batch]) -> list[Facts]:
    """The facts of the four columns."""
    facts = [Facts() for _ in NAMES]
    for batch in batches:
        for each, column in zip(facts, batch, strict=True):
            each.add(column)
    return facts


def find_order(facts: Sequence[Facts]) -> str:
    """Which column is which, such as `txyp`, by what they hold.

    Time is the column that never falls and, of those, has fractions or else the widest range; polarity is the
    last of the others that holds nothing but 0 and 1, or -1 and 1; x is in front of y.

    Raises:
        BadInput: no column can be time, or none polarity.
    """
    rising = [i for i, each in enumerate(facts) if not each.falls]
    rising = [i for i in rising if not facts[i].flags] or rising
    if not rising or (facts[rising[0]].flags and any(each.falls for each in facts)):
        raise BadInput("no column can be time, which never falls; sort the events by time, or name the columns")
    time = max(rising, key=lambda i: (not facts[i].whole, facts[i].high - facts[i].low, facts[i].high))
    polarities = [i for i, each in enumerate(facts) if each.flags and i != time]
    if not polarities:
        raise BadInput("no column holds polarities (0 and 1, or -1 and 1); name the columns")
    letters = iter("xy")
    return "".join("t" if i == time else "p" if i == polarities[-1] else next(letters) for i in range(len(NAMES)))


def to_microseconds(time: np.ndarray, unit: str) -> np.ndarray:
    """Times in microseconds: as they are, or (n,) int64; whole nanoseconds are cut off, fractions rounded.

    Raises:
        BadInput: a time is no number, or beyond what microseconds in 64 bits can say.
    """
    if not time.size or (unit == "us" and time.dtype.kind in "biu"):
        return time
    if time.dtype.kind not in "biuf":
        raise BadInput(f"the column t must hold numbers, not {time.dtype}")
    if unit == "ns" and time.dtype.kind in "iu":
        return time // 1000
    with np.errstate(over="ignore"):
        scaled = np.rint(time.astype(np.float64) * UNITS_US[unit])
    broken = ~(np.abs(scaled) < 2.0**63)
    if broken.any():
        at = int(broken.argmax())
        raise BadInput(f"event {at}: t = {time[at]} {unit} is no time")
    # Whole milliseconds and seconds stay exact where a float would not hold them.
    return time.astype(np.int64) * int(UNITS_US[unit]) if time.dtype.kind in "biu" else scaled.astype(np.int64)


def smallest_sensor(right: float, bottom: float) -> tuple[int, int]:
    """The smallest sensor in use that has a pixel in that column and row, or else one that ends there.

    Raises:
        BadInput: it would be larger than any sensor there is.
    """
    for width, height in SENSORS:
        if right < width and bottom < height:
            return width, height
    if not max(right, bottom) < LARGEST_GUESS:
        raise BadInput(f"an event lies at column or row {max(right, bottom):.0f}; if that is right, give size=")
    return max(int(right), 0) + 1, max(int(bottom), 0) + 1


def streams_of(
    batches: Callable[[int], Iterator[Batch]],
    count: int,
    *,
    order: str | None = "xytp",
    size: tuple[int, int] | None = None,
    unit: str | None = None,
    notes: Mapping[str, int] | None = None,
) -> Iterator[EventStream]:
    """Event streams of batches of columns, all of one order, sensor and unit.

    What is not given is found by a pass over all batches in front of the one that makes the streams.

    Args:
        batches: given how many events there should be in each, gives the batches from the first.
        count: events in a stream; `WHOLE` keeps all batches in memory and asks for them once.
        order: which column is which; None finds it by `find_order`.
        size: (width, height); None takes the smallest sensor in use that holds all events.
        unit: of time; None takes fractions for seconds and whole numbers for microseconds.
        notes: what was counted on the way; the first stream carries them.

    Raises:
        BadInput: as `EventStream`, with the number of the event in the file.
    """
    if count == WHOLE:
        batches = _kept(batches(count))
    if order is None or size is None or unit is None:
        facts = facts_of(batches(max(count, LOOKED_AT)))
        order = order or find_order(facts)
        size = size or smallest_sensor(facts[order.index("x")].high, facts[order.index("y")].high)
        unit = unit or facts[order.index("t")].unit
    first, last = 0, None
    for batch in batches(count):
        columns = dict(zip(order, batch, strict=True))
        columns["t"] = to_microseconds(columns["t"], unit)
        try:
            stream = EventStream(**columns, width=int(size[0]), height=int(size[1]), notes=notes or {})
        except BadInput as error:
            raise BadInput(f"from event {first} on: {error}" if first else str(error)) from error
        if len(stream):
            if last is not None and stream.t[0] < last:
                raise BadInput(f"time runs backwards at event {first}: {last} us, then {stream.t[0]} us")
            first, last = first + len(stream), stream.t[-1]
        notes = None
        yield stream


def _kept(batches: Iterator[Batch]) -> Callable[[int], Iterator[Batch]]:
    held = list(batches)
    return lambda count: iter(held)


def batches_by(read: Callable[[int, int], Batch], start: int, stop: int) -> Callable[[int], Iterator[Batch]]:
    """Batches out of a file that can be read from any event to any other: at least one, which may be empty."""

    def batches(count: int) -> Iterator[Batch]:
        edges = [start, *range(start + count, stop, count), stop]
        return (read(first, last) for first, last in pairwise(edges))

    return batches


def join_streams(parts: Sequence[EventStream]) -> EventStream:
    """The parts of one recording as one stream, with what was noted of each added up."""
    if len(parts) == 1:
        return parts[0]
    joined = concatenate_streams(parts)
    columns = (joined.x, joined.y, joined.t, joined.p)
    return EventStream.of_checked(*columns, joined.width, joined.height, add_notes(part.notes for part in parts))


def whole(chunks: Callable[..., Iterator[EventStream]]) -> Callable[..., EventStream]:
    """Make the method `read` of a reader from its `chunks`: all parts in one, by the same options without `count`."""

    @functools.wraps(chunks)
    def read(reader: Reader, path: Path, **options: object) -> EventStream:
        return join_streams(list(chunks(reader, path, count=WHOLE, **options)))

    options = inspect.signature(chunks)
    parameters = [each for each in options.parameters.values() if each.name != "count"]
    # Names the options where a wrong one is refused.
    signature = options.replace(parameters=parameters, return_annotation="EventStream")
    read.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
    return read


def add_notes(notes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What was noted of the parts of a recording, added up."""
    total: Counter[str] = Counter()
    for each in notes:
        total.update(each)
    return dict(total)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What is wrong with a file's contents is told with the file's name."""
    try:
        yield
    except BadInput as error:
        raise BadInput(str(error) if str(path) in str(error) else f"{path}: {error}") from error
