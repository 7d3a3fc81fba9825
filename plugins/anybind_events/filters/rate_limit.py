"""`rate-limit`: bound the event rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from anybind_events.filter import Filter, FilterRun
from anybind_events.filters.blocks import LONGEST_US, select_events
from anybind_events.filters.checks import check_number, check_whole
from anybind_events.simulation.pixels import limit_event_rate
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class RateLimit(Filter):
    """A filter that bounds the event rate by a token bucket, as the arbiter of a sensor does.

    The bucket fills at the rate and holds the events of a burst; an event takes one token, or is dropped if there is
    none (Turner, "New directions in communications", 1986).

    Attributes:
        rate: events per second, above 0 to 1e12.
        burst_us: microseconds of events at the rate that the bucket holds, 1 to 2**29; it holds 1 event at least.

    Raises:
        BadOption: an option out of its range.
    """

    rate: float
    burst_us: int = 1_000

    def __post_init__(self) -> None:
        check_number("rate", self.rate, 1e-6, 1e12)
        check_whole("burst_us", self.burst_us, 1, LONGEST_US)

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        per_us = self.rate * 1e-6
        bucket = np.array([max(1.0, per_us * self.burst_us), -np.inf])

        def mark(block: EventStream, marks: np.ndarray) -> None:
            if not np.isfinite(bucket[1]):
                bucket[1] = block.t[0]  # the bucket is full at the first event
            marks[:] = limit_event_rate(block.t, per_us, float(self.burst_us), bucket)

        return lambda stream: select_events(stream, mark)
