"""Time slices of a recording as channels: ON minus OFF events in each."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption
from anybind_events.representations.frames import EventFrames, check_minimum, check_positive, compute_nonzero_percentile
from anybind_events.representations.kernels import map_to_levels, sum_polarities
from anybind_events.stream import EventStream

LIMIT_PERCENTILE = 95.0


@dataclass(frozen=True)
class SignedSlices(EventFrames):
    """ON minus OFF events, s, in time slices, a channel each, as `0.5 + 0.5 * clip(s / limit, -1, 1)`.

    The value range is [0, 1]; 0.5 means no events, or as many ON as OFF events. With three slices the frame is an RGB
    image whose colours encode time: a moving edge leaves red, green and blue traces behind each other.

    Attributes:
        parts: number of slices of the time from the first event to the last.
        limit: sum that becomes 0 or 1, as a number.
        limit_percentile: the limit as a percentile, 0 to 100, of the non-zero |s| over all pixels and slices; default:
            95 if `limit` is not given.
    """

    name: ClassVar[str] = "signed-slices"
    parts: int = 3
    limit: float | None = None
    limit_percentile: float | None = None

    def __post_init__(self) -> None:
        check_minimum(1, "parts", self.parts)
        if self.limit is not None and self.limit_percentile is not None:
            raise BadOption("give limit or limit_percentile, not both")
        if self.limit is not None:
            object.__setattr__(self, "limit", check_positive("limit", self.limit))
        else:
            percentile = LIMIT_PERCENTILE if self.limit_percentile is None else self.limit_percentile
            object.__setattr__(self, "limit_percentile", check_positive("limit_percentile", percentile, maximum=100))

    def compute_shape(self, width: int, height: int) -> tuple[int, int, int]:
        return self.parts, height, width

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        sums = frame.reshape(self.parts, -1).view(np.int32)
        first = 0
        for number, slice_sums in enumerate(sums, 1):
            last = self._find_slice_end(stream, number)
            events = stream.slice_events(first, last)
            sum_polarities(events.x, events.y, events.p, stream.width, slice_sums)
            first = last
        limit = self.limit if self.limit_percentile is None else compute_nonzero_percentile(sums, self.limit_percentile)
        map_to_levels(sums.reshape(-1), limit or 1.0)

    def _find_slice_end(self, stream: EventStream, parts: int) -> int:
        """Return the number of events in the first `parts` slices; the last microsecond belongs to the last slice."""
        if parts == self.parts or not len(stream):
            return len(stream)
        offset_us = -(-parts * (stream.duration_us + 1) // self.parts)
        return bisect_left(stream.t, int(stream.t[0]) + offset_us)
