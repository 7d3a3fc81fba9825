"""Time surface: how long ago each pixel last saw something."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames, positive
from anybind_events.representations.kernels import last_times, to_decays
from anybind_events.stream import EventStream

OLDEST = 104
"""exp(-104) is 0 in float32, so that events of so many time constants ago need not be read."""


@dataclass(frozen=True)
class TimeSurface(EventFrames):
    """`exp(-(t_end - t_last) / tau)` of each pixel's last fall and last rise, channel 0 and 1.

    t_end is the time of the recording's last event. The value range is [0, 1]: 1 for an event at the end, 0 where
    there was none. (Lagorce et al., 2016, "HOTS", Eq. 3, over the whole sensor.)

    Attributes:
        tau: the time in which a value falls to 1/e, in microseconds.
    """

    name: ClassVar[str] = "time-surface"
    channels: ClassVar[int] = 2
    tau: float = 50_000.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", positive("tau", self.tau))

    def fill(self, stream: EventStream, frame: np.ndarray) -> None:
        if not len(stream):
            return
        end = int(stream.t[-1])
        if stream.duration_us > OLDEST * self.tau:
            stream = stream.part(bisect_left(stream.t, end - OLDEST * self.tau), len(stream))
        start = int(stream.t[0])
        # 32 bits hold 71 minutes of microseconds. Over more, the unit is coarser, which at such a tau is
        # less than float32 can tell.
        shift = max((end - start + 1).bit_length() - 32, 0)
        last = frame.reshape(-1).view(np.uint32)
        last_times(stream.x, stream.y, stream.t, stream.p, stream.width, start, shift, last)
        to_decays(last, ((end - start) >> shift) + 1, 2**shift / self.tau)
        np.exp(frame, out=frame)
