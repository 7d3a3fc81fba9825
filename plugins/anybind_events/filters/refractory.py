"""`refractory`: drop events of a pixel that follow another one too soon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from anybind_events.filter import Filter, FilterRun
from anybind_events.filters.blocks import LONGEST_US, Clock, select_events
from anybind_events.filters.checks import check_whole
from anybind_events.filters.kernels import mark_rested
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class Refractory(Filter):
    """A filter with a refractory period: it keeps an event if its pixel kept none within the period before.

    As the refractory period of a sensor's pixel, which starts with each event that is sent (Lichtsteiner et al., "A
    128x128 120 dB 15 us latency asynchronous temporal contrast vision sensor", 2008): dropped events do not extend it.

    Attributes:
        period_us: microseconds, 1 to 2**29; an event exactly a period later is kept.

    Raises:
        BadOption: the period is out of its range.
    """

    period_us: int = 1_000

    def __post_init__(self) -> None:
        check_whole("period_us", self.period_us, 1, LONGEST_US)

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        clock = Clock(width * height)

        def mark_part(part: EventStream, base: int, marks: np.ndarray) -> None:
            mark_rested(part.x, part.y, part.t, base, width, clock.times, self.period_us, marks)

        return lambda stream: select_events(stream, clock.divide(mark_part))
