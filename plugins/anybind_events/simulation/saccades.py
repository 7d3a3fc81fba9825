"""Simulated event recordings of images by saccades."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import PIL.Image

from anybind.plugin import BadOption
from anybind_events.simulation.pixels import linearize_dark, sample_window
from anybind_events.simulation.scene import crop_narrow
from anybind_events.simulation.sensor import LINEAR_BELOW, check_numbers
from anybind_events.simulation.sensor_model import ModelledSensor, SensorModel, check_size
from anybind_events.stream import EventStream, concatenate_streams

CORNERS = ((-0.5, 0.5), (0.0, -0.5), (0.5, 0.5), (-0.5, 0.5))
"""View directions before, between and after the saccades: an isosceles triangle, in degrees."""
SACCADE_US = 100_000
SPEEDS = ("constant", "eased")
EASED_DELAY = 0.06
"""Share of a saccade before an eased movement begins, fitted to one real N-Caltech101 recording."""
EASED_STEP_US = 10_000
"""Longest duration of a step of an eased movement, in microseconds."""
IDEAL_SENSOR = SensorModel()
"""Sensor of the model `saccades`: no noise."""
OPTION_RANGES = {
    "threshold": (0.12, 0.4),
    "mismatch": (0.0, 0.06),
    "pixels_per_degree": (4.0, 12.0),
    "turn_degrees": (0.0, 360.0),
}
"""Uniform range of each option in `draw_saccade_options`: around the defaults, and all directions."""


@dataclass(frozen=True)
class Saccades:
    """Options of `simulate_saccades`.

    Attributes:
        pixels_per_degree: size of the triangle; at 7 the image moves by up to 7 pixels along each axis.
        turn_degrees: rotation of the triangle, in degrees.
        speed: `constant`; or `eased`: each saccade starts and ends slowly, as in real recordings.
        width, height: size in pixels that the image is scaled to fit, 8 to 4096; the scaled size is the sensor's. The
            default is that of N-Caltech101.

    Raises:
        BadOption: an unknown speed, or a number that is negative, not finite or out of its range.
    """

    pixels_per_degree: float = 7.0
    turn_degrees: float = 0.0
    speed: str = "constant"
    width: int = 240
    height: int = 180

    def __post_init__(self) -> None:
        check_numbers(0, pixels_per_degree=self.pixels_per_degree, turn_degrees=abs(self.turn_degrees))
        check_size(self.width, self.height)
        if self.speed not in SPEEDS:
            raise BadOption(f"speed: expected {', '.join(SPEEDS)}, got {self.speed!r}")


EASED = Saccades(speed="eased")
"""Options of the model `eased-saccades`."""
EASED_SENSOR = SensorModel(
    threshold=0.35, bandwidth_hz=200.0, shot_hz=0.1, hot_pixels=100, hot_hz=75.0, hot_spread=0.9, random_reference=True
)
"""Sensor of the model `eased-saccades`: calibrated on one real N-Caltech101 recording (n = 1), by `measure_realism`."""


def simulate_saccades(
    image: np.ndarray, saccades: Saccades | None = None, sensor: SensorModel = IDEAL_SENSOR, *, seed: int = 0
) -> EventStream:
    """Simulate the recording of an event camera that scans an image by three saccades.

    The protocol of N-MNIST and N-Caltech101 (Orchard et al., 2015): three saccades of 100 ms along an isosceles
    triangle, over an image scaled to fit 240x180. Simulated by a contrast-threshold model: a pixel emits an event each
    time its log intensity has changed by its threshold since its last event; times are interpolated linearly inside
    steps of at most half a pixel. The image is padded by its border pixels. Gray is Rec. 601 luma.

    Args:
        image: an `image` sample, uint8 (height, width, 3).
        saccades: size, direction and speed of the saccades. [default: `Saccades()`]
        sensor: the sensor's imperfections.
        seed: seed of everything random; the same seed gives the same recording.

    Raises:
        BadOption: the seed is negative, or the threshold is below 0.001.
    """
    check_numbers(seed)
    saccades = saccades or Saccades()
    gray = _scale_to_field(image, saccades)
    views = _scan_views(gray, saccades)
    start, first = next(views)
    modelled = ModelledSensor(sensor, first, start, seed)
    return concatenate_streams([modelled.update(view, time) for time, view in views])


def draw_saccade_options(seed: int) -> dict[str, float]:
    """Draw options of `simulate_saccades` from `OPTION_RANGES`, to train on more than one sensor and movement."""
    rng = np.random.default_rng([seed, len(OPTION_RANGES)])  # independent of the draws of the thresholds
    return {name: float(rng.uniform(low, high)) for name, (low, high) in OPTION_RANGES.items()}


def saccade_settings() -> dict[str, object]:
    """Return everything but the image and the seed that shapes a recording of the model `saccades`, JSON-like.

    It is part of the identity of embeddings: options that were added later are implied by their absence.
    """
    saccades = Saccades()
    return {
        "threshold": IDEAL_SENSOR.threshold,
        "mismatch": IDEAL_SENSOR.mismatch,
        "pixels_per_degree": saccades.pixels_per_degree,
        "field": (saccades.width, saccades.height),
        "corners": CORNERS,
        "saccade_us": SACCADE_US,
        "linear_below": LINEAR_BELOW,
    }


def _rotate_corners(corners: tuple[tuple[float, float], ...], degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array(corners) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _scale_to_field(image: np.ndarray, saccades: Saccades) -> np.ndarray:
    """Return the image's luma scaled to fit the field, (height, width) float32, 0 to 255."""
    width, height = _fit_to_field(image, saccades)
    if min(width, height) < 2:
        image = crop_narrow(image, (saccades.width, saccades.height))
        width, height = _fit_to_field(image, saccades)
    gray = PIL.Image.fromarray(image).convert("L")
    return np.asarray(gray.resize((width, height), PIL.Image.Resampling.BICUBIC), dtype=np.float32)


