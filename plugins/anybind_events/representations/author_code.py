"""The event frame of the code published by the paper's authors, which differs from Eq. 1 of the paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames, check_minimum, check_positive
from anybind_events.representations.kernels import count_rescaled_polarities, normalize_author_code
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class AuthorFrame(EventFrames):
    """OFF and ON counts, each divided by its own maximum plus 1, averaged into one gray image.

    The fraction x of either polarity becomes (x - 0.5) * 2, the two are averaged, and the result fills all three
    channels: the value range is [-1, 1), -1 where there was no event. There is no further normalisation.

    Attributes:
        events: number of events of a random contiguous slice, 30,000 by the authors for N-ImageNet and N-Caltech101 and
            1,000 for N-MNIST; shorter recordings are used whole. None: all events.
        seed: seed of the position of the slice; the same seed gives the same slice of a recording.
        clamp: maximum count per pixel, 20 for N-Caltech101; None: no clamp.
        size: width and height that the coordinates are scaled to, regardless of the sensor's aspect ratio, 224 for
            N-ImageNet; a size above the sensor's leaves gaps. None: the sensor's own size.
    """

    name: ClassVar[str] = "author-code"
    events: int | None = 30_000
    seed: int = 0
    clamp: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        check_minimum(0, "seed", self.seed)
        for name in ("events", "size"):
            if (value := getattr(self, name)) is not None:
                check_minimum(1, name, value)
        if self.clamp is not None:
            object.__setattr__(self, "clamp", check_positive("clamp", self.clamp))

    @classmethod
    def with_clamp(cls, options: Mapping[str, object], clamp: float) -> dict[str, object]:
        return {**options, "clamp": clamp}

    def compute_shape(self, width: int, height: int) -> tuple[int, int, int]:
        return (3, height, width) if self.size is None else (3, self.size, self.size)

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        if self.events is not None and len(stream) > self.events:
            first = int(np.random.default_rng(self.seed).integers(len(stream) - self.events + 1))
            stream = stream.slice_events(first, first + self.events)
        _, height, width = frame.shape
        columns = np.arange(stream.width, dtype=np.int64) * width // stream.width
        rows = np.arange(stream.height, dtype=np.int64) * height // stream.height * width
        cells = frame.reshape(-1).view(np.uint32)
        off_counts, on_counts, free = planes = cells.reshape(3, -1)
        counts = planes[:2].reshape(-1)
        low = free.view(np.uint8)[: len(counts)]  # the third plane is free until the normalisation
        count_rescaled_polarities(
            stream.x, stream.y, stream.p, columns.astype(np.uint32), rows.astype(np.uint32), counts, low
        )
        limit = math.inf if self.clamp is None else self.clamp
        normalize_author_code(
            cells, limit, min(float(off_counts.max()), limit) + 1, min(float(on_counts.max()), limit) + 1
        )
