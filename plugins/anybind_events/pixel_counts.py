"""Numbers of events at pixels: of a stream, and of a window that moves along one."""

from __future__ import annotations

import numpy as np

from anybind_events.kernels import add_to_counts
from anybind_events.representations.kernels import count_events
from anybind_events.stream import EventStream


class CountedStream(EventStream):
    """A stream whose events were counted as they arrived; of its views, the events are counted again.

    Attributes:
        pixel_counts: as `count_pixels`; None for views.
    """

    pixel_counts: np.ndarray | None = None


def count_pixels(stream: EventStream) -> np.ndarray:
    """Return the number of events at each pixel, (height, width) uint32; not to be changed."""
    if isinstance(stream, CountedStream) and stream.pixel_counts is not None:
        return stream.pixel_counts
    counts = np.zeros(stream.width * stream.height, np.uint32)
    count_events(stream.x, stream.y, stream.width, counts, np.zeros(counts.size, np.uint8))
    return counts.reshape(stream.height, stream.width)


class MovingCounts:
    """Numbers of events at each pixel of a window, from which events leave as others enter it.

    Attributes:
        n_events: number of events that are counted.
    """

    def __init__(self, width: int, height: int) -> None:
        self._counts = np.zeros((height, width), np.uint32)
        self.n_events = 0

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Count events that enter the window."""
        add_to_counts(x, y, np.uint32(1), self._counts)
        self.n_events += len(x)

    def remove(self, x: np.ndarray, y: np.ndarray) -> None:
        """Subtract events that leave the window."""
        if len(x) == self.n_events:
            self._counts.fill(0)
        else:
            add_to_counts(x, y, np.uint32((1 << 32) - 1), self._counts)  # -1: sums wrap around
        self.n_events -= len(x)

    def attach(self, stream: EventStream) -> CountedStream:
        """Return a stream of the events that are counted, with a copy of the counts."""
        columns = stream.x, stream.y, stream.t, stream.p
        counted = CountedStream.from_valid(*columns, stream.width, stream.height)
        vars(counted)["pixel_counts"] = self._counts.copy()
        return counted
