"""Several views of one recording, each of so many events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from anybind.plugin import BadOption, create_part
from anybind_events.representations.frames import EventFrames, at_least
from anybind_events.stream import EventStream


@dataclass(frozen=True)
class EventSlices(EventFrames):
    """Frames of several slices of a recording, one upon the other: channels of the first, of the second, and so on.

    An array of (views * channels, height, width), as of any other representation, which `frame.reshape(views, -1,
    height, width)` shows as one picture a view, without a copy. The value range is that of the representation of a
    slice. Slices lie evenly from the first event to the last: with gaps in a long recording, overlapping in a short
    one, and all alike in one of no more than `count` events.

    Attributes:
        views: how many slices.
        count: events of a slice; EventCLIP takes 20,000 for N-Caltech101 and 70,000 for N-ImageNet, 2 views each.
        of: name of the representation of a slice, one of this plugin.
        options: its options.
    """

    name: ClassVar[str] = "event-slices"
    views: int = 2
    count: int = 20_000
    of: str = "gray-frame"
    options: Mapping[str, object] = field(default_factory=dict)
    inner: EventFrames = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least(1, "views", self.views)
        at_least(1, "count", self.count)
        if not isinstance(self.options, Mapping):
            raise BadOption(f"options of the representation must be a table, got {self.options!r}")
        inner = create_part("representation", self.of, **self.options)
        if not isinstance(inner, EventFrames):
            raise BadOption(f"slices cannot be shown as {self.of!r}: it is no representation of this plugin")
        object.__setattr__(self, "inner", inner)

    @property
    def settings(self) -> Mapping[str, object]:
        return {
            "representation": self.name,
            "views": self.views,
            "count": self.count,
            "of": dict(self.inner.settings),
        }

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        channels, *size = self.inner.shape(width, height)
        return self.views * channels, size[0], size[1]

    def fill(self, stream: EventStream, frame: np.ndarray) -> None:
        frames = frame.reshape(self.views, -1, *frame.shape[1:])
        for part, of_part in zip(self.slices(stream), frames, strict=True):
            self.inner.fill(part, of_part)

    def slices(self, stream: EventStream) -> Iterator[EventStream]:
        """The slices, views of the recording's columns, in order of time."""
        spare = max(len(stream) - self.count, 0)
        for view in range(self.views):
            first = spare * view // (self.views - 1) if self.views > 1 else spare // 2
            yield stream.part(first, first + self.count)
