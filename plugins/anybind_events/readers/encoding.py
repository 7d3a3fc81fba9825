"""What the writers of binary formats share: limits of a format, and blocks of checked events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from anybind.plugin import BadInput
from anybind_events.stream import EventStream

BLOCK_EVENTS = 1 << 18
"""Events that are encoded at once."""


@dataclass(frozen=True)
class FormatLimits:
    """The recordings that a format can represent.

    Attributes:
        name: the format, as errors name it.
        width, height: largest sensor, in pixels.
        last_us: latest time in microseconds; the earliest is 0.
        alternatives: formats without these limits.
    """

    name: str
    width: int
    height: int
    last_us: int = (1 << 63) - 1
    alternatives: str = ".npz"

    def check(self, stream: EventStream) -> None:
        """Raise `BadInput` if the sensor or a time exceeds the limits."""
        if stream.width > self.width or stream.height > self.height:
            raise BadInput(
                f"{self.name} supports sensors up to {self.width}x{self.height}, got {stream.width}x{stream.height};"
                f" write {self.alternatives}"
            )
        if len(stream) and not 0 <= stream.t[0] <= stream.t[-1] <= self.last_us:
            time = stream.t[0] if stream.t[0] < 0 else stream.t[-1]
            raise BadInput(
                f"{self.name} supports times from 0 to {self.last_us} us, got {time} us; shift the recording or write"
                f" {self.alternatives}"
            )


def split_blocks(chunks: Iterable[EventStream], limits: FormatLimits) -> Iterator[EventStream]:
    """Yield the events of consecutive chunks of one recording in blocks: at least one, which may be empty.

    Raises:
        BadInput: a chunk exceeds the limits, has another sensor size than the first or begins before the previous one
            ended; or there is no chunk.
    """
    size: tuple[int, int] | None = None
    last_us = 0
    for chunk in chunks:
        limits.check(chunk)
        size = size or (chunk.width, chunk.height)
        if (chunk.width, chunk.height) != size:
            raise BadInput(f"expected chunks of one sensor size, got {size} and {(chunk.width, chunk.height)}")
        if len(chunk) and chunk.t[0] < last_us:
            raise BadInput(f"time decreases from one chunk to the next: {last_us} us, then {chunk.t[0]} us")
        last_us = int(chunk.t[-1]) if len(chunk) else last_us
        yield from chunk.chunks(count=BLOCK_EVENTS) if len(chunk) else [chunk]
    if size is None:
        raise BadInput("expected at least one chunk to write")