def _fit_to_field(image: np.ndarray, saccades: Saccades) -> tuple[int, int]:
    """Return width and height of an image that fits the field, in pixels."""
    rows, columns = image.shape[:2]
    scale = min(saccades.width / columns, saccades.height / rows)
    return round(columns * scale), round(rows * scale)


def _scan_views(gray: np.ndarray, saccades: Saccades) -> Iterator[tuple[float, np.ndarray]]:
    """Yield time (microseconds) and log intensity (height, width) at each step of the scan, the start included.

    An array is reused after two steps.
    """
    corners = saccades.pixels_per_degree * _rotate_corners(CORNERS, saccades.turn_degrees)
    margin = int(np.ceil(np.abs(corners).max())) + 1
    padded = np.pad(gray, margin, mode="edge")
    window = np.empty_like(gray)
    views = itertools.cycle((np.empty_like(gray), np.empty_like(gray)))
    for saccade, (start, end) in enumerate(itertools.pairwise(corners)):
        steps = max(1, int(np.ceil(2 * np.linalg.norm(end - start))))
        divide = divide_eased if saccades.speed == "eased" else divide_constant
        for moment, progress in itertools.islice(divide(steps), 0 if saccade == 0 else 1, None):
            x, y = margin + (start + (end - start) * progress)
            view = next(views)
            sample_window(padded, x, y, LINEAR_BELOW, window, view)
            linearize_dark(window, LINEAR_BELOW, np.log(view, out=view))
            yield (saccade + moment) * SACCADE_US, view


def divide_constant(steps: int) -> Iterator[tuple[float, float]]:
    """Yield the time and the progress, both 0 to 1, at each step of a saccade of constant speed."""
    yield from ((step / steps, step / steps) for step in range(steps + 1))


def divide_eased(steps: int) -> Iterator[tuple[float, float]]:
    """Yield the time and the progress, both 0 to 1, at each step of an eased saccade.

    The movement has minimum jerk (Flash and Hogan, 1985) after a delay. There are steps where it rests, too.
    """
    grid = np.linspace(0, 1, 1001)
    share = np.clip((grid - EASED_DELAY) / (1 - EASED_DELAY), 0, 1)
    progress = share**3 * (10 - 15 * share + 6 * share**2)
    lengths = steps * progress + SACCADE_US / EASED_STEP_US * grid
    times = np.interp(np.linspace(0, lengths[-1], int(np.ceil(lengths[-1])) + 1), lengths, grid)
    times = np.rint(times * SACCADE_US) / SACCADE_US
    yield from zip(times.tolist(), np.interp(times, grid, progress).tolist(), strict=True)
