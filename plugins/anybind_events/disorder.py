"""One policy for decreasing times of event columns: raise them to the previous time, sort the events, or fail."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadOption, errors
from anybind_events.event_columns import DecreasingTime
from anybind_events.stream import EventStream
from anybind_events.time_unit import TimeUnit

POLICIES = ("clamp", "sort", "error")
"""Values of the option `on_disorder`; the first is the default, and what the binary formats do."""

MIN_JUDGED_EVENTS, MAX_RAISED, MAX_LAG, MAX_LAG_US = 20, 0.5, 0.01, 1000
"""Events from which on raised times are judged, and what needs no warning: the largest fraction of raised times, and
the largest mean by which times were raised, as a fraction of the duration or in microseconds. Jitter of a camera is far
below; a clock that was reset, or a second recording in the file, is above."""


@dataclass
class TimeOrder:
    """The times of a recording so far, and by how much decreasing ones were raised.

    Attributes:
        first_us, last_us: the first time and the latest one, in microseconds; None before the first event.
        n_events, n_raised: number of events, and of those whose time was raised.
        lag_us: the sum of what was added to times.
    """

    first_us: int | None = None
    last_us: int | None = None
    n_events: int = 0
    n_raised: int = 0
    lag_us: int = 0

    def raise_times(self, time: np.ndarray, *, decreases: bool | None = None) -> tuple[np.ndarray, int]:
        """Return the next times, each at least the one before, and how many were raised.

        Args:
            time: (n,) int64, microseconds.
            decreases: whether a time is below the one before it, if that is known.
        """
        if not len(time):
            return time, 0
        if decreases is None:
            decreases = bool((time[1:] < time[:-1]).any())
        raised, count = time, 0
        if decreases or (self.last_us is not None and time[0] < self.last_us):
            raised = np.maximum.accumulate(time)
            if self.last_us is not None:
                np.maximum(raised, self.last_us, out=raised)
            count = int(np.count_nonzero(time < raised))
            self.lag_us += int((raised - time).sum(dtype=np.float64))  # damaged times can exceed 64 bits
        self.first_us = int(raised[0]) if self.first_us is None else self.first_us
        self.last_us, self.n_events, self.n_raised = int(raised[-1]), self.n_events + len(time), self.n_raised + count
        return raised, count

    @property
    def is_distorted(self) -> bool:
        """Whether raised times are worth a warning: many, or by much."""
        if self.n_events < MIN_JUDGED_EVENTS or self.first_us is None or self.last_us is None:
            return False
        is_late = self.lag_us > self.n_events * max(MAX_LAG_US, MAX_LAG * (self.last_us - self.first_us))
        return self.n_raised > MAX_RAISED * self.n_events or is_late

    def warn(self, source: str, hint: str) -> None:
        """Warn of raised times that distort the recording, named `source`, if there are any."""
        if self.is_distorted:
            message = f"{source}: {self.n_raised} of {self.n_events} times decrease and were raised to the previous one"
            warnings.warn(f"{message}; {hint}", AnybindWarning, stacklevel=3)


SORT_HINT = "give on_disorder='sort' to sort the events, or split a file of several recordings"
SPLIT_HINT = "the camera's clock was reset, or the file has several recordings, which must be split"


def check_policy(on_disorder: str) -> None:
    """Raise `BadOption` for an unknown policy."""
    if on_disorder not in POLICIES:
        hint = errors.suggest_names(str(on_disorder), POLICIES)
        raise BadOption(f"on_disorder: expected {', '.join(POLICIES)}, got {on_disorder!r}{hint}")


def build_ordered_stream(
    columns: Mapping[str, np.ndarray],
    width: int,
    height: int,
    on_disorder: str,
    *,
    times: TimeOrder | None = None,
    notes: Mapping[str, int] | None = None,
    time_unit: TimeUnit | None = None,
) -> EventStream:
    """Build a stream of columns, and repair decreasing times by a policy; only these cost a second pass.

    Args:
        columns: `x`, `y`, `t` (microseconds) and `p`, each (n,); see `EventStream`.
        width: sensor width in pixels.
        height: sensor height in pixels.
        on_disorder: `clamp` raises a decreasing time to the previous one, and notes the number of these events as
            `backwards`; `sort` sorts the events by time, in a stable way, and notes that number as `sorted`; `error`
            raises.
        times: the times before the first event, which is updated; `sort` requires None.
        notes: further notes of the stream.
        time_unit: the unit that the times had in the file, for the stream.

    Raises:
        BadInput: as `EventStream`.
    """
    notes, sensor = dict(notes or {}), {"width": width, "height": height, "time_unit": time_unit}
    times = TimeOrder() if times is None else times
    try:
        stream = EventStream(**columns, **sensor, notes=notes)
    except DecreasingTime:
        if on_disorder == "error":
            raise
    else:
        if times.last_us is None or not len(stream) or stream.t[0] >= times.last_us:
            times.raise_times(stream.t, decreases=False)
            return stream
        if on_disorder == "error":
            raise DecreasingTime(f"time decreases at the first event: {times.last_us} us, then {stream.t[0]} us")
    time = np.asarray(columns["t"]).astype(np.int64)
    if on_disorder == "sort":
        _, count = TimeOrder().raise_times(time)
        indices = np.argsort(time, kind="stable")
        columns = {name: np.asarray(column)[indices] for name, column in columns.items()}
        return EventStream(**columns, **sensor, notes=notes | {"sorted": count})
    raised, count = times.raise_times(time)
    return EventStream(**{**columns, "t": raised}, **sensor, notes=notes | {"backwards": count})
