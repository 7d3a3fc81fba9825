"""`hot-pixel` and `dead-pixel`: drop the events of hot pixels and fill dead ones, which they learn from the stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from anybind_events.filter import Filter, FilterRun
from anybind_events.filters.blocks import create_map, duplicate_events, select_events
from anybind_events.filters.checks import check_number, check_whole
from anybind_events.filters.kernels import find_dead_pairs, mark_cool
from anybind_events.stream import EventStream

CHECK_EVENTS = 8
"""Number of a pixel's events after which it is checked again: often enough, and almost free."""


@dataclass(frozen=True)
class HotPixel(Filter):
    """A filter of hot pixels: it drops the events of a pixel that has many more than its neighbours.

    A pixel is hot when it has had a number of events that is a multiple of the mean of its 8 neighbours plus one. That
    is checked with every 8th event of the pixel, so a hot pixel passes its first events, and one that is no longer an
    outlier comes back. The rule is that of `anybind_events.measure_activity`; jAER's `HotPixelFilter` instead takes the
    most active pixels of a learning period, whatever their neighbours do.

    Attributes:
        ratio: multiple of the mean of the neighbours plus one, 1 to 1e6.
        events: number of events from which a pixel can be hot, 1 to 1e9.

    Raises:
        BadOption: an option out of its range.
    """

    ratio: float = 5.0
    events: int = 16

    def __post_init__(self) -> None:
        check_number("ratio", self.ratio, 1, 1e6)
        check_whole("events", self.events, 1, 1_000_000_000)

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        pixels = (width + 2) * (height + 2)
        counts, hot = create_map(pixels, np.uint32), create_map(pixels, np.uint8)

        def mark(block: EventStream, marks: np.ndarray) -> None:
            mark_cool(block.x, block.y, width, height, counts, hot, float(self.ratio), self.events, CHECK_EVENTS, marks)

        return lambda stream: select_events(stream, mark)


@dataclass(frozen=True)
class DeadPixel(Filter):
    """A filter that fills dead pixels: each event beside one is repeated on it.

    A pixel is dead while it has no event although its 8 neighbours have had a number of events on average. Columns form
    pairs, 0 and 1, 2 and 3 and so on, and a dead pixel gets the events of the other one of its pair, as the
    nearest-neighbour correction of dead pixels in images; the last column of an odd width has none. The rule is ours.

    Attributes:
        events: mean number of events of the neighbours from which a pixel without events is dead, 1 to 1e9.

    Raises:
        BadOption: the number is out of its range.
    """

    events: int = 16

    def __post_init__(self) -> None:
        check_whole("events", self.events, 1, 1_000_000_000)

    @property
    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def start(self, width: int, height: int) -> FilterRun:
        pixels = (width + 2) * (height + 2)
        counts, dead = create_map(pixels, np.uint32), create_map(pixels, np.uint8)

        def mark(block: EventStream, marks: np.ndarray) -> None:
            find_dead_pairs(block.x, block.y, width, height, counts, dead, self.events, CHECK_EVENTS, marks)

        return lambda stream: duplicate_events(stream, mark)
