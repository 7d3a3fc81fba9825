"""Live sources that send given chunks, and checks of their windows."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from anybind_events import EventStream, LiveSource, LiveWindow
from anybind_events.pixel_counts import CountedStream, count_pixels


class Scripted(LiveSource):
    """A source that sends given chunks, and then waits for its end, fails or ends."""

    def __init__(self, chunks: Sequence[EventStream], error: Exception | None = None, hang: bool = False) -> None:
        self._chunks, self._error, self._hang = chunks, error, hang
        self.closed = threading.Event()
        self.sent = threading.Event()

    @property
    def settings(self) -> Mapping[str, object]:
        return {}

    def close(self) -> None:
        self.closed.set()

    def chunks(self) -> Iterator[EventStream]:
        yield from self._chunks
        self.sent.set()
        if self._error is not None:
            raise self._error
        if self._hang:
            self.closed.wait()


def shift(stream: EventStream, offset_us: int) -> EventStream:
    return EventStream(stream.x, stream.y, stream.t + offset_us, stream.p, stream.width, stream.height)


def split(stream: EventStream, seed: int = 0) -> list[EventStream]:
    cuts = np.sort(np.random.default_rng(seed).integers(0, len(stream), 20)).tolist()
    return [stream.slice_events(*span) for span in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def assert_counts_are_of_the_events(live: Sequence[LiveWindow]) -> None:
    """Compare the counts of windows, from which events left as others entered, with those of their events alone."""
    for each in live:
        assert isinstance(each.events, CountedStream)
        alone = each.events.slice_events(0, len(each.events))
        assert np.array_equal(count_pixels(each.events), count_pixels(alone))
        assert count_pixels(alone) is not count_pixels(each.events)
