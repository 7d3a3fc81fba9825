"""`background-activity`: keep events that recent events of neighbouring pixels support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from anybind_events.filter import Filter, FilterRun
from anybind_events.filters.blocks import LONGEST_US, Clock, select_events
from anybind_events.filters.checks import check_whole
from anybind_events.filters.kernels import mark_supported
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class BackgroundActivity(Filter):
    """A filter of noise: it keeps an event if the 8 neighbours of its pixel had events shortly before.

    With a support of 1 it is the background activity filter of Delbruck, "Frame-free dynamic digital vision" (2008);
    with more, the spatio-temporal correlation filter of Guo and Delbruck, "Low cost and latency event camera background
    activity denoising" (TPAMI 2022). All events count as support, also those that are dropped, but not those of the
    pixel itself.

    Attributes:
        duration_us: how long an event supports its neighbours, microseconds, 1 to 2**29.
        support: number of neighbours that must support an event, 1 to 8.

    Raises:
        BadOption: an option out of its range.
    """

    duration_us: int = 5_000
    support: int = 1

    def __post_init__(self) -> None:
        check_whole("duration_us", self.duration_us, 1, LONGEST_US)
        check_whole("support", self.support, 1, 8)

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        stride = width + 2
        clock = Clock(stride * (height + 2))

        def mark_part(part: EventStream, base: int, marks: np.ndarray) -> None:
            mark_supported(part.x, part.y, part.t, base, stride, clock.times, self.duration_us, self.support, marks)

        return lambda stream: select_events(stream, clock.divide(mark_part))
