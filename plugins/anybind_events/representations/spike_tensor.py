"""EST: the event spike tensor (Gehrig et al., 2019), with its trilinear kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption, kernel
from anybind_events.representations.frames import EventFrames, check_minimum
from anybind_events.stream import EventStream

MEASUREMENTS = ("time", "count", "polarity")


@dataclass(frozen=True)
class SpikeTensor(EventFrames):
    """A measurement of the events, split between the two time bins next to each event, OFF and ON apart.

    Time is scaled to 0 for the first event and 1 for the last, t'; bin b of polarity q, of B bins, gets

        V(q, b, x, y) = sum_i f_i max(0, 1 - |(B - 1) t'_i - b|)   over the events of polarity q at the pixel

    (Gehrig et al., 2019, with the trilinear kernel, which in whole pixels is linear in time). Channels are
    the bins of OFF, then those of ON. If all events have the same time, t' is 0. Values are 0 or more with the
    measurements `time` and `count`. The publication learns the kernel: that is the encoder `est` of
    `anybind_baselines`.

    Attributes:
        bins: B; 9 in the publication.
        measurement: f, `time` for t', as in the publication, `count` for 1, `polarity` for -1 or 1.
    """

    name: ClassVar[str] = "est"
    bins: int = 9
    measurement: str = "time"

    def __post_init__(self) -> None:
        check_minimum(1, "bins", self.bins)
        if self.measurement not in MEASUREMENTS:
            raise BadOption(f"measurement: expected one of {', '.join(MEASUREMENTS)}, got {self.measurement!r}")

    def compute_shape(self, width: int, height: int) -> tuple[int, int, int]:
        return 2 * self.bins, height, width

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        if len(stream):
            tensor = frame.reshape(2, self.bins, *frame.shape[1:])
            scale = 1 / max(stream.duration_us, 1)
            add_spikes(stream.x, stream.y, stream.t, stream.p, scale, MEASUREMENTS.index(self.measurement), tensor)


@kernel
def add_spikes(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, scale: float, measurement: int, tensor: np.ndarray
) -> None:
    """Add the events to a tensor, (2, bins, height, width); `measurement` is an index into `MEASUREMENTS`."""
    bins = tensor.shape[1]
    for i in range(len(t)):
        q, time = int(p[i]), (t[i] - t[0]) * scale
        value = time if measurement == 0 else 1.0 if measurement == 1 else 2.0 * q - 1.0
        position = time * (bins - 1)
        lower = min(int(position), bins - 1)
        upper_weight = position - lower
        tensor[q, lower, y[i], x[i]] += np.float32(value * (1 - upper_weight))
        if upper_weight > 0 and lower + 1 < bins:
            tensor[q, lower + 1, y[i], x[i]] += np.float32(value * upper_weight)
