"""`flicker`: drop events of pixels that see a flickering light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from anybind_events.filter import Filter, FilterRun
from anybind_events.filters.blocks import Clock, select_events
from anybind_events.filters.checks import check_number, check_whole
from anybind_events.filters.kernels import mark_steady
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class Flicker(Filter):
    """A filter of flickering light: it drops the events of pixels that change with a steady period.

    A period lies between two changes of a pixel from OFF to ON events. It is steady if its frequency is in the band and
    it differs little from the period before. A pixel flickers from a number of steady periods on; each other period
    takes back two, and a pause of two of the longest periods all. As the anti-flicker filter of Prophesee's sensors
    (docs.prophesee.ai, "Event Signal Processing"), with bursts and periods as in `FrequencyAlgorithm`'s description
    there; the rule of taking back is ours. The first periods of a flicker pass. Wang et al., "A linear comb filter for
    event flicker removal" (ICRA 2022) subtract the flicker instead of dropping the pixel's events.

    Attributes:
        min_hz, max_hz: band of frequencies, 1 to 5000 Hz; lamps on mains of 50 and 60 Hz flicker at 100 and 120 Hz.
        tolerance: largest difference of two periods, as a fraction of the later one, 0 to 1.
        periods: number of steady periods from which a pixel flickers, 1 to 100.

    Raises:
        BadOption: an option out of its range, or a band without frequencies.
    """

    min_hz: float = 90.0
    max_hz: float = 130.0
    tolerance: float = 0.2
    periods: int = 3

    def __post_init__(self) -> None:
        check_number("min_hz", self.min_hz, 1, 5_000)
        check_number("max_hz", self.max_hz, self.min_hz, 5_000)
        check_number("tolerance", self.tolerance, 0, 1)
        check_whole("periods", self.periods, 1, 100)

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        clock, polarities = Clock(width * height), np.ones(width * height, np.bool_)
        periods, scores = np.zeros(width * height, np.int32), np.zeros(width * height, np.uint8)
        shortest, longest = round(1e6 / self.max_hz), round(1e6 / self.min_hz)

        def mark_part(part: EventStream, base: int, marks: np.ndarray) -> None:
            mark_steady(
                part.x, part.y, part.t, part.p, base, width, clock.times, polarities, periods, scores,
                shortest, longest, self.tolerance, self.periods, marks,
            )  # fmt: skip

        return lambda stream: select_events(stream, clock.divide(mark_part))
