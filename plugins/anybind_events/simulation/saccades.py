"""Event recordings of still pictures, by simulated saccades."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator

import numpy as np
import PIL.Image

from anybind.plugin import BadInput
from anybind_events.simulation.pixels import darken, look
from anybind_events.simulation.sensor import LINEAR_BELOW, Sensor, check_numbers, draw_thresholds
from anybind_events.stream import EventStream, concatenate_streams

FIELD = (240, 180)
"""A picture is scaled to fit this, as N-Caltech101's were; its own size is the sensor's."""
CORNERS = ((-0.5, 0.5), (0.0, -0.5), (0.5, 0.5), (-0.5, 0.5))
"""Where the camera looks before, between and after the saccades: an isosceles triangle, in degrees."""
SACCADE_US = 100_000
VARIED = {
    "threshold": (0.12, 0.4),
    "mismatch": (0.0, 0.06),
    "pixels_per_degree": (4.0, 12.0),
    "turn_degrees": (0.0, 360.0),
}
"""Between which bounds `varied` draws each option, evenly: around the defaults, and the triangle turned any way."""


def simulate_saccades(
    picture: np.ndarray,
    *,
    seed: int = 0,
    threshold: float = 0.25,
    mismatch: float = 0.03,
    pixels_per_degree: float = 7.0,
    turn_degrees: float = 0.0,
) -> EventStream:
    """What an event camera records of a still picture that it scans by three saccades.

    The protocol of N-MNIST and N-Caltech101 (Orchard et al., 2015): three saccades of 100 ms along an
    isosceles triangle, over a picture scaled to fit 240x180. Simulated by a contrast-threshold model: a
    pixel emits an event each time its log intensity has moved by its threshold since its last event;
    times are interpolated linearly inside steps of at most half a pixel. The camera moves at constant
    speed, and what lies beyond the picture looks like its border. Gray is Rec. 601 luma.

    Args:
        picture: an `image` sample, uint8 (height, width, 3).
        seed: of the pixels' thresholds; the same seed gives the same recording.
        threshold: mean contrast threshold, in natural log units of intensity.
        mismatch: standard deviation of the threshold over pixels and polarities.
        pixels_per_degree: size of the triangle; at 7 the picture moves by up to 7 pixels along each axis.
        turn_degrees: turns the triangle.

    Raises:
        BadInput: the picture is narrower or lower than 2 pixels once it is scaled to fit.
        BadOption: a number or the seed is negative or not finite, or the threshold is below 0.001.
    """
    check_numbers(seed, threshold=threshold, mismatch=mismatch, pixels_per_degree=pixels_per_degree)
    check_numbers(seed, turn_degrees=abs(turn_degrees))
    gray = _scaled_gray(picture)
    falls, rises = draw_thresholds(np.random.default_rng(seed), threshold, mismatch, gray.shape)
    views = _views(gray, pixels_per_degree * _turned(CORNERS, turn_degrees))
    start, first = next(views)
    sensor = Sensor(first, start, falls, rises)
    return concatenate_streams([sensor.see(view, time) for time, view in views])


def varied(seed: int) -> dict[str, float]:
    """Options of `simulate_saccades` drawn from `VARIED`: for training on more than one sensor and one movement."""
    random = np.random.default_rng([seed, len(VARIED)])  # not the numbers that the thresholds come from
    return {name: float(random.uniform(low, high)) for name, (low, high) in VARIED.items()}


def saccade_settings() -> dict[str, object]:
    """Everything but the picture and the seed that shapes a recording by `simulate_saccades`, JSON-like."""
    defaults = {name: each.default for name, each in inspect.signature(simulate_saccades).parameters.items()}
    del defaults["picture"], defaults["seed"]
    del defaults["turn_degrees"]  # told by the corners
    return {**defaults, "field": FIELD, "corners": CORNERS, "saccade_us": SACCADE_US, "linear_below": LINEAR_BELOW}


def _turned(corners: tuple[tuple[float, float], ...], degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array(corners) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _scaled_gray(picture: np.ndarray) -> np.ndarray:
    """Luma of the picture scaled to fit the field, (height, width) float32, 0 to 255."""
    image = PIL.Image.fromarray(picture).convert("L")
    scale = min(FIELD[0] / image.width, FIELD[1] / image.height)
    width, height = round(image.width * scale), round(image.height * scale)
    if min(width, height) < 2:
        raise BadInput(f"a picture of {image.width}x{image.height} pixels is too narrow to be scanned")
    return np.asarray(image.resize((width, height), PIL.Image.Resampling.BICUBIC), dtype=np.float32)


def _views(gray: np.ndarray, corners: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Time (microseconds) and log intensity (height, width) at each step of the scan, the start included.

    A view stays as it is until the next but one is asked for.
    """
    reach = int(np.ceil(np.abs(corners).max())) + 1
    wide = np.pad(gray, reach, mode="edge")
    seen = np.empty_like(gray)
    views = itertools.cycle((np.empty_like(gray), np.empty_like(gray)))
    for saccade, (start, end) in enumerate(itertools.pairwise(corners)):
        steps = max(1, int(np.ceil(2 * np.linalg.norm(end - start))))
        for step in range(0 if saccade == 0 else 1, steps + 1):
            x, y = reach + (start + (end - start) * step / steps)
            view = next(views)
            look(wide, x, y, LINEAR_BELOW, seen, view)
            darken(seen, LINEAR_BELOW, np.log(view, out=view))
            yield (saccade + step / steps) * SACCADE_US, view
