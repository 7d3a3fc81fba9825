"""Event counts, falls and rises apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames
from anybind_events.representations.kernels import count_polarities, to_shares
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class PolarityHistogram(EventFrames):
    """Falls and rises at each pixel over all time: channel 0 and channel 1.

    The values are counts, 0 and above, or, normalised, in [0, 1].

    Attributes:
        normalise: divide both channels by the largest count of either; a recording without events stays 0.
    """

    name: ClassVar[str] = "polarity-histogram"
    channels: ClassVar[int] = 2
    normalise: bool = False

    def fill(self, stream: EventStream, frame: np.ndarray) -> None:
        counts = frame.reshape(-1).view(np.uint32)
        count_polarities(stream.x, stream.y, stream.p, stream.width, counts, np.zeros(len(counts), np.uint8))
        to_shares(counts, math.inf, max(float(counts.max()), 1.0) if self.normalise else 1.0, False)
