"""Event counts, OFF and ON apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames
from anybind_events.representations.kernels import count_polarities, normalize_counts
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class PolarityHistogram(EventFrames):
    """OFF and ON counts of each pixel over all time: channels 0 and 1.

    The values are counts, 0 and above, or in [0, 1] if normalised.

    Attributes:
        normalise: divide both channels by the largest count of either; a recording without events stays 0.
    """

    name: ClassVar[str] = "polarity-histogram"
    channels: ClassVar[int] = 2
    normalise: bool = False

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        counts = frame.reshape(-1).view(np.uint32)
        count_polarities(stream.x, stream.y, stream.p, stream.width, counts, np.zeros(len(counts), np.uint8))
        normalize_counts(counts, math.inf, max(float(counts.max()), 1.0) if self.normalise else 1.0, False)
