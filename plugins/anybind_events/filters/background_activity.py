"""`background-activity`: keep events that recent events of neighbouring pixels support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from anybind_events.filter import Filter, FilterRun
from anybind_events.filters.blocks import LONGEST_US, Clock, select_events
from anybind_events.filters.checks import check_choice, check_whole
from anybind_events.filters.kernels import mark_supported
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class BackgroundActivity(Filter):
    """A filter of noise: it keeps an event if enough of the 8 neighbours of its pixel had an event shortly before.

    The spatio-temporal correlation filter of Guo and Delbruck, "Low cost and latency event camera background activity
    denoising" (TPAMI 2022), here with polarity: the last event of a neighbour counts if it has the event's. With
    `support=1` and `same_polarity=false` it is the background activity filter of Delbruck, "Frame-free dynamic digital
    vision" (2008). All events count as support, also those that are dropped, but not those of the pixel itself.

    Attributes:
        duration_us: how long an event supports its neighbours, microseconds, 1 to 2**29.
        support: number of neighbours that must support an event, 1 to 8.
        same_polarity: whether only neighbours whose last event has the event's polarity support it.

    Raises:
        BadOption: an option out of its range.
    """

    duration_us: int = 20_000
    support: int = 2
    same_polarity: bool = True

    def __post_init__(self) -> None:
        check_whole("duration_us", self.duration_us, 1, LONGEST_US)
        check_whole("support", self.support, 1, 8)
        check_choice("same_polarity", self.same_polarity, (True, False))

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        stride = width + 2
        clock = Clock(stride * (height + 2))

        def mark_part(part: EventStream, base: int, marks: np.ndarray) -> None:
            mark_supported(
                part.x, part.y, part.t, part.p, base, stride, clock.times,
                self.duration_us, self.support, self.same_polarity, marks,
            )  # fmt: skip

        return lambda stream: select_events(stream, clock.divide(mark_part))
