"""`trail` and `spatio-temporal-contrast`: thin out bursts, the events of one polarity of a pixel in a short time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from anybind_events.filter import Filter, FilterRun
from anybind_events.filters.blocks import LONGEST_US, Clock, select_events
from anybind_events.filters.checks import check_choice, check_whole
from anybind_events.filters.kernels import mark_bursts, mark_trails
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class Trail(Filter):
    """A filter of redundant events: of each burst it keeps the first event.

    An event belongs to the burst of the pixel's last event if it has the same polarity and comes at most the duration
    after it. As the event trail filter of Prophesee's sensors (docs.prophesee.ai, "Event Signal Processing").

    Attributes:
        duration_us: microseconds, 1 to 2**29.

    Raises:
        BadOption: the duration is out of its range.
    """

    duration_us: int = 10_000

    def __post_init__(self) -> None:
        check_whole("duration_us", self.duration_us, 1, LONGEST_US)

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        clock, polarities = Clock(width * height), np.zeros(width * height, np.bool_)

        def mark_part(part: EventStream, base: int, marks: np.ndarray) -> None:
            mark_trails(part.x, part.y, part.t, part.p, base, width, clock.times, polarities, self.duration_us, marks)

        return lambda stream: select_events(stream, clock.divide(mark_part))


@dataclass(frozen=True)
class SpatioTemporalContrast(Filter):
    """A filter of isolated events: of each burst it keeps the second event, which the first one confirms.

    Bursts are those of `Trail`. As the spatio-temporal contrast (STC) filter of Prophesee's sensors (docs.prophesee.ai,
    "Event Signal Processing"): a real edge gives several events of a polarity, noise single ones.

    Attributes:
        duration_us: microseconds, 1 to 2**29.
        cut_trail: drop the third event of a burst and those after it.

    Raises:
        BadOption: the duration is out of its range, or `cut_trail` is neither true nor false.
    """

    duration_us: int = 10_000
    cut_trail: bool = True

    def __post_init__(self) -> None:
        check_whole("duration_us", self.duration_us, 1, LONGEST_US)
        check_choice("cut_trail", self.cut_trail, (True, False))

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        clock, lengths = Clock(width * height), np.zeros(width * height, np.uint8)

        def mark_part(part: EventStream, base: int, marks: np.ndarray) -> None:
            mark_bursts(
                part.x, part.y, part.t, part.p, base, width, clock.times, lengths, self.duration_us, self.cut_trail,
                marks,
            )  # fmt: skip

        return lambda stream: select_events(stream, clock.divide(mark_part))
