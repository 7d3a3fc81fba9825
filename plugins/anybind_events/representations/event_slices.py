"""Several slices of one recording, each of a fixed number of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption, create_part
from anybind_events.representations.frames import EventFrames, check_minimum
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class EventSlices(EventFrames):
    """Stacked frames of several slices of a recording: the channels of the first slice, of the second, and so on.

    The array is (views * channels, height, width); `frame.reshape(views, -1, height, width)` gives one frame per view,
    without a copy. The value range is that of the representation of a slice. Slices are spread evenly from the first
    event to the last: with gaps in a long recording, overlapping in a short one, and identical in one of at most
    `count` events.

    Attributes:
        views: number of slices.
        count: events per slice; EventCLIP uses 20,000 for N-Caltech101 and 70,000 for N-ImageNet, 2 views each.
        representation: name of the representation of a slice, one of this plugin.
        options: options of that representation.
    """

    name: ClassVar[str] = "event-slices"
    views: int = 2
    count: int = 20_000
    representation: str = "gray-frame"
    options: Mapping[str, object] = field(default_factory=dict)
    inner: EventFrames = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_minimum(1, "views", self.views)
        check_minimum(1, "count", self.count)
        if not isinstance(self.options, Mapping):
            raise BadOption(f"options: expected a table of representation options, got {self.options!r}")
        inner = create_part("representation", self.representation, **self.options)
        if not isinstance(inner, EventFrames):
            raise BadOption(f"representation: expected one of this plugin, got {self.representation!r}")
        object.__setattr__(self, "inner", inner)

    @property
    def settings(self) -> Mapping[str, object]:
        return {
            "representation": self.name,
            "views": self.views,
            "count": self.count,
            "of": dict(self.inner.settings),  # hashed into identities: the key stays
        }

    def compute_shape(self, width: int, height: int) -> tuple[int, int, int]:
        channels, *size = self.inner.compute_shape(width, height)
        return self.views * channels, size[0], size[1]

    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        frames = frame.reshape(self.views, -1, *frame.shape[1:])
        for view, view_frame in zip(self.split_views(stream), frames, strict=True):
            self.inner.fill_frame(view, view_frame)

    def split_views(self, stream: EventStream) -> Iterator[EventStream]:
        """Yield the slices in time order, views of the recording's columns."""
        spare = max(len(stream) - self.count, 0)
        for view in range(self.views):
            first = spare * view // (self.views - 1) if self.views > 1 else spare // 2
            yield stream.slice_events(first, first + self.count)
