"""Statistics of event columns, and the order of the columns that they imply."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from anybind.plugin import BadInput
from anybind_events.event_columns import MAX_SENSOR
from anybind_events.polarity import UNSIGNED_MINUS_ONE, PolarityOption, find_codes, parse_polarity_codes
from anybind_events.time_unit import TimeUnit, strip_time_type

MAX_DISORDER = 0.25
"""Decreases per event of a column that can be time; of random pixels every second one is a decrease."""
MIN_JUDGED_EVENTS = 20
"""Events from which on a column with two numbers is taken for polarities of uncertain meaning."""
TABLES = ("event_data", "events", "event", "arr_0")
"""Names of arrays with all four columns, in N-ImageNet's files and in those of v2e, EVIMO and NumPy."""
Batch = Sequence[np.ndarray]
"""The four columns of some events, in the order of the file."""


@dataclass
class ColumnStatistics:
    """Statistics of one column of a file.

    Attributes:
        low, high: smallest and largest number.
        n_numbers, n_decreases: how many numbers there are, and how many are below the previous one.
        is_integer: whether all numbers are whole.
        last: the last number.
        codes: the numbers below -1 or above 1 and those beside them, if there are at most two; None otherwise.
        unit: unit of a column of dates or durations.
    """

    low: float = np.inf
    high: float = -np.inf
    n_numbers: int = 0
    n_decreases: int = 0
    is_integer: bool = True
    last: float | None = None
    codes: set[float] | None = field(default_factory=set)
    unit: TimeUnit | None = None

    def add(self, column: np.ndarray) -> None:
        """Update the statistics by the next numbers of the column."""
        column, unit = strip_time_type(column)
        self.unit = unit or self.unit
        if column.ndim != 1 or column.dtype.kind not in "biuf":
            raise BadInput(
                f"expected 1-dimensional event columns of numbers, got {column.dtype} in {column.ndim} dimensions"
            )
        if not column.size:
            return
        low, high = column.min().item(), column.max().item()
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.n_numbers += len(column)
        self.n_decreases += int(np.count_nonzero(column[1:] < column[:-1]))
        self.n_decreases += self.last is not None and bool(column[0] < self.last)
        with np.errstate(invalid="ignore"):  # damaged numbers may be signalling NaN
            self.is_integer &= column.dtype.kind != "f" or bool((np.rint(column) == column).all())
        self.last = column[-1].item()
        if not (low >= -1 and high <= 1):  # the other columns can be polarities in any case
            self.codes = None if self.codes is None else find_codes(column, low, high, self.codes)

    @property
    def decreases(self) -> bool:
        """Whether a number is below the previous one."""
        return self.n_decreases > 0

    @property
    def rarely_decreases(self) -> bool:
        """Whether the numbers can be times of which a few are out of order."""
        return self.n_decreases < MAX_DISORDER * self.n_numbers

    @property
    def is_binary(self) -> bool:
        """Whether the numbers can be polarities: 0 and 1, or -1 and 1, the latter also with -1 stored unsigned."""
        is_unsigned = self.has_two_codes and self.low == 1 and self.high in UNSIGNED_MINUS_ONE
        return is_unsigned or (self.is_integer and self.low >= -1 and self.high <= 1)

    @property
    def is_minus_one(self) -> bool:
        """Whether all numbers are -1 stored unsigned."""
        return self.low == self.high and self.high in UNSIGNED_MINUS_ONE

    @property
    def has_two_codes(self) -> bool:
        """Whether there are at most two numbers, which are whole."""
        return self.is_integer and self.codes is not None

    def fits_codes(self, codes: Collection[float] | None) -> bool:
        """Return whether the numbers can be polarities with these codes; None: with a certain notation."""
        return self.is_binary if codes is None else self.is_integer and {self.low, self.high} <= {*codes}


def compute_statistics(batches: Iterable[Batch]) -> list[ColumnStatistics]:
    """Return the statistics of the four columns."""
    statistics = [ColumnStatistics() for _ in "xytp"]
    for batch in batches:
        for each, column in zip(statistics, batch, strict=True):
            each.add(column)
    return statistics


def is_ambiguous(statistics: Sequence[ColumnStatistics], order: str) -> bool:
    """Return whether another column than the time of an inferred order could be time: none of them decreases."""
    time = statistics[order.index("t")]
    pixels = (statistics[order.index(letter)] for letter in "xy")
    is_certain = time.high > MAX_SENSOR or not time.is_integer or time.decreases
    return not is_certain and any(not each.decreases and each.low < each.high for each in pixels)


def infer_column_order(statistics: Sequence[ColumnStatistics], polarity: PolarityOption = None) -> str:
    """Infer the order of the columns, such as `txyp`, from their values.

    Time is the only column with numbers that no sensor reaches; or else the column that never decreases and, among
    several, has fractions or else the widest range; or else the one with fractions, or with few decreases. Polarity
    is the last of the others with only 0 and 1, or -1 and 1, or the codes of the option `polarity`; x precedes y.

    Raises:
        BadInput: no column can be time, or none polarity.
    """
    codes = parse_polarity_codes(polarity)
    not_pixels = [i for i, each in enumerate(statistics) if each.high > MAX_SENSOR]
    certain = [i for i in not_pixels if not (statistics[i].fits_codes(codes) or statistics[i].is_minus_one)]
    candidates = certain if len(certain) == 1 else [i for i, each in enumerate(statistics) if not each.decreases]
    candidates = candidates or [i for i, each in enumerate(statistics) if not each.is_integer]
    if not candidates or all(statistics[i].fits_codes(codes) for i in candidates):
        ordered = [i for i, each in enumerate(statistics) if each.rarely_decreases and not each.fits_codes(codes)]
        candidates = ordered if len(ordered) == 1 else candidates
    candidates = [i for i in candidates if not statistics[i].fits_codes(codes)] or candidates
    if not candidates or (statistics[candidates[0]].fits_codes(codes) and any(each.decreases for each in statistics)):
        raise BadInput(
            "no column can be time, as all decrease; name the columns (columns=), or sort the events by time"
        )
    time = max(
        candidates,
        key=lambda i: (not statistics[i].is_integer, statistics[i].high - statistics[i].low, statistics[i].high),
    )
    polarities = [i for i, each in enumerate(statistics) if each.fits_codes(codes) and i != time]
    # Only OFF events, or the first ones of a recording.
    polarities = polarities or [i for i, each in enumerate(statistics) if each.is_minus_one and i != time]
    if not polarities and codes is None:  # codes of uncertain meaning, which are an error of decoding that lists them
        uncertain = [i for i, each in enumerate(statistics) if each.has_two_codes and i != time]
        polarities = uncertain if len(uncertain) == 1 and statistics[time].n_numbers >= MIN_JUDGED_EVENTS else []
    if not polarities:
        expected = "0 and 1, or -1 and 1" if codes is None else ", ".join(map(str, codes))
        raise BadInput(
            f"no column has polarities ({expected}); name the columns (columns=), or the ON code and the OFF code"
            " (polarity=)"
        )
    letters = iter("xy")
    return "".join("t" if i == time else "p" if i == polarities[-1] else next(letters) for i in range(len(statistics)))
