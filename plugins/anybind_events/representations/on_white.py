"""Event counts as ink on white: the frames of EventCLIP (Wu et al., 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames, positive
from anybind_events.representations.kernels import (
    count_polarities,
    drop_hot,
    to_gray_on_white,
    to_red_blue_on_white,
)
from anybind_events.stream import EventStream

INK = 127 / 255
"""The gray of EventCLIP."""


@dataclass(frozen=True)
class _OnWhite(EventFrames):
    """Counts of falls and rises, each as a share of the largest count of either, painted over white."""

    hot: float | None = 10.0

    def __post_init__(self) -> None:
        if self.hot is not None:
            object.__setattr__(self, "hot", positive("hot", self.hot))

    def _count(self, stream: EventStream, counts: np.ndarray, low: np.ndarray) -> float:
        """Count falls and rises, (2 * height * width) uint32, and say the largest count of either, 1 or more."""
        count_polarities(stream.x, stream.y, stream.p, stream.width, counts, low)
        return max(float(drop_hot(counts, math.inf if self.hot is None else self.hot)), 1.0)


@dataclass(frozen=True)
class GrayFrame(_OnWhite):
    """Gray on white, EventCLIP's own choice: with s the shares of falls and rises added up, and w = min(s, 1),
    the value is 127/255 * s * w + 1 - w.

    The value range is about [0.498, 1]; a recording without events is all 1.

    Attributes:
        hot: counts that lie more than so many standard deviations above the mean of all are taken for those of
            broken pixels and become 0; None keeps them.
    """

    name: ClassVar[str] = "gray-frame"

    def fill(self, stream: EventStream, frame: np.ndarray) -> None:
        counts = np.zeros(2 * frame.size, np.uint32)
        low = frame.reshape(-1).view(np.uint8)[: len(counts)]  # the frame is filled after that
        to_gray_on_white(counts, self._count(stream, counts, low), INK, frame.reshape(-1))


@dataclass(frozen=True)
class RedBlueFrame(_OnWhite):
    """Rises red and falls blue on white: with r and f their shares and w = min(r + f, 1), the channels are
    r * w + 1 - w, 1 - w and f * w + 1 - w.

    The value range is [0, 1]; a recording without events is all 1.

    Attributes:
        hot: counts that lie more than so many standard deviations above the mean of all are taken for those of
            broken pixels and become 0; None keeps them.
    """

    name: ClassVar[str] = "red-blue"
    channels: ClassVar[int] = 3

    def fill(self, stream: EventStream, frame: np.ndarray) -> None:
        cells = frame.reshape(-1).view(np.uint32)
        counts, third = cells[: 2 * stream.width * stream.height], cells[2 * stream.width * stream.height :]
        whole = self._count(stream, counts, third.view(np.uint8)[: len(counts)])  # the third is filled after that
        to_red_blue_on_white(cells, whole)
