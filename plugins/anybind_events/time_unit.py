"""The unit of the times in a file: stated by the user or the file, or else assumed and held against event rates."""

from __future__ import annotations

import re
import warnings
from typing import NamedTuple

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption, errors

UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds per unit of time."""
UNIT_NAMES = {
    name: unit
    for unit, names in {
        "s": ("s", "sec", "secs", "second", "seconds"),
        "ms": ("ms", "msec", "msecs", "millisecond", "milliseconds"),
        "us": ("us", "\N{MICRO SIGN}s", "\N{GREEK SMALL LETTER MU}s", "usec", "usecs", "microsecond", "microseconds"),
        "ns": ("ns", "nsec", "nsecs", "nanosecond", "nanoseconds"),
    }.items()
    for name in names
}
"""Units by their names in files, in lower case."""
_NAME = "|".join(sorted(UNIT_NAMES, key=len, reverse=True))
COLUMN_NAME = re.compile(rf"(.*?)(?:[\s_-]*[\s_(\[-]({_NAME})[)\]]?)?")
UNIT_COMMENT = re.compile(
    rf"\b(?:(?:time|timestamp|t)?[ _]?units?\s*[:=]?|times?(?:tamps?)?\s+in)\s*[\[('\"]?({_NAME})\b", re.IGNORECASE
)
"""A unit in a comment, such as `time_unit: ns` or `timestamps in microseconds`."""
NANOSECONDS_FROM = 10**17
"""Whole numbers from here on are nanoseconds since 1970: as microseconds they would be after the year 5000."""
MIN_JUDGED_EVENTS = 25
"""Events from which on rates are judged."""
SLOWEST = ((1.0, 100.0), (10.0, 500.0), (60.0, 1000.0))
"""Seconds, and the events per second that a longer recording exceeds; an idle 128x128 sensor gives thousands."""
FASTEST, FASTEST_BURST, BURST_S = 5e7, 1e7, 1e-3
"""Events per second that no recording exceeds, and none that is shorter than so many seconds.

The fastest real recording that we know has 2.5e7 events/s for 9 ms.
"""
LONGEST_S = 7 * 86_400.0


class TimeUnit(NamedTuple):
    """The unit of the times in a file.

    Attributes:
        name: s, ms, us or ns.
        origin: how it is known: `option`, `column name`, `attribute`, `comment`, `type`, `format`; or `assumed`.
    """

    name: str
    origin: str


FORMAT_UNIT = TimeUnit("us", "format")
"""The unit of formats that define it."""


def split_unit(name: str) -> tuple[str, TimeUnit | None]:
    """Split the name of a column, as in `t_us` and `time [s]`, into the bare name, in lower case, and the unit."""
    match = COLUMN_NAME.fullmatch(name.strip().lower())
    if match is None:
        return "", None
    return match[1], TimeUnit(UNIT_NAMES[match[2]], "column name") if match[2] else None


def parse_unit(text: object, origin: str) -> TimeUnit | None:
    """Return the unit that a text names, such as an attribute of a dataset; None for anything else."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    unit = UNIT_NAMES.get(text.partition(" since ")[0].strip().lower())  # as NetCDF writes it
    return TimeUnit(unit, origin) if unit else None


def check_time_unit(time_unit: str | None) -> None:
    """Raise `BadOption` for an unknown unit of time."""
    if time_unit is not None and not (isinstance(time_unit, str) and time_unit in UNITS_US):
        hint = errors.suggest_names(str(time_unit), UNITS_US)
        raise BadOption(f"time_unit: expected {', '.join(UNITS_US)}, got {time_unit!r}{hint}")


def state_unit(option: str | None, stated: TimeUnit | None) -> TimeUnit | None:
    """Return the unit given by the option `time_unit`, or else that of the file; None if neither states one."""
    return TimeUnit(option, "option") if option else stated


def assume_unit(
    n_events: int, low: float, high: float, *, is_whole: bool, source: str
) -> tuple[TimeUnit, dict[str, int]]:
    """Assume a unit that nothing states: microseconds for whole numbers (nanoseconds from 10^17 on), else seconds.

    An implausible event rate or duration is a warning.

    Args:
        n_events: number of events.
        low: smallest time, as in the file.
        high: largest time.
        is_whole: whether all times are whole numbers.
        source: the file or array, for the warning.

    Returns:
        the unit, and the notes of the stream: `assumed_time_unit` if it is implausible.
    """
    name = ("ns" if high >= NANOSECONDS_FROM else "us") if is_whole else "s"
    unit, span = TimeUnit(name, "assumed"), high - low
    if _is_plausible(n_events, span * UNITS_US[name] / 1e6):
        return unit, {}
    seconds = span * UNITS_US[name] / 1e6
    others = [other for other, factor in UNITS_US.items() if _is_plausible(n_events, span * factor / 1e6)]
    rate = f"{n_events / seconds:.3g} events/s" if seconds else "all at one time"
    choice = " or ".join(f"time_unit={other}" for other in others) or "time_unit="
    warnings.warn(
        f"{source}: the unit of time is not stated, and {name} is implausible: {n_events} events in {seconds:.3g} s"
        f" ({rate}); give {choice} (time_unit={name} confirms it)",
        AnybindWarning,
        stacklevel=3,
    )
    return unit, {"assumed_time_unit": 1}


def _is_plausible(n_events: int, seconds: float) -> bool:
    """Return whether an event camera can have recorded so many events in so many seconds."""
    if n_events < MIN_JUDGED_EVENTS:
        return True
    fastest = FASTEST_BURST if seconds < BURST_S else FASTEST
    slowest = max((rate for length, rate in SLOWEST if seconds > length), default=0.0)
    return slowest * seconds <= n_events <= fastest * seconds and seconds <= LONGEST_S


def strip_time_type(time: np.ndarray) -> tuple[np.ndarray, TimeUnit | None]:
    """Return times of NumPy's date and duration types as whole numbers, (n,) int64, with their unit; others unchanged.

    Raises:
        BadInput: a unit other than s, ms, us and ns, or a time is missing (NaT).
    """
    if time.dtype.kind not in "mM":
        return time, None
    name, step = np.datetime_data(time.dtype)
    if name not in UNITS_US or step != 1:
        raise BadInput(f"column t: expected times in {', '.join(UNITS_US)}, got {time.dtype}")
    if np.isnat(time).any():
        raise BadInput(f"event {int(np.isnat(time).argmax())}: expected a time, got NaT")
    return time.view(f"{time.dtype.byteorder}i8"), TimeUnit(name, "type")


def convert_to_microseconds(time: np.ndarray, unit: str, offset_us: int = 0) -> np.ndarray:
    """Convert times to microseconds: unchanged, or (n,) int64; whole nanoseconds are truncated, fractions rounded.

    The 64-bit sum with `offset_us` wraps around, as the difference does in writing.

    Raises:
        BadInput: a time is not a number, or exceeds microseconds in 64 bits.
    """
    if offset_us:
        return convert_to_microseconds(time, unit).astype(np.int64) + np.int64(offset_us)
    time, _ = strip_time_type(time)
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
        raise BadInput(
            f"event {index}: expected a time, got t = {time[index]} {unit}; give time_unit= if it is another"
        )
    # Whole milliseconds and seconds stay exact beyond the precision of a float.
    return time.astype(np.int64) * int(UNITS_US[unit]) if time.dtype.kind in "biu" else scaled.astype(np.int64)
