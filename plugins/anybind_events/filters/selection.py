"""`polarity` and `region`: keep events of one polarity, or of a rectangle of the sensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from anybind.plugin import BadOption
from anybind_events.event_columns import MAX_SENSOR
from anybind_events.filter import Filter, FilterRun
from anybind_events.filters.blocks import select_events
from anybind_events.filters.checks import check_choice, check_whole
from anybind_events.filters.kernels import mark_region
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class Polarity(Filter):
    """A filter that keeps the events of one polarity.

    Attributes:
        keep: `on` or `off`.

    Raises:
        BadOption: another text.
    """

    keep: str

    def __post_init__(self) -> None:
        check_choice("keep", self.keep, ("on", "off"))

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        def mark(block: EventStream, marks: np.ndarray) -> None:
            np.equal(block.p, self.keep == "on", out=marks, casting="unsafe")

        return lambda stream: select_events(stream, mark)


@dataclass(frozen=True)
class Region(Filter):
    """A filter that keeps the events in a rectangle, on the same sensor; `--roi` crops the sensor to it instead.

    Attributes:
        x, y: column and row of the upper left corner, in pixels.
        width, height: in pixels, 1 or more.

    Raises:
        BadOption: an option out of its range; `start` raises it for a rectangle that exceeds the sensor.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        for name, low in (("x", 0), ("y", 0), ("width", 1), ("height", 1)):
            check_whole(name, getattr(self, name), low, MAX_SENSOR)

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        right, bottom = self.x + self.width, self.y + self.height
        if right > width or bottom > height:
            raise BadOption(
                f"region: {self.width}x{self.height} at ({self.x}, {self.y}) exceeds the sensor {width}x{height}"
            )

        def mark(block: EventStream, marks: np.ndarray) -> None:
            mark_region(block.x, block.y, self.x, self.y, right, bottom, marks)

        return lambda stream: select_events(stream, mark)
