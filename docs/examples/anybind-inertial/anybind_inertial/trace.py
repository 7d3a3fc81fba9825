"""`Trace`, measurements of an accelerometer and a gyroscope, and the modality `inertial`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from anybind.plugin import BadInput, BadOption, Modality

MIN_SECONDS = 2.0
"""Minimum length in seconds: two steps of a walk."""
RATES = (10.0, 10_000.0)


@dataclass(frozen=True, eq=False)
class Trace:
    """A recording of one body-worn device, in any orientation.

    Attributes:
        acceleration: (n, 3) float32, metres per second squared, gravity included.
        rotation: (n, 3) float32, radians per second.
        rate: sample rate, Hz.
    """

    acceleration: np.ndarray
    rotation: np.ndarray
    rate: float

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.acceleration) / self.rate


class Inertial(Modality):
    """A `Trace` of two seconds or more."""

    name = "inertial"

    def accepts(self, item: object) -> bool:
        return isinstance(item, Trace)

    def check(self, sample: Trace) -> None:
        for what in ("acceleration", "rotation"):
            values = getattr(sample, what)
            if values.ndim != 2 or values.shape[1] != 3 or len(values) != len(sample.acceleration):
                raise BadInput(f"{what} must be (n, 3), the same n for both, got {values.shape}")
            if not np.isfinite(values).all():
                raise BadInput(f"the trace's {what} holds NaN or infinity")
        low, high = RATES
        if not low <= sample.rate <= high:
            raise BadInput(f"the trace's rate must be {low:g} to {high:g} Hz, got {sample.rate:g}")
        if sample.seconds < MIN_SECONDS:
            raise BadInput(f"the trace is {sample.seconds:.2f} s long; at least {MIN_SECONDS:g} s are needed")

    def show(self, sample: Trace) -> np.ndarray:
        """Plot the three axes of acceleration over time in red, green and blue, (96, 192, 3) uint8."""
        height, width = 96, 192
        image = np.full((height, width, 3), 24, np.uint8)
        moments = np.arange(width) * len(sample.acceleration) // width
        low, high = float(sample.acceleration.min()), float(sample.acceleration.max())
        levels = (sample.acceleration[moments] - low) / max(high - low, 1e-9)
        for axis in range(3):
            image[height - 1 - (levels[:, axis] * (height - 1)).astype(int), np.arange(width), axis] = 255
        return image

    def augment(self, sample: Trace, /, *, seed: int, noise: float = 0.05) -> Trace:
        """Rotate the device at random and add noise.

        Args:
            sample: the trace.
            seed: random seed.
            noise: standard deviation, m/s^2 and rad/s, 0 or more.
        """
        if not noise >= 0:
            raise BadOption(f"noise must be 0 or more, got {noise}")
        random = np.random.default_rng(seed)
        rotation = draw_rotation(random)
        changed: dict[str, Any] = {
            what: (getattr(sample, what) @ rotation + noise * random.standard_normal(sample.acceleration.shape)).astype(
                np.float32
            )
            for what in ("acceleration", "rotation")
        }
        return replace(sample, **changed)


def draw_rotation(random: np.random.Generator) -> np.ndarray:
    """Draw a random rotation matrix, (3, 3), uniformly."""
    turn, upper = np.linalg.qr(random.standard_normal((3, 3)))
    turn = turn * np.sign(np.diag(upper))
    return turn * np.sign(np.linalg.det(turn))
