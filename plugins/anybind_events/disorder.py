"""One policy for decreasing times of event columns: raise them to the previous time, sort the events, or fail."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadOption, errors
from anybind_events.event_columns import DecreasingTime
from anybind_events.stream import EventStream
from anybind_events.time_unit import TimeUnit

POLICIES = ("clamp", "sort", "error")
"""Values of the option `on_disorder`; the first is the default, and what the binary formats do."""

MIN_JUDGED_EVENTS, MAX_RAISED = 20, 0.5
"""Events from which on raised times are judged, and their largest fraction without a warning."""


def check_policy(on_disorder: str) -> None:
    """Raise `BadOption` for an unknown policy."""
    if on_disorder not in POLICIES:
        hint = errors.suggest_names(str(on_disorder), POLICIES)
        raise BadOption(f"on_disorder: expected {', '.join(POLICIES)}, got {on_disorder!r}{hint}")


def is_mostly_raised(count: int, n_events: int) -> bool:
    """Return whether so many raised times are worth a warning."""
    return n_events >= MIN_JUDGED_EVENTS and count > MAX_RAISED * n_events


def build_ordered_stream(
    columns: Mapping[str, np.ndarray],
    width: int,
    height: int,
    on_disorder: str,
    *,
    last_us: int | None = None,
    notes: Mapping[str, int] | None = None,
    time_unit: TimeUnit | None = None,
    source: str = "events",
    warn: bool = True,
) -> EventStream:
    """Build a stream of columns, and repair decreasing times by a policy; only these cost a second pass.

    Args:
        columns: `x`, `y`, `t` (microseconds) and `p`, each (n,); see `EventStream`.
        width: sensor width in pixels.
        height: sensor height in pixels.
        on_disorder: `clamp` raises a decreasing time to the previous one, and notes the number of these events as
            `backwards`; `sort` sorts the events by time, in a stable way, and notes that number as `sorted`; `error`
            raises.
        last_us: time of the event before the first one, in microseconds; `sort` requires None.
        notes: further notes of the stream.
        time_unit: the unit that the times had in the file, for the stream.
        source: the file or array, for the warning that most times were raised.
        warn: warn of that; for chunks, once a recording.

    Raises:
        BadInput: as `EventStream`.
    """
    notes, sensor = dict(notes or {}), {"width": width, "height": height, "time_unit": time_unit}
    try:
        stream = EventStream(**columns, **sensor, notes=notes)
    except DecreasingTime:
        if on_disorder == "error":
            raise
    else:
        if last_us is None or not len(stream) or stream.t[0] >= last_us:
            return stream
        if on_disorder == "error":
            raise DecreasingTime(f"time decreases at the first event: {last_us} us, then {stream.t[0]} us")
    time = np.asarray(columns["t"]).astype(np.int64)
    raised = np.maximum.accumulate(time)
    if last_us is not None:
        np.maximum(raised, last_us, out=raised)
    count = int(np.count_nonzero(time < raised))
    if on_disorder == "sort":
        indices = np.argsort(time, kind="stable")
        columns = {name: np.asarray(column)[indices] for name, column in columns.items()}
        return EventStream(**columns, **sensor, notes=notes | {"sorted": count})
    if warn and is_mostly_raised(count, len(time)):
        message = f"{source}: {count} of {len(time)} times decrease and were raised to the previous one"
        warnings.warn(f"{message}; give on_disorder='sort' to sort the events", AnybindWarning, stacklevel=2)
    return EventStream(**{**columns, "t": raised}, **sensor, notes=notes | {"backwards": count})
