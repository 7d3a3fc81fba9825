"""A simulated event sensor: a pixel emits an event each time its log intensity has changed by its threshold."""

from __future__ import annotations

import numpy as np

from anybind.plugin import BadOption, tables
from anybind_events.simulation.pixels import emit_events, find_active_pixels, sort_events
from anybind_events.stream import EventStream

LINEAR_BELOW = 20.0
"""Gray level, of 255, below which the response is linear instead of logarithmic, as in real sensors in the dark."""
MIN_THRESHOLD_FRACTION = 0.2
"""Smallest pixel threshold after mismatch, as a fraction of the mean threshold."""
MIN_THRESHOLD = 0.001
"""Smallest mean threshold: a quarter of the log distance of gray levels 254 and 255."""
Noise = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Pixel indices (row * width + column), times in microseconds (int64), polarities (bool), each (n,)."""


def compute_log_intensity(gray: np.ndarray) -> np.ndarray:
    """Return the natural log of gray levels 0 to 255, linear below 20 and continuous there; float32."""
    slope = np.float32(np.log(LINEAR_BELOW) / LINEAR_BELOW)
    return np.where(gray <= LINEAR_BELOW, gray * slope, np.log(np.maximum(gray, LINEAR_BELOW))).astype(np.float32)


def draw_thresholds(
    rng: np.random.Generator, threshold: float, mismatch: float, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw each pixel's thresholds for OFF and ON events, float32 of that shape, in natural log units.

    Normal with mean `threshold` and standard deviation `mismatch`, and at least a fifth of the mean. Raises `BadOption`
    if the threshold is below the resolution of gray levels.
    """
    if threshold < MIN_THRESHOLD:
        raise BadOption(f"threshold: expected at least {MIN_THRESHOLD} log units, got {threshold}")
    thresholds = np.maximum(rng.normal(threshold, mismatch, (2, *shape)), MIN_THRESHOLD_FRACTION * threshold)
    off_thresholds, on_thresholds = thresholds.astype(np.float32)
    return off_thresholds, on_thresholds


def check_numbers(seed: int, **options: float) -> None:
    """Check that the seed and all numbers are finite and 0 or more, and that a threshold is above 0."""
    tables.check_seed(seed)
    for name, value in options.items():
        if name == "threshold":
            tables.check_number(name, value, above=0)
        elif tables.check_number(name, value) < 0:
            raise BadOption(f"{name}: expected a finite number 0 or more, got {value!r}")


class SimulatedSensor:
    """The pixels of a sensor, updated view by view.

    Between two views the log intensity of a pixel is linear; the pixel emits an event each time it is one threshold
    away from its reference, the level of its last event.
    """

    def __init__(
        self,
        first: np.ndarray,
        time: float,
        off_thresholds: np.ndarray,
        on_thresholds: np.ndarray,
        *,
        refractory_us: float = 0.0,
        leak_hz: float = 0.0,
        reference: np.ndarray | None = None,
    ) -> None:
        """Initialise the sensor with a first view, which gives no event.

        Args:
            first: log intensity, (height, width) float32; this array and those of later views must not change until the
                next update.
            time: microseconds.
            off_thresholds, on_thresholds: thresholds of the pixels, float32 of the same shape, above 0.
            refractory_us: refractory period after an event, in microseconds; the reference then is the current
                intensity.
            leak_hz: ON events per pixel and second while nothing changes.
            reference: log intensity at the last event of each pixel, float32 of the same shape, less than a threshold
                from the first view, which is the default.
        """
        self.height, self.width = first.shape
        self._previous, self._time = first.ravel(), float(time)
        self._reference, self._off_thresholds, self._on_thresholds = (
            self._previous.copy() if reference is None else reference.ravel(),
            off_thresholds.ravel(),
            on_thresholds.ravel(),
        )
        self._blind_until = np.full(first.size if refractory_us > 0 else 0, -np.inf)
        self._flags, self._active = np.empty(first.size, np.bool_), np.empty(first.size, np.uint32)
        self._refractory, self._leak = float(refractory_us), leak_hz * 1e-6
        self._pixels, self._codes = np.empty(4096, np.uint32), np.empty(4096, np.int64)

    def update(self, view: np.ndarray, time: float, noise: Noise | None = None) -> EventStream:
        """Return the events since the previous view, in time order; at equal times, ON before OFF events.

        Args:
            view: log intensity, as the first one.
            time: microseconds, at least that of the previous view.
            noise: events to add; their times must lie between those of the two views.
        """
        current, start, end = view.ravel(), self._time, float(time)
        n_done = n_events = 0
        state = self._reference, self._off_thresholds, self._on_thresholds, self._blind_until
        count = find_active_pixels(current, *state, start, end, self._leak, self._flags, self._active)
        active = self._active[:count]
        while True:
            constants = start, end, self._refractory, self._leak
            n_done, n_events = emit_events(
                active, self._previous, current, *state, *constants, n_done, self._pixels, self._codes, n_events
            )
            if n_done == count:
                break
            self._pixels, self._codes = _double_capacity(self._pixels), _double_capacity(self._codes)
        self._previous, self._time = current, end
        pixels, codes = self._pixels[:n_events], self._codes[:n_events]
        if noise is not None:
            pixels = np.concatenate([pixels, noise[0].astype(np.uint32)])
            codes = np.concatenate([codes, 2 * noise[1] + ~noise[2]])
        x, y, t, p = sort_events(pixels, codes, 2 * round(start), self.width)
        return EventStream.from_valid(x, y, t, p, self.width, self.height)


def _double_capacity(scratch: np.ndarray) -> np.ndarray:
    return np.concatenate([scratch, np.empty_like(scratch)])
