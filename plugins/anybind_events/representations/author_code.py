"""The frame of the code that the paper's authors published, which is not that of the paper's Eq. 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames, at_least, positive
from anybind_events.representations.kernels import count_rescaled, to_author_code
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class AuthorFrame(EventFrames):
    """Falls and rises counted apart, each divided by its own largest count plus 1, as one gray picture.

    The share x of either polarity becomes (x - 0.5) * 2, the two are averaged, and the result stands in all three
    channels: the value range is [-1, 1), -1 where nothing happened. No other normalisation comes after it.

    Attributes:
        events: take a random slice of so many events, one after the other, as the authors do for N-ImageNet and
            N-Caltech101 (1,000 for N-MNIST); shorter recordings are taken whole. None for all events.
        seed: of where the slice begins; the same seed gives the same slice of a recording.
        clamp: largest count that is told apart, 20 for N-Caltech101; None for none.
        size: width and height that the coordinates are scaled to, whatever the sensor's aspect, 224 for N-ImageNet;
            to a size above the sensor's leaves gaps. None for the sensor's own.
    """

    name: ClassVar[str] = "author-code"
    events: int | None = 30_000
    seed: int = 0
    clamp: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        at_least(0, "seed", self.seed)
        for name in ("events", "size"):
            if (given := getattr(self, name)) is not None:
                at_least(1, name, given)
        if self.clamp is not None:
            object.__setattr__(self, "clamp", positive("clamp", self.clamp))

    @classmethod
    def with_clamp(cls, options: Mapping[str, object], clamp: float) -> dict[str, object]:
        return {**options, "clamp": clamp}

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        return (3, height, width) if self.size is None else (3, self.size, self.size)

    def fill(self, stream: EventStream, frame: np.ndarray) -> None:
        if self.events is not None and len(stream) > self.events:
            first = int(np.random.default_rng(self.seed).integers(len(stream) - self.events + 1))
            stream = stream.part(first, first + self.events)
        _, height, width = frame.shape
        columns = np.arange(stream.width, dtype=np.int64) * width // stream.width
        rows = np.arange(stream.height, dtype=np.int64) * height // stream.height * width
        cells = frame.reshape(-1).view(np.uint32)
        falls, rises, _ = counts = cells.reshape(3, -1)
        count_rescaled(
            stream.x, stream.y, stream.p, columns.astype(np.uint32), rows.astype(np.uint32), counts[:2].reshape(-1)
        )
        limit = math.inf if self.clamp is None else self.clamp
        to_author_code(cells, limit, min(float(falls.max()), limit) + 1, min(float(rises.max()), limit) + 1)
