"""`EventFrames`: the base class of the representations of event streams."""

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

MIN_THREADED_EVENTS = 1_000_000
"""Smaller batches use the calling thread only: starting threads would take longer."""
MAX_THREADS = 8
MAX_CELLS = 2**31
"""Maximum of pixels times channels: kernels index pixels, OFF and ON apart, by 32 bits."""


@dataclass(frozen=True)
class EventFrames(Representation):
    """A representation that fills a zero frame in place; its fields are its options.

    Arrays are float32, C-contiguous and writable: `torch.from_numpy` needs no copy. Besides the array, a call allocates
    at most twice the array's size, or 32 bytes a pixel where `tiles` are used, regardless of the number of events.

    Attributes:
        name: the registered name.
        channels: number of channels, unless options determine it.
    """

    name: ClassVar[str]
    channels: ClassVar[int] = 1

    @property
    def settings(self) -> Mapping[str, object]:
        return {"representation": self.name, **asdict(self)}

    def compute_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Return channels, height and width of a frame for a sensor size."""
        return self.channels, height, width

    @abstractmethod
    def fill_frame(self, stream: EventStream, frame: np.ndarray) -> None:
        """Turn zeros, contiguous and of the right shape, into the stream's frame."""

    def __call__(self, sample: EventStream) -> np.ndarray:
        """Return the frame of a recording, (channels, height, width) float32; each class states its value range."""
        frame = allocate_frames(self.compute_shape(sample.width, sample.height))
        self.fill_frame(sample, frame)
        return frame

    def batch(self, samples: Sequence[EventStream]) -> np.ndarray:
        """Return the stacked frames of several recordings; large batches use several threads."""
        shapes = {self.compute_shape(sample.width, sample.height) for sample in samples}
        if len(shapes) != 1:
            raise BadInput(f"expected samples of one size, got {sorted(shapes) or 'none'}")
        frames = allocate_frames((len(samples), *shapes.pop()))
        threads = min(os.cpu_count() or 1, MAX_THREADS, len(samples))

        def fill_subset(first: int) -> None:
            for number in range(first, len(samples), threads):
                self.fill_frame(samples[number], frames[number])

        if threads == 1 or sum(map(len, samples)) < MIN_THREADED_EVENTS:
            threads = 1
            fill_subset(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill_subset, range(threads)))
        return frames


def allocate_frames(shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros, float32, (..., channels, height, width); raise `BadInput` above the size that kernels can index."""
    check_cells(*shape[-3:])
    return np.zeros(shape, np.float32)


def check_cells(channels: int, height: int, width: int) -> None:
    """Raise `BadInput` for a frame above the size that kernels can index."""
    if channels * height * width >= MAX_CELLS:
        raise BadInput(f"a frame of {width}x{height} pixels is too large for {channels} channels; crop or rescale")


def check_positive(name: str, value: object, maximum: float = math.inf) -> float:
    """Return an option as a positive float, so that 20 and 20.0 are the same setting; raise `BadOption` otherwise."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadOption(f"{name}: expected a number, got {value!r}")
    if not 0 < value <= maximum:
        limits = "above 0" if maximum == math.inf else f"above 0 and at most {maximum:g}"
        raise BadOption(f"{name}: expected a number {limits}, got {value}")
    return float(value)


def check_minimum(minimum: int, name: str, value: object) -> int:
    """Return an option as a whole number; raise `BadOption` if it is not one or too small."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadOption(f"{name}: expected a whole number, got {value!r}")
    if value < minimum:
        raise BadOption(f"{name}: expected at least {minimum}, got {value}")
    return value


def compute_nonzero_percentile(values: np.ndarray, percentile: float) -> float:
    """Return a percentile of the magnitudes of the non-zero values, as `numpy.percentile`; 0 if there are none.

    Args:
        values: contiguous whole numbers, uint32 or int32.
        percentile: 0 to 100, linear between two values.
    """
    values = values.reshape(-1)
    largest = max(int(values.max()), -int(values.min()))
    if largest >= len(values):  # few pixels or a hot one: sorting the pixels costs less than a histogram
        magnitudes = np.abs(values[values != 0])
        return float(np.percentile(magnitudes, percentile, overwrite_input=True))
    if largest == 0:
        return 0.0
    histogram = np.zeros(largest + 1, np.uint32)
    count_magnitudes(values, histogram)
    histogram[0] = 0
    cumulative = histogram.cumsum(dtype=np.int64)
    rank = (cumulative[-1] - 1) * (percentile / 100)
    low, high = (
        int(np.searchsorted(cumulative, position, side="right")) for position in (math.floor(rank), math.ceil(rank))
    )
    fraction = rank - math.floor(rank)
    return low + (high - low) * fraction if fraction < 0.5 else high - (high - low) * (1 - fraction)
