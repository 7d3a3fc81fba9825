"""Event counts on white: the frames of EventCLIP (Wu et al., 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anybind_events.representations.frames import EventFrames, check_positive
from anybind_events.representations.kernels import (
    count_polarities,
    draw_gray_on_white,
    draw_red_blue_on_white,
    remove_hot_pixels,
)
from anybind_events.stream import EventStream

INK = 127 / 255
"""Gray value of EventCLIP."""


@dataclass(frozen=True)
class _WhiteBackgroundFrames(EventFrames):
    """OFF and ON counts, each as a fraction of the largest count of either, drawn over white."""

    hot: float | None = 10.0

    def __post_init__(self) -> None:
        if self.hot is not None:
            object.__setattr__(self, "hot", check_positive("hot", self.hot))

    def _count_polarities(self, stream: EventStream, counts: np.ndarray, low: np.ndarray) -> float:
        """Count OFF and ON events, (2 * height * width) uint32; return the largest count of either, 1 or more."""
        count_polarities(stream.x, stream.y, stream.p, stream.width, counts, low)
        return max(float(remove_hot_pixels(counts, math.inf if self.hot is None else self.hot)), 1.0)


@dataclass(frozen=True)
class GrayFrame(_WhiteBackgroundFrames):
    """Gray on white, the default of EventCLIP: 127/255 * s * w + 1 - w.

    Here s is the sum of the OFF and ON fractions, and w = min(s, 1). The value range is about [0.498, 1]; a recording
    without events is all 1.

    Attributes:
        hot: counts that exceed the mean by more than so many standard deviations are treated as hot pixels and become
            0; None keeps them.
    """

    name: ClassVar[str] = "gray-frame"

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        counts = np.zeros(2 * frame.size, np.uint32)
        low = frame.reshape(-1).view(np.uint8)[: len(counts)]  # the frame is free until it is drawn
        draw_gray_on_white(counts, self._count_polarities(stream, counts, low), INK, frame.reshape(-1))


@dataclass(frozen=True)
class RedBlueFrame(_WhiteBackgroundFrames):
    """ON events red and OFF events blue, on white: channels r * w + 1 - w, 1 - w and f * w + 1 - w.

    Here r and f are the ON and OFF fractions, and w = min(r + f, 1). The value range is [0, 1]; a recording without
    events is all 1.

    Attributes:
        hot: counts that exceed the mean by more than so many standard deviations are treated as hot pixels and become
            0; None keeps them.
    """

    name: ClassVar[str] = "red-blue"
    channels: ClassVar[int] = 3

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        cells = frame.reshape(-1).view(np.uint32)
        counts, blue = cells[: 2 * stream.width * stream.height], cells[2 * stream.width * stream.height :]
        maximum = self._count_polarities(
            stream, counts, blue.view(np.uint8)[: len(counts)]
        )  # the blue plane is free until it is drawn
        draw_red_blue_on_white(cells, maximum)
