"""The pixels of an event camera: each fires whenever its log intensity has moved by its threshold."""

from __future__ import annotations

import numpy as np

from anybind.plugin import BadOption
from anybind_events.simulation.pixels import find_busy, fire, in_order
from anybind_events.stream import EventStream

LINEAR_BELOW = 20.0
"""Gray level, of 255, below which a pixel answers linearly and not logarithmically, as sensors do in the dark."""
LEAST_THRESHOLD = 0.2
"""Smallest threshold that the mismatch leaves a pixel, as a share of the mean one."""
LEAST_MEAN = 0.001
"""Smallest mean threshold: gray 254 and 255 are four times as far apart."""
Noise = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Pixel numbers (row * width + column), times in microseconds (int64), polarities (bool), each (n,)."""


def log_intensity(gray: np.ndarray) -> np.ndarray:
    """Natural log of gray levels 0 to 255, linear below 20 and continuous there; float32."""
    slope = np.float32(np.log(LINEAR_BELOW) / LINEAR_BELOW)
    return np.where(gray <= LINEAR_BELOW, gray * slope, np.log(np.maximum(gray, LINEAR_BELOW))).astype(np.float32)


def draw_thresholds(
    random: np.random.Generator, threshold: float, mismatch: float, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's own thresholds for falls and for rises, float32 of that shape, in natural log units.

    Normal around `threshold` with the standard deviation `mismatch`, and never below a fifth of it. Raises
    `BadOption` where the threshold is smaller than anything that gray levels can tell.
    """
    if threshold < LEAST_MEAN:
        raise BadOption(f"threshold must be at least {LEAST_MEAN} log units, got {threshold}")
    drawn = np.maximum(random.normal(threshold, mismatch, (2, *shape)), LEAST_THRESHOLD * threshold)
    falls, rises = drawn.astype(np.float32)
    return falls, rises


def check_numbers(seed: int, **options: float) -> None:
    """Raise `BadOption` unless the seed and all numbers are finite and 0 or more, and a threshold above 0."""
    for name, value in {**options, "seed": seed}.items():
        if not np.isfinite(value) or value < 0 or (name == "threshold" and value == 0):
            at_least = "above 0" if name == "threshold" else "0 or more"
            raise BadOption(f"{name} must be a finite number {at_least}, got {value}")


class Sensor:
    """All pixels of a sensor, shown one view after the other.

    Between two views the log intensity of a pixel moves along a straight line; the pixel fires each time it is
    one threshold away from where it last fired.
    """

    def __init__(
        self,
        first: np.ndarray,
        time: float,
        falls: np.ndarray,
        rises: np.ndarray,
        *,
        refractory_us: float = 0.0,
        leak_hz: float = 0.0,
    ) -> None:
        """A sensor that has seen its first view, of which no event comes.

        Args:
            first: log intensity, (height, width) float32; this array and those of later views must stay as they
                are until the next view has been seen.
            time: microseconds.
            falls, rises: thresholds of the pixels, float32 of the same shape, above 0.
            refractory_us: how long a pixel is blind after an event; it then starts from the brightness it sees.
            leak_hz: how many rises a pixel fires in a second while nothing changes.
        """
        self.height, self.width = first.shape
        self._before, self._time = first.ravel(), float(time)
        self._reference, self._falls, self._rises = self._before.copy(), falls.ravel(), rises.ravel()
        self._blind_until = np.full(first.size if refractory_us > 0 else 0, -np.inf)
        self._flags, self._busy = np.empty(first.size, np.bool_), np.empty(first.size, np.uint32)
        self._refractory, self._leak = float(refractory_us), leak_hz * 1e-6
        self._pixels, self._codes = np.empty(4096, np.uint32), np.empty(4096, np.int64)

    def see(self, view: np.ndarray, time: float, noise: Noise | None = None) -> EventStream:
        """The events between the last view and this one, in the order of time; of one time, rises before falls.

        Args:
            view: log intensity, as the first one.
            time: microseconds, not before that of the last view.
            noise: events to mix in; their times must lie between the two.
        """
        now, start, end = view.ravel(), self._time, float(time)
        done = found = 0
        state = self._reference, self._falls, self._rises, self._blind_until
        count = find_busy(now, *state, start, end, self._leak, self._flags, self._busy)
        busy = self._busy[:count]
        while True:
            habits = start, end, self._refractory, self._leak
            done, found = fire(busy, self._before, now, *state, *habits, done, self._pixels, self._codes, found)
            if done == count:
                break
            self._pixels, self._codes = _twice(self._pixels), _twice(self._codes)
        self._before, self._time = now, end
        pixels, codes = self._pixels[:found], self._codes[:found]
        if noise is not None:
            pixels = np.concatenate([pixels, noise[0].astype(np.uint32)])
            codes = np.concatenate([codes, 2 * noise[1] + ~noise[2]])
        x, y, t, p = in_order(pixels, codes, 2 * round(start), self.width)
        return EventStream.of_checked(x, y, t, p, self.width, self.height)


def _twice(scratch: np.ndarray) -> np.ndarray:
    return np.concatenate([scratch, np.empty_like(scratch)])
