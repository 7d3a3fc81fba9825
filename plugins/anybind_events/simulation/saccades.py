"""Simulated event recordings of images by saccades."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator

import numpy as np
import PIL.Image

from anybind.plugin import BadInput
from anybind_events.simulation.pixels import linearize_dark, sample_window
from anybind_events.simulation.sensor import LINEAR_BELOW, SimulatedSensor, check_numbers, draw_thresholds
from anybind_events.stream import EventStream, concatenate_streams

FIELD_SIZE = (240, 180)
"""Size that an image is scaled to fit, as in N-Caltech101; the scaled size is the sensor's."""
CORNERS = ((-0.5, 0.5), (0.0, -0.5), (0.5, 0.5), (-0.5, 0.5))
"""View directions before, between and after the saccades: an isosceles triangle, in degrees."""
SACCADE_US = 100_000
OPTION_RANGES = {
    "threshold": (0.12, 0.4),
    "mismatch": (0.0, 0.06),
    "pixels_per_degree": (4.0, 12.0),
    "turn_degrees": (0.0, 360.0),
}
"""Uniform range of each option in `draw_saccade_options`: around the defaults, and all directions."""


def simulate_saccades(
    image: np.ndarray,
    *,
    seed: int = 0,
    threshold: float = 0.25,
    mismatch: float = 0.03,
    pixels_per_degree: float = 7.0,
    turn_degrees: float = 0.0,
) -> EventStream:
    """Simulate the recording of an event camera that scans an image by three saccades.

    The protocol of N-MNIST and N-Caltech101 (Orchard et al., 2015): three saccades of 100 ms along an isosceles
    triangle, over an image scaled to fit 240x180. Simulated by a contrast-threshold model: a pixel emits an event each
    time its log intensity has changed by its threshold since its last event; times are interpolated linearly inside
    steps of at most half a pixel. The camera moves at constant speed, and the image is padded by its border pixels.
    Gray is Rec. 601 luma.

    Args:
        image: an `image` sample, uint8 (height, width, 3).
        seed: seed of the pixels' thresholds; the same seed gives the same recording.
        threshold: mean contrast threshold, in natural log units of intensity.
        mismatch: standard deviation of the threshold over pixels and polarities.
        pixels_per_degree: size of the triangle; at 7 the image moves by up to 7 pixels along each axis.
        turn_degrees: rotation of the triangle, in degrees.

    Raises:
        BadInput: the scaled image is less than 2 pixels wide or high.
        BadOption: a number or the seed is negative or not finite, or the threshold is below 0.001.
    """
    check_numbers(seed, threshold=threshold, mismatch=mismatch, pixels_per_degree=pixels_per_degree)
    check_numbers(seed, turn_degrees=abs(turn_degrees))
    gray = _scale_to_field(image)
    off_thresholds, on_thresholds = draw_thresholds(np.random.default_rng(seed), threshold, mismatch, gray.shape)
    views = _scan_views(gray, pixels_per_degree * _rotate_corners(CORNERS, turn_degrees))
    start, first = next(views)
    sensor = SimulatedSensor(first, start, off_thresholds, on_thresholds)
    return concatenate_streams([sensor.update(view, time) for time, view in views])


def draw_saccade_options(seed: int) -> dict[str, float]:
    """Draw options of `simulate_saccades` from `OPTION_RANGES`, to train on more than one sensor and movement."""
    rng = np.random.default_rng([seed, len(OPTION_RANGES)])  # independent of the draws of the thresholds
    return {name: float(rng.uniform(low, high)) for name, (low, high) in OPTION_RANGES.items()}


def saccade_settings() -> dict[str, object]:
    """Return everything but the image and the seed that shapes a recording of `simulate_saccades`, JSON-like."""
    defaults = {name: each.default for name, each in inspect.signature(simulate_saccades).parameters.items()}
    del defaults["image"], defaults["seed"]
    del defaults["turn_degrees"]  # implied by the corners
    return {**defaults, "field": FIELD_SIZE, "corners": CORNERS, "saccade_us": SACCADE_US, "linear_below": LINEAR_BELOW}


def _rotate_corners(corners: tuple[tuple[float, float], ...], degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array(corners) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _scale_to_field(image: np.ndarray) -> np.ndarray:
    """Return the image's luma scaled to fit the field, (height, width) float32, 0 to 255."""
    gray = PIL.Image.fromarray(image).convert("L")
    scale = min(FIELD_SIZE[0] / gray.width, FIELD_SIZE[1] / gray.height)
    width, height = round(gray.width * scale), round(gray.height * scale)
    if min(width, height) < 2:
        raise BadInput(f"an image of {gray.width}x{gray.height} pixels is too narrow for saccades")
    return np.asarray(gray.resize((width, height), PIL.Image.Resampling.BICUBIC), dtype=np.float32)


def _scan_views(gray: np.ndarray, corners: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Yield time (microseconds) and log intensity (height, width) at each step of the scan, the start included.

    An array is reused after two steps.
    """
    margin = int(np.ceil(np.abs(corners).max())) + 1
    padded = np.pad(gray, margin, mode="edge")
    window = np.empty_like(gray)
    views = itertools.cycle((np.empty_like(gray), np.empty_like(gray)))
    for saccade, (start, end) in enumerate(itertools.pairwise(corners)):
        steps = max(1, int(np.ceil(2 * np.linalg.norm(end - start))))
        for step in range(0 if saccade == 0 else 1, steps + 1):
            x, y = margin + (start + (end - start) * step / steps)
            view = next(views)
            sample_window(padded, x, y, LINEAR_BELOW, window, view)
            linearize_dark(window, LINEAR_BELOW, np.log(view, out=view))
            yield (saccade + step / steps) * SACCADE_US, view
