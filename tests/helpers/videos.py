"""Videos in memory that implement `VideoSample`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from anybind import BadInput


@dataclass(frozen=True, eq=False)
class MemoryFrame:
    """A frame of a `MemoryVideo`."""

    time_us: int
    gray: np.ndarray
    rgb: Callable[[], np.ndarray]


@dataclass
class MemoryVideo:
    """A video of gray frames in memory.

    Attributes:
        grays: (height, width) each.
        step_us: time from one frame to the next.
        times_us: times of the frames, instead of `step_us`.
        colours: returns the RGB frame of a number. [default: the gray frame in all channels]
        damaged: whether to raise `BadInput` after the last frame.
        decoded, converted: numbers of the frames that were decoded, and converted to RGB.
    """

    grays: Sequence[np.ndarray]
    step_us: int = 1000
    times_us: Sequence[int] | None = None
    colours: Callable[[int], np.ndarray] | None = None
    damaged: bool = False
    decoded: list[int] = field(default_factory=list)
    converted: list[int] = field(default_factory=list)
    path: Path = Path("film.mp4")
    fps: float = 25.0

    @property
    def width(self) -> int:
        return self.grays[0].shape[1] if len(self.grays) else 0

    @property
    def height(self) -> int:
        return self.grays[0].shape[0] if len(self.grays) else 0

    @property
    def duration(self) -> float:
        return len(self.grays) * self.step_us / 1e6

    def frames(self) -> Iterator[MemoryFrame]:
        for number, gray in enumerate(self.grays):
            self.decoded.append(number)
            time = self.step_us * number if self.times_us is None else self.times_us[number]
            yield MemoryFrame(time, np.asarray(gray, np.uint8), lambda number=number: self.rgb(number))
        if self.damaged:
            raise BadInput(f"{self.path} is damaged")

    def sample_frames(self, n_frames: int) -> list[np.ndarray]:
        return [self.rgb(len(self.grays) * number // n_frames) for number in range(n_frames)]

    def rgb(self, number: int) -> np.ndarray:
        self.converted.append(number)
        if self.colours is not None:
            return self.colours(number)
        return np.repeat(np.asarray(self.grays[number], np.uint8)[..., None], 3, axis=2)


def make_noise(count: int, shape: tuple[int, int] = (9, 13), seed: int = 0) -> list[np.ndarray]:
    """Make gray frames of noise."""
    return list(np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8))
