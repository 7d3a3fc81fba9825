"""Eq. 1 of the paper: event counts as a frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption
from anybind_events.representations.frames import EventFrames, check_positive, compute_nonzero_percentile
from anybind_events.representations.kernels import count_events, normalize_counts
from anybind_events.stream import EventStream

DIVISORS = ("max+1", "max")


@dataclass(frozen=True)
class CountFrame(EventFrames):
    """Eq. 1: `E(x, y) = sum_p sum_t E(x, y, t, p)`, then `E / (max(E) + 1)`.

    The value range is [0, 1), or (0, 1] inverted (with 1 and 0, if `divisor` is `max`); a recording without events is
    all 0 (or all 1).

    Attributes:
        clamp: maximum count per pixel, applied before the normalisation (in the paper for N-Caltech101 and N-MNIST; 20
            in the authors' code); None: no clamp.
        clamp_percentile: the clamp as a percentile, 0 to 100, of the non-zero counts, instead of `clamp`.
        divisor: `max+1`, as Eq. 1, or `max`, as the authors' code for videos; with `clamp=1` the frame then is binary.
        invert: return `1 - value`: dark edges on white, closer to the training images of image encoders.
    """

    name: ClassVar[str] = "paper"
    clamp: float | None = None
    clamp_percentile: float | None = None
    divisor: str = "max+1"
    invert: bool = False

    def __post_init__(self) -> None:
        for name, maximum in (("clamp", math.inf), ("clamp_percentile", 100)):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, check_positive(name, value, maximum))
        if self.divisor not in DIVISORS:
            raise BadOption(f"divisor: expected {' or '.join(DIVISORS)}, got {self.divisor!r}")
        if self.clamp is not None and self.clamp_percentile is not None:
            raise BadOption("give clamp or clamp_percentile, not both")

    @property
    def settings(self) -> Mapping[str, object]:
        settings = dict(super().settings)
        if self.divisor == "max+1":  # hashed into identities of encoders since before there was another
            del settings["divisor"]
        return settings

    @classmethod
    def with_clamp(cls, options: Mapping[str, object], clamp: float) -> dict[str, object]:
        return {name: value for name, value in options.items() if name != "clamp_percentile"} | {"clamp": clamp}

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        counts = frame.reshape(-1).view(np.uint32)
        count_events(stream.x, stream.y, stream.width, counts, np.zeros(len(counts), np.uint8))
        limit = math.inf if self.clamp is None else self.clamp
        if self.clamp_percentile is not None and len(stream):
            limit = compute_nonzero_percentile(counts, self.clamp_percentile)
        maximum = min(float(counts.max()), limit)
        normalize_counts(counts, limit, (maximum or 1.0) if self.divisor == "max" else maximum + 1, self.invert)
