"""Event voxel grid (Zhu et al., 2019): polarity in space and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames, check_minimum
from anybind_events.representations.kernels import add_voxels, standardize_nonzero, sum_polarities
from anybind_events.stream import EventStream


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
        normalise: standardise the non-zero voxels to mean 0 and variance 1.
    """

    name: ClassVar[str] = "voxel-grid"
    bins: int = 5
    normalise: bool = False

    def __post_init__(self) -> None:
        check_minimum(1, "bins", self.bins)

    def compute_shape(self, width: int, height: int) -> tuple[int, int, int]:
        return self.bins, height, width

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        duration = stream.duration_us
        if self.bins > 1 and duration > 0:
            voxels = frame.reshape(self.bins, -1)
            add_voxels(stream.x, stream.y, stream.t, stream.p, stream.width, (self.bins - 1) / duration, voxels)
        else:
            sums = frame[0].reshape(-1).view(np.int32)
            sum_polarities(stream.x, stream.y, stream.p, stream.width, sums)
            frame[0] = sums.reshape(frame[0].shape)
        if self.normalise:
            standardize_nonzero(frame.reshape(-1))
