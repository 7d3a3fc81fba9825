"""Windows over time: which part of a recording is used, how it is divided, and how times are written.

A modality with recordings, such as `event` and `sound`, implements `Modality.split`; the options are the same for all.

Rule of the last window: windows begin at the start of the part, then every stride, until one reaches the end of the
part. That one may be shorter than the others, as in `EventStream.chunks`; none begins after the end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from anybind.errors import BadOption

S = TypeVar("S")

AUTO, WHOLE = "auto", "whole"
"""Values of `--window` besides a length: chosen by content, and no windows."""
TIME_UNITS_US = {"us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000}
"""Microseconds of each unit in a duration."""
EVENTS = ("ev", "events")
MICROSECONDS, SECONDS = "us", "s"
"""Units of plain numbers: of event recordings, and of sounds."""
_NUMBER = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)

Duration = str | int | float
"""A duration: a text with its unit, such as `100ms`, or a number in the unit of the modality."""
Roi = tuple[int, int, int, int]
"""A region of interest: column and row of its upper left corner, width, height, in pixels."""


class WindowLength(NamedTuple):
    """The length of windows, or of the stride between their starts.

    Attributes:
        size: microseconds, or events; at least 1.
        in_events: whether `size` is a number of events.
    """

    size: int
    in_events: bool = False

    def __str__(self) -> str:
        if self.in_events:
            return f"{self.size}ev"
        return f"{self.size / 1000:g}ms" if self.size < 1_000_000 else f"{self.size / 1e6:g}s"


@dataclass(frozen=True)
class WindowOptions:
    """Which part of a recording is used, and how it is divided into windows.

    Attributes:
        start, end: the part with start <= t < end, as durations after the first event or the start of the clip; None:
            from the beginning, to the end.
        window: length of the windows: a duration, a number of events (`5000ev`), `auto` (by content), `whole` (one
            window), or an empty text: `auto` for long recordings, `whole` for others.
        stride: from the start of a window to that of the next, in the same unit. [default: the length]
        roi: only events of this region, whose corner becomes (0, 0); None for the whole sensor.
        filters: filters of events by name, with their options: `background-activity:duration_us=2000,hot-pixel`. They
            process the recording from its first event on, before it is divided.
    """

    start: Duration | None = None
    end: Duration | None = None
    window: Duration = ""
    stride: Duration = ""
    roi: Roi | None = None
    filters: str = ""

    def __post_init__(self) -> None:
        """Convert numbers to texts, and an empty start or end to None, so that equal options compare equal."""
        for name in ("start", "end", "window", "stride"):
            value = getattr(self, name)
            value = None if value is None else str(value)
            object.__setattr__(self, name, (value or None) if name in ("start", "end") else value or "")
        if self.roi is not None:
            object.__setattr__(self, "roi", tuple(self.roi))

    @property
    def is_default(self) -> bool:
        """Whether no option is set."""
        return self == WindowOptions()

    @property
    def is_whole(self) -> bool:
        """Whether every recording is one window, unchanged."""
        return self == WindowOptions(window=WHOLE)

    @property
    def has_windows(self) -> bool:
        """Whether options divide recordings into windows, by their length or their stride."""
        return bool(self.stride) or self.window not in ("", WHOLE)

    def resolve_range(self, unit: str) -> tuple[int | None, int | None]:
        """Return start and end in microseconds; plain numbers are of `unit`.

        Raises:
            BadOption: not durations, or the end is not after the start.
        """
        start, end = (
            None if value is None else parse_duration(value, unit, name)
            for name, value in (("start", self.start), ("end", self.end))
        )
        if start is not None and end is not None and end <= start:
            raise BadOption(f"end: expected a time after the start, {self.start}, got {self.end}")
        return start, end

    def resolve_lengths(self, unit: str) -> tuple[WindowLength | None, WindowLength | None]:
        """Return length and stride of the windows; a length of None: `auto`, `whole` or the default.

        Raises:
            BadOption: not lengths, or of different units.
        """
        length = None if self.window in ("", AUTO, WHOLE) else parse_length(self.window, unit, "window")
        stride = None if self.stride == "" else parse_length(self.stride, unit, "stride")
        if stride is not None and self.window == WHOLE:
            raise BadOption("--stride needs windows: give a length as --window, or auto")
        if stride is not None and stride.in_events != (length is not None and length.in_events):
            raise BadOption(f"expected --window and --stride of one unit, got {self.window!r} and {self.stride!r}")
        return length, stride

    def resolve_filters(self) -> WindowOptions:
        """Return the options with all settings of the filters, which then depend neither on defaults nor on files.

        Raises:
            UnknownName: no such filter is installed.
            BadOption, BadInput: an option of a filter, or a file that it names, is invalid.
        """
        if not self.filters:
            return self
        from anybind.filtering import resolve_filters  # needs the registry, which few windows do

        return replace(self, filters=resolve_filters(self.filters))

    def to_dict(self) -> dict[str, object]:
        """Return the options that are set, JSON-like."""
        return {name: value for name, value in vars(self).items() if value}


@dataclass(frozen=True)
class SampleWindow(Generic[S]):
    """A window of a recording.

    Attributes:
        sample: the window as a sample of its own, a view where that is possible.
        start_us, end_us: its times, start <= t < end, in microseconds after the start of the recording.
        is_whole: whether it is the unchanged recording.
        inactivity: why there is nothing to recognise, such as `nothing moved`; empty otherwise.
        intensity: measure of activity: events per second, or the RMS level of sound.
    """

    sample: S
    start_us: int
    end_us: int
    is_whole: bool = False
    inactivity: str = ""
    intensity: float = 0.0

    def without_sample(self) -> SampleWindow[None]:
        """Return the window without its sample, which may be large."""
        return SampleWindow(None, self.start_us, self.end_us, self.is_whole, self.inactivity, self.intensity)


def parse_duration(value: Duration, unit: str = MICROSECONDS, name: str = "duration") -> int:
    """Convert a duration to microseconds: `100ms`, `1.5 s`, or a number of `unit`, such as `us`.

    Raises:
        BadOption: another text, a negative number, or one that is not finite; `name` is that of the option.
    """
    match = _NUMBER.fullmatch(str(value))
    factor = TIME_UNITS_US.get((match.group(2) or unit).lower()) if match else None
    if match is None or factor is None or not math.isfinite(number := float(match.group(1)) * factor):
        units = ", ".join(TIME_UNITS_US)
        raise BadOption(f"--{name}: expected a duration such as 100ms (units: {units}), got {value!r}")
    return round(number)


def parse_length(value: Duration, unit: str = MICROSECONDS, name: str = "window") -> WindowLength:
    """Convert a duration, or a number of events such as `5000ev`, to a length of windows.

    Raises:
        BadOption: another text, or a length below 1 microsecond or event; `name` is that of the option.
    """
    match = _NUMBER.fullmatch(str(value))
    in_events = match is not None and match.group(2).lower() in EVENTS
    if match is not None and in_events:
        if not (number := float(match.group(1))).is_integer():
            raise BadOption(f"--{name}: expected a whole number of events, got {value!r}")
        size = int(number)
    else:
        size = parse_duration(value, unit, name)
    if size < 1:
        raise BadOption(f"--{name}: expected at least 1 microsecond or event, got {value}")
    return WindowLength(size, in_events)


def parse_roi(text: str) -> Roi | None:
    """Convert `x,y,width,height` in pixels to a region of interest; None for an empty text.

    Raises:
        BadOption: another text, or an empty region.
    """
    if not text:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise BadOption(f"--roi: expected x,y,width,height in pixels, such as 40,20,160,120, got {text!r}")
    x, y, width, height = map(int, parts)
    if width < 1 or height < 1:
        raise BadOption(f"--roi: expected a width and height of at least 1 pixel, got {text!r}")
    return x, y, width, height


def iterate_ranges(total: int, length: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges (first, after the last) of windows over `total` units; see the module for the last one."""
    for first in range(0, total, stride):
        yield first, min(first + length, total)
        if first + length >= total:
            return


def format_range(start_us: int, end_us: int) -> str:
    """Format a time range in seconds: `0.1-0.25s`."""
    return f"{format_seconds(start_us)}-{format_seconds(end_us)}s"


def format_seconds(time_us: int) -> str:
    """Format microseconds as seconds, exactly: `0.25`."""
    whole, rest = divmod(time_us, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
