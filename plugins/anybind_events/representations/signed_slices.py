"""Parts of a recording as the colours of one picture: what rose and what fell in each."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption
from anybind_events.representations.frames import EventFrames, at_least, percentile_of_busy, positive
from anybind_events.representations.kernels import sum_polarities, to_levels
from anybind_events.stream import EventStream

LIMIT_PERCENTILE = 95.0


@dataclass(frozen=True)
class SignedSlices(EventFrames):
    """Rises less falls, s, in parts of equal duration, a channel each, as `0.5 + 0.5 * clip(s / limit, -1, 1)`.

    The value range is [0, 1]; 0.5 is where nothing happened, or as much rose as fell. With three parts the frame is
    an RGB picture whose colours say when: an edge that moves leaves red, green and blue behind each other.

    Attributes:
        parts: how many, of the time from the first event to the last.
        limit: the sum that becomes 0 or 1, as a number.
        limit_percentile: or as a percentile, 0 to 100, of |s| over all pixels of all parts where it is not 0;
            the 95th when neither is given.
    """

    name: ClassVar[str] = "signed-slices"
    parts: int = 3
    limit: float | None = None
    limit_percentile: float | None = None

    def __post_init__(self) -> None:
        at_least(1, "parts", self.parts)
        if self.limit is not None and self.limit_percentile is not None:
            raise BadOption("give limit or limit_percentile, not both")
        if self.limit is not None:
            object.__setattr__(self, "limit", positive("limit", self.limit))
        else:
            given = LIMIT_PERCENTILE if self.limit_percentile is None else self.limit_percentile
            object.__setattr__(self, "limit_percentile", positive("limit_percentile", given, most=100))

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        return self.parts, height, width

    def fill(self, stream: EventStream, frame: np.ndarray) -> None:
        sums = frame.reshape(self.parts, -1).view(np.int32)
        first = 0
        for number, of_part in enumerate(sums, 1):
            last = self._end(stream, number)
            part = stream.part(first, last)
            sum_polarities(part.x, part.y, part.p, stream.width, of_part)
            first = last
        limit = self.limit if self.limit_percentile is None else percentile_of_busy(sums, self.limit_percentile)
        to_levels(sums.reshape(-1), limit or 1.0)

    def _end(self, stream: EventStream, parts: int) -> int:
        """How many events there are in the first so many parts; the last microsecond is one of the last part."""
        if parts == self.parts or not len(stream):
            return len(stream)
        past = -(-parts * (stream.duration_us + 1) // self.parts)
        return bisect_left(stream.t, int(stream.t[0]) + past)
