"""Time surface: time since the last event of each pixel."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames, check_positive
from anybind_events.representations.kernels import compute_exponents, record_last_times
from anybind_events.stream import EventStream

MAX_AGE = 104
"""exp(-104) is 0 in float32: events older than so many time constants do not matter."""


@dataclass(frozen=True)
class TimeSurface(EventFrames):
    """`exp(-(t_end - t_last) / tau)` of each pixel's last OFF and last ON event, channels 0 and 1.

    t_end is the time of the recording's last event. The value range is [0, 1]: 1 for an event at the end, 0 without
    events. (Lagorce et al., 2016, "HOTS", Eq. 3, over the whole sensor.)

    Attributes:
        tau: time constant in microseconds.
    """

    name: ClassVar[str] = "time-surface"
    channels: ClassVar[int] = 2
    tau: float = 50_000.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", check_positive("tau", self.tau))

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        if not len(stream):
            return
        end = int(stream.t[-1])
        if stream.duration_us > MAX_AGE * self.tau:
            stream = stream.slice_events(bisect_left(stream.t, end - MAX_AGE * self.tau), len(stream))
        start = int(stream.t[0])
        # 32 bits hold 71 minutes of microseconds. Longer recordings use a coarser unit, below float32 resolution at
        # such a tau.
        shift = max((end - start + 1).bit_length() - 32, 0)
        last = frame.reshape(-1).view(np.uint32)
        record_last_times(stream.x, stream.y, stream.t, stream.p, stream.width, start, shift, last)
        compute_exponents(last, ((end - start) >> shift) + 1, 2**shift / self.tau)
        np.exp(frame, out=frame)
