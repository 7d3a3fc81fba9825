"""Event voxel grid (Zhu et al., 2019): polarity in space and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames, check_minimum
from anybind_events.representations.kernels import sum_polarities
from anybind_events.representations.tiles import add_voxels_by_tiles, needs_tiles
from anybind_events.representations.voxel_kernels import add_exact_voxels, add_voxels, standardize_sums
from anybind_events.stream import EventStream

ZERO_TOLERANCE = 1e-6
"""Largest sum of events that counts as 0 in normalisation, where float32 sums have no digits left."""
MAX_WEIGHT_BITS = 40
"""Bits of a weight in whole numbers: 12 days in microseconds, of which 2^23 per voxel fit into 64 bits."""


@dataclass(frozen=True)
class VoxelGrid(EventFrames):
    """Polarity, +1 or -1, split between the two time bins next to each event.

    Time is scaled to 0 for the first event and `bins - 1` for the last, t' in between, in float64; bin b gets
    `sum_i p_i max(0, 1 - |b - t'_i|)` (Zhu et al., 2019, "Unsupervised event-based learning of optical flow, depth,
    and egomotion", Eq. 1 and 2). Sums are float32. If all events have the same time, bin 0 gets all.

    The values are signed and as large as the counts; normalised, most of them lie in [-3, 3]. A recording without
    events is all 0.

    Attributes:
        bins: number of channels.
        normalise: standardise the non-zero voxels to mean 0 and variance 1. Sums are then exact, in whole numbers, and
            those up to a millionth of an event are 0: events that cancel leave none.
    """

    name: ClassVar[str] = "voxel-grid"
    bins: int = 5
    normalise: bool = False

    def __post_init__(self) -> None:
        check_minimum(1, "bins", self.bins)

    def compute_shape(self, width: int, height: int) -> tuple[int, int, int]:
        return self.bins, height, width

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        if self.normalise:
            sums, unit = self._sum_exactly(stream)
            standardize_sums(sums.reshape(-1), int(unit * ZERO_TOLERANCE), frame.reshape(-1))
        elif self.bins > 1 and stream.duration_us > 0:
            scale, voxels = (self.bins - 1) / stream.duration_us, frame.reshape(self.bins, -1)
            add = add_voxels_by_tiles if needs_tiles(voxels.shape[1]) else add_voxels
            add(stream.x, stream.y, stream.t, stream.p, stream.width, scale, voxels)
        else:
            sums = frame[0].reshape(-1).view(np.int32)
            sum_polarities(stream.x, stream.y, stream.p, stream.width, sums)
            frame[0] = sums.reshape(frame[0].shape)

    def _sum_exactly(self, stream: EventStream) -> tuple[np.ndarray, int]:
        """Return the voxels in whole numbers, (bins, height * width) int64, and the number that stands for 1."""
        sums = np.zeros((self.bins, stream.height * stream.width), np.int64)
        shift = max((stream.duration_us * self.bins).bit_length() - MAX_WEIGHT_BITS, 0)
        duration = stream.duration_us >> shift
        if self.bins > 1 and duration > 0:
            add_exact_voxels(stream.x, stream.y, stream.t, stream.p, stream.width, duration, shift, sums)
            return sums, duration
        sum_polarities(stream.x, stream.y, stream.p, stream.width, sums[0])
        return sums, 1
