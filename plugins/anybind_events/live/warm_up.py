"""Made-up windows, with which all that a window needs runs once before a source starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from anybind.plugin import windows
from anybind_events.live_source import LiveSource
from anybind_events.stream import EventStream

N_WINDOWS = 2
"""Windows of a warm-up: events leave before the second one."""
N_OBJECTS, OBJECT_SIDE = 8, 8
"""Objects along each side of the sensor, and their side in pixels: each filter leaves events of some of them."""
BURST_EVENTS, BURST_US = 1 << 14, 30_000
UNKNOWN_SIZE = 640, 480
"""Sensor that is assumed where a source does not know its own before it starts."""
PIXEL_BYTES = 128
"""Bytes of memory to touch for each pixel: two arrays of 13 bytes an event, for about five events a pixel."""
MAX_TOUCHED_BYTES = 1 << 28


class MadeUpSource(LiveSource):
    """Small objects all over the sensor, which move at the beginning of each window."""

    def __init__(self, size: tuple[int, int], length: windows.WindowLength, stride: windows.WindowLength) -> None:
        """Set the sensor, (width, height), and the windows."""
        self._size = size
        self._step_us = BURST_US if stride.in_events else stride.size
        self._end_us = 0 if length.in_events else (N_WINDOWS - 1) * stride.size + length.size

    @property
    def settings(self) -> Mapping[str, object]:
        return {}

    def chunks(self) -> Iterator[EventStream]:
        (width, height), size = self._size, np.array(self._size)[:, None]
        random, number = np.random.default_rng(0), np.arange(BURST_EVENTS)
        t = number * min(BURST_US, self._step_us) // BURST_EVENTS
        for _ in range(N_WINDOWS):
            corners = random.integers(0, N_OBJECTS, (2, BURST_EVENTS)) * size // N_OBJECTS
            offsets = random.integers(0, OBJECT_SIDE, (2, BURST_EVENTS)) + number * OBJECT_SIDE // BURST_EVENTS
            x, y = ((corners + offsets) % size).astype(np.uint16)
            yield EventStream.from_valid(x, y, t, random.random(BURST_EVENTS) < 0.5, width, height)
            t = t + self._step_us
        last = np.zeros(1, np.uint16)
        yield EventStream.from_valid(last, last, np.maximum(t[-1:], self._end_us), last > 0, width, height)
