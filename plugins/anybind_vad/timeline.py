"""The timeline of a film: scores and event rates as lines for a page, with the times below them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anybind_vad.segments import Segment

WIDTH, HEIGHT = 1000, 100
"""Of a chart, in its own units; a page stretches it."""
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000, 86400)
"""Distances of ticks, in seconds."""
TICKS = 8
"""Most ticks."""
ROOM = 0.9
"""Ticks lie before this share of the film, so that the last time can be read on a narrow page."""


@dataclass(frozen=True)
class Chart:
    """A line over time.

    Attributes:
        line: points of the line, as an SVG polyline takes them.
        area: points of the polygon between the line and the bottom.
        low, high: values at the bottom and at the top.
    """

    line: str
    area: str
    low: float
    high: float

    def height_of(self, value: float) -> float:
        """Where a value lies, from the top, in the chart's units."""
        return round(HEIGHT * (1 - (value - self.low) / (self.high - self.low)), 2)


def chart(times_us: np.ndarray, end_us: int, values: np.ndarray, at_least: float = 0.0) -> Chart:
    """The line of values that each last from their own time to the next one's.

    The film's time goes into 1000 columns, and of each the largest value is drawn, so that nothing high is lost.

    Args:
        times_us: (n,), never falling, the first at 0.
        end_us: when the last value ends.
        values: (n,), finite.
        at_least: a value that must fit into the chart.
    """
    columns = np.floor(times_us / max(end_us, 1) * WIDTH).astype(int).clip(0, WIDTH - 1)
    heights = np.full(WIDTH, -np.inf)
    np.maximum.at(heights, columns, values)
    behind = np.maximum.accumulate(np.where(np.isfinite(heights), np.arange(WIDTH), 0))
    heights = heights[behind]  # where no value begins, the last one lasts
    low, high = min(0.0, float(values.min())), max(float(values.max()), at_least)
    blank = Chart("", "", low, high if high > low else low + 1)
    corners = [0, *(np.flatnonzero(np.diff(heights)) + 1).tolist(), WIDTH]
    points = [
        f"{x},{blank.height_of(heights[begin])}" for begin, stop in itertools.pairwise(corners) for x in (begin, stop)
    ]
    return Chart(" ".join(points), " ".join([f"0,{HEIGHT}", *points, f"{WIDTH},{HEIGHT}"]), blank.low, blank.high)


def ticks(end_us: int) -> list[tuple[float, str]]:
    """Round times over a film of this length: where each lies, in percent, and how it reads."""
    if not end_us:
        return [(0.0, clock(0))]
    end = end_us / 1e6
    step = next((step for step in STEPS_S if end / step <= TICKS), end)
    places = np.arange(0, ROOM * end, step)
    return [(round(100 * place / end, 3), clock(place, step < 1)) for place in places.tolist()]


def clock(seconds: float, tenths: bool = False) -> str:
    """A time as people read it: `0:07`, `12:30`, `1:02:03`, and `0:07.3` with tenths."""
    count = round(seconds * 10) if tenths else int(seconds + 1e-9) * 10
    whole, tenth = divmod(count, 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    told = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{told}.{tenth}" if tenths else told


def bands(segments: Sequence[Segment], end_us: int, least: float = 2.0) -> list[tuple[float, float]]:
    """Where segments begin on a chart, and how wide they are: `least` units at the least, so that each is seen."""
    scale = WIDTH / max(end_us / 1e6, 1e-9)
    return [
        (round(segment.start * scale, 2), round(max(least, (segment.end - segment.start) * scale), 2))
        for segment in segments
    ]
