"""Reconstruction without a network: a high-pass filter at each pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from anybind.plugin import BadOption
from anybind_events.kernels import integrate_events
from anybind_events.reconstruction.reconstructor import Reconstructor
from anybind_events.stream import EventStream

LIMIT_PERCENTILE = 99.0
"""Percentile of the magnitudes of log intensity that becomes black or white."""
LIMIT_DECAY = 0.9
"""Factor by which the limit falls from image to image at most: brightness does not flicker."""


class HighPassFilter(Reconstructor):
    """Integrates ON and OFF events at each pixel to its log intensity, which decays to 0: gray.

    The high-pass filter of Scheerlinck, Barnes and Mahony ("Continuous-time Intensity Estimation Using Event Cameras",
    2018), followed by a Gaussian over neighbours. It shows what changed within about 1 / (2 pi `cutoff_hz`) seconds:
    edges, and areas that they crossed. Areas of constant brightness stay gray; absolute brightness is unknown.
    """

    def __init__(self, width: int, height: int, start_us: int, *, cutoff_hz: float = 2.0, sigma: float = 1.0) -> None:
        """Start with a gray image.

        Args:
            width, height: size of the sensor.
            start_us: time of the first event.
            cutoff_hz: cut-off frequency of the high-pass filter: lower ones fill areas, and keep noise and drift.
            sigma: standard deviation of the Gaussian, in pixels; 0 for none.

        Raises:
            BadOption: a number that is negative or not finite.
        """
        for name, value in (("cutoff", cutoff_hz), ("sigma", sigma)):
            if not (math.isfinite(value) and value >= 0):
                raise BadOption(f"{name}: expected a number of 0 or more, got {value!r}")
        self._cutoff_hz, self._sigma = float(cutoff_hz), float(sigma)
        self._rate = 2 * math.pi * self._cutoff_hz / 1e6  # per microsecond
        self._values = np.zeros((height, width), np.float64)
        self._times = np.full((height, width), start_us, np.int64)
        self._limit = 1.0

    @property
    def settings(self) -> Mapping[str, object]:
        return {"method": "high-pass", "cutoff_hz": self._cutoff_hz, "sigma": self._sigma}

    def reconstruct(self, window: EventStream, end_us: int) -> np.ndarray:
        integrate_events(window.x, window.y, window.t, window.p, self._rate, self._values, self._times)
        image = blur(self._values * np.exp(-self._rate * (end_us - self._times)), self._sigma)
        magnitudes = np.abs(image[self._values != 0])
        limit = float(np.percentile(magnitudes, LIMIT_PERCENTILE)) if magnitudes.size else 0.0
        self._limit = max(limit, LIMIT_DECAY * self._limit, 1e-3)
        return np.clip(0.5 + 0.5 * image / self._limit, 0.0, 1.0).astype(np.float32)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Convolve an image with a Gaussian of `sigma` pixels, cut off at 3 sigma; the border is repeated."""
    if not sigma:
        return image
    radius = math.ceil(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in range(2):
        padded = np.pad(image, [(radius, radius) if each == axis else (0, 0) for each in range(2)], mode="edge")
        size = image.shape[axis]
        parts = (np.take(padded, range(k, k + size), axis) * weight for k, weight in enumerate(weights))
        image = np.sum(list(parts), axis=0)
    return image
