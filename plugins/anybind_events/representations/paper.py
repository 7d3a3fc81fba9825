"""Eq. 1 of the paper: event counts as a frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption
from anybind_events.representations.frames import EventFrames, percentile_of_busy, positive
from anybind_events.representations.kernels import count, to_shares
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class CountFrame(EventFrames):
    """Eq. 1: `E(x, y) = sum_p sum_t E(x, y, t, p)`, then `E / (max(E) + 1)`.

    The value range is [0, 1), or (0, 1] inverted; a recording without events is all 0 (or all 1).

    Attributes:
        clamp: largest count that is told apart, applied before the normalisation (the paper does so
            for N-Caltech101 and N-MNIST; the authors' code uses 20); None for none.
        clamp_percentile: or the clamp as a percentile, 0 to 100, of the counts of pixels that have any.
        invert: give `1 - value`: dark edges on white, nearer to what a tower for pictures has seen.
    """

    name: ClassVar[str] = "paper"
    clamp: float | None = None
    clamp_percentile: float | None = None
    invert: bool = False

    def __post_init__(self) -> None:
        for name, most in (("clamp", math.inf), ("clamp_percentile", 100)):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, positive(name, given, most))
        if self.clamp is not None and self.clamp_percentile is not None:
            raise BadOption("give clamp or clamp_percentile, not both")

    @classmethod
    def with_clamp(cls, options: Mapping[str, object], clamp: float) -> dict[str, object]:
        return {name: value for name, value in options.items() if name != "clamp_percentile"} | {"clamp": clamp}

    def fill(self, stream: EventStream, frame: np.ndarray) -> None:
        counts = frame.reshape(-1).view(np.uint32)
        count(stream.x, stream.y, stream.width, counts, np.zeros(len(counts), np.uint8))
        limit = math.inf if self.clamp is None else self.clamp
        if self.clamp_percentile is not None and len(stream):
            limit = percentile_of_busy(counts, self.clamp_percentile)
        to_shares(counts, limit, min(float(counts.max()), limit) + 1, self.invert)
