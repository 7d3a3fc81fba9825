"""Eq. 1 of the paper: event counts as a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anybind import BadOption, Representation
from anybind_events.stream import EventStream


def count_events(stream: EventStream, polarity: bool | None = None) -> np.ndarray:
    """Events at each pixel over all time, E(x, y) of Eq. 1.

    Args:
        stream: the recording.
        polarity: count only rises (True) or only falls (False); both by default, as Eq. 1 sums over p.

    Returns:
        (height, width) int64.
    """
    pixel = stream.y.astype(np.int64) * stream.width + stream.x
    if polarity is not None:
        pixel = pixel[stream.p == polarity]
    return np.bincount(pixel, minlength=stream.height * stream.width).reshape(stream.height, stream.width)


@dataclass(frozen=True)
class CountFrame(Representation):
    """Eq. 1: `E(x, y) = sum_p sum_t E(x, y, t, p)`, then `E / (max(E) + 1)`.

    The value range is [0, 1), or (0, 1] inverted; a recording without events is all 0 (or all 1).

    Attributes:
        clamp: largest count that is told apart, applied before the normalisation (the paper does so
            for N-Caltech101 and N-MNIST; the authors' code uses 20); None for none.
        clamp_percentile: or the clamp as a percentile, 0 to 100, of the counts of pixels that have any.
        invert: give `1 - value`: dark edges on white, nearer to what a tower for pictures has seen.
    """

    clamp: float | None = None
    clamp_percentile: float | None = None
    invert: bool = False

    def __post_init__(self) -> None:
        for name in ("clamp", "clamp_percentile"):  # so that 20 and 20.0 are one and the same setting
            given = getattr(self, name)
            if isinstance(given, str):
                raise BadOption(f"{name} must be a number, got {given!r}")
            if given is not None:
                object.__setattr__(self, name, float(given))
        if self.clamp is not None and self.clamp_percentile is not None:
            raise BadOption("give clamp or clamp_percentile, not both")
        if self.clamp is not None and not self.clamp > 0:
            raise BadOption(f"clamp must be positive, got {self.clamp}")
        if self.clamp_percentile is not None and not 0 < self.clamp_percentile <= 100:
            raise BadOption(f"clamp_percentile must be above 0 and at most 100, got {self.clamp_percentile}")

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"representation": "paper", **asdict(self)}

    def __call__(self, sample: EventStream) -> np.ndarray:
        """The frame of a recording, (1, height, width) float32."""
        counts = count_events(sample).astype(np.float64)
        limit = self.clamp
        if self.clamp_percentile is not None and len(sample):
            limit = np.percentile(counts[counts > 0], self.clamp_percentile)
        if limit is not None:
            counts = np.minimum(counts, limit)
        frame = counts / (counts.max() + 1)
        return (1 - frame if self.invert else frame).astype(np.float32)[None]
