"""The timeline of a film: scores and event rates as lines for a page, with the times below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anybind.plugin import charts
from anybind_vad.segments import Segment

HEIGHT = 100
"""Of a chart, in its own units; a page stretches it."""
clock = charts.clock


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
    """The line of values that each last from their own time to the next one's; see `charts.step_line`.

    Args:
        times_us: (n,), never falling, the first at 0.
        end_us: when the last value ends.
        values: (n,), finite.
        at_least: a value that must fit into the chart.
    """
    corners, low, high = charts.step_line(times_us / 1e6, end_us / 1e6, values, at_least=at_least, height=HEIGHT)
    line = " ".join(f"{x},{y}" for x, y in corners)
    return Chart(line, f"0,{HEIGHT} {line} {charts.COLUMNS},{HEIGHT}", low, high)


def ticks(end_us: int) -> list[tuple[float, str]]:
    """Round times over a film of this length: where each lies, in percent, and how it reads."""
    axis = charts.Axis.of_time(end_us / 1e6)
    return [(axis.place(value), text) for value, text in axis.ticks]


def bands(segments: Sequence[Segment], end_us: int) -> list[tuple[float, float]]:
    """Where segments begin on a chart, and how wide they are: 2 units at the least, so that each is seen."""
    return charts.step_bands([(segment.start, segment.end) for segment in segments], end_us / 1e6)
