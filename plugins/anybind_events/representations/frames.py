"""`EventFrames`: what the representations of event streams share."""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from anybind.plugin import BadInput, BadOption, Representation
from anybind_events.representations.kernels import count_magnitudes
from anybind_events.stream import EventStream

EVENTS_FOR_THREADS = 1_000_000
"""Batches of fewer events are done by the calling thread: others would not have started by then."""
MOST_THREADS = 8
MOST_CELLS = 2**31
"""Pixels times channels: kernels number pixels, falls and rises apart, by 32 bits."""


@dataclass(frozen=True)
class EventFrames(Representation):
    """A representation that fills a frame of zeros in place; its fields are its options.

    Arrays are float32, C-contiguous and may be written to: `torch.from_numpy` takes them without a copy. Beside its
    array a call allocates at most twice the array's size, however many events there are.

    Attributes:
        name: what it is registered as.
        channels: how many there are, unless options say so.
    """

    name: ClassVar[str]
    channels: ClassVar[int] = 1

    @property
    def settings(self) -> Mapping[str, object]:
        return {"representation": self.name, **asdict(self)}

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Channels, height and width of the frame of a sensor."""
        return self.channels, height, width

    @abstractmethod
    def fill(self, stream: EventStream, frame: np.ndarray) -> None:
        """Turn zeros, contiguous and of the right shape, into the stream's frame."""

    def __call__(self, sample: EventStream) -> np.ndarray:
        """The frame of a recording, (channels, height, width) float32; each class says its value range."""
        frame = zeros(self.shape(sample.width, sample.height))
        self.fill(sample, frame)
        return frame

    def batch(self, samples: Sequence[EventStream]) -> np.ndarray:
        """The frames of several recordings, each filled in its place; large batches by several threads."""
        shapes = {self.shape(sample.width, sample.height) for sample in samples}
        if len(shapes) != 1:
            raise BadInput(f"a batch needs samples of one size, got {sorted(shapes) or 'none'}")
        frames = zeros((len(samples), *shapes.pop()))
        threads = min(os.cpu_count() or 1, MOST_THREADS, len(samples))

        def fill_every(first: int) -> None:
            for number in range(first, len(samples), threads):
                self.fill(samples[number], frames[number])

        if threads == 1 or sum(map(len, samples)) < EVENTS_FOR_THREADS:
            threads = 1
            fill_every(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill_every, range(threads)))
        return frames


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, float32, (..., channels, height, width); raises `BadInput` when kernels could not number the pixels."""
    channels, height, width = shape[-3:]
    if channels * height * width >= MOST_CELLS:
        raise BadInput(f"a frame of {width}x{height} pixels is too large for {channels} channels; crop or rescale")
    return np.zeros(shape, np.float32)


def positive(name: str, given: object, most: float = math.inf) -> float:
    """An option as a positive number, so that 20 and 20.0 are one and the same setting; else raises `BadOption`."""
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise BadOption(f"{name} must be a number, got {given!r}")
    if not 0 < given <= most:
        limits = "positive" if most == math.inf else f"above 0 and at most {most:g}"
        raise BadOption(f"{name} must be {limits}, got {given}")
    return float(given)


def at_least(least: int, name: str, given: object) -> int:
    """An option as a whole number; raises `BadOption` when it is none or too small."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise BadOption(f"{name} must be a whole number, got {given!r}")
    if given < least:
        raise BadOption(f"{name} must be at least {least}, got {given}")
    return given


def percentile_of_busy(values: np.ndarray, percentile: float) -> float:
    """A percentile, 0 to 100, of the magnitudes of those whole numbers that are not 0, as `numpy.percentile`; else 0.

    Args:
        values: contiguous, uint32 or int32.
        percentile: which; linear between two numbers.
    """
    values = values.reshape(-1)
    top = max(int(values.max()), -int(values.min()))
    if top >= len(values):  # few pixels or a broken one: more numbers to tell apart than pixels to sort
        busy = np.abs(values[values != 0])
        return float(np.percentile(busy, percentile, overwrite_input=True))
    if top == 0:
        return 0.0
    numbers = np.zeros(top + 1, np.uint32)
    count_magnitudes(values, numbers)
    numbers[0] = 0
    below = numbers.cumsum(dtype=np.int64)
    rank = (below[-1] - 1) * (percentile / 100)
    low, high = (int(np.searchsorted(below, place, side="right")) for place in (math.floor(rank), math.ceil(rank)))
    share = rank - math.floor(rank)
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)
