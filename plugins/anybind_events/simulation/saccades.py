"""Event recordings of still pictures, by simulated saccades."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image

from anybind import BadInput, BadOption
from anybind_events.stream import EventStream

FIELD = (240, 180)
"""A picture is scaled to fit this, as N-Caltech101's were; its own size is the sensor's."""
CORNERS = ((-0.5, 0.5), (0.0, -0.5), (0.5, 0.5), (-0.5, 0.5))
"""Where the camera looks before, between and after the saccades: an isosceles triangle, in degrees."""
SACCADE_US = 100_000
LINEAR_BELOW = 20.0
"""Gray level, of 255, below which a pixel answers linearly and not logarithmically, as sensors do in the dark."""


def simulate_saccades(
    picture: np.ndarray,
    *,
    seed: int = 0,
    threshold: float = 0.25,
    mismatch: float = 0.03,
    pixels_per_degree: float = 7.0,
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

    Raises:
        BadInput: the picture is narrower or lower than 2 pixels once it is scaled to fit.
        BadOption: a number or the seed is negative or not finite, or the threshold is 0.
    """
    options = {"threshold": threshold, "mismatch": mismatch, "pixels_per_degree": pixels_per_degree}
    for name, value in options.items():
        if not np.isfinite(value) or value < 0 or (name == "threshold" and value == 0):
            at_least = "above 0" if name == "threshold" else "0 or more"
            raise BadOption(f"{name} must be a finite number {at_least}, got {value}")
    if seed < 0:
        raise BadOption(f"the seed must be 0 or more, got {seed}")
    gray = _scaled_gray(picture)
    height, width = gray.shape
    random = np.random.default_rng(seed)
    thresholds = np.maximum(random.normal(threshold, mismatch, (2, height, width)), 0.2 * threshold)
    thresholds = thresholds.astype(np.float32)
    corners = pixels_per_degree * np.array(CORNERS)
    views = _views(gray, corners)
    _, before = next(views)
    reference, time_before = before.copy(), 0.0
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for time, now in views:
        for rise in (True, False):
            found.append(_crossings(reference, before, now, thresholds[int(rise)], rise, time_before, time))
        before, time_before = now, time
    pixel, t, p = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(t, kind="stable")
    pixel, t, p = pixel[order], t[order], p[order]
    return EventStream(pixel % width, pixel // width, t, p, width, height)


def saccade_settings() -> dict[str, Any]:
    """Everything but the picture and the seed that shapes a recording by `simulate_saccades`, JSON-like."""
    defaults = {name: each.default for name, each in inspect.signature(simulate_saccades).parameters.items()}
    del defaults["picture"], defaults["seed"]
    return {**defaults, "field": FIELD, "corners": CORNERS, "saccade_us": SACCADE_US, "linear_below": LINEAR_BELOW}


def _scaled_gray(picture: np.ndarray) -> np.ndarray:
    """Luma of the picture scaled to fit the field, (height, width) float32, 0 to 255."""
    image = PIL.Image.fromarray(picture).convert("L")
    scale = min(FIELD[0] / image.width, FIELD[1] / image.height)
    width, height = round(image.width * scale), round(image.height * scale)
    if min(width, height) < 2:
        raise BadInput(f"a picture of {image.width}x{image.height} pixels is too narrow to be scanned")
    return np.asarray(image.resize((width, height), PIL.Image.Resampling.BICUBIC), dtype=np.float32)


def _views(gray: np.ndarray, corners: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Time (microseconds) and log intensity (height, width) at each step of the scan, the start included."""
    reach = int(np.ceil(np.abs(corners).max())) + 1
    wide = np.pad(gray, reach, mode="edge")
    for saccade, (start, end) in enumerate(itertools.pairwise(corners)):
        steps = max(1, int(np.ceil(2 * np.linalg.norm(end - start))))
        for step in range(0 if saccade == 0 else 1, steps + 1):
            x, y = start + (end - start) * step / steps
            yield (saccade + step / steps) * SACCADE_US, log_intensity(_window(wide, gray.shape, reach + x, reach + y))


def _window(wide: np.ndarray, shape: tuple[int, ...], x: float, y: float) -> np.ndarray:
    """A window of a picture whose corner lies between pixels, bilinear."""
    left, top = int(np.floor(x)), int(np.floor(y))
    across, down = np.float32(x - left), np.float32(y - top)
    rows = wide[top : top + shape[0] + 1, left : left + shape[1] + 1]
    rows = rows[:-1] * (1 - down) + rows[1:] * down
    return rows[:, :-1] * (1 - across) + rows[:, 1:] * across


def log_intensity(gray: np.ndarray) -> np.ndarray:
    """Natural log of gray levels 0 to 255, linear below 20 and continuous there; float32."""
    slope = np.float32(np.log(LINEAR_BELOW) / LINEAR_BELOW)
    return np.where(gray <= LINEAR_BELOW, gray * slope, np.log(np.maximum(gray, LINEAR_BELOW))).astype(np.float32)


def _crossings(
    reference: np.ndarray,
    before: np.ndarray,
    now: np.ndarray,
    thresholds: np.ndarray,
    rise: bool,
    time_before: float,
    time_now: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events of one polarity in one step: pixel numbers, times, polarities. Moves `reference` along."""
    sign = 1 if rise else -1
    counts = np.floor(sign * (now - reference) / thresholds).clip(min=0).astype(np.int64)
    pixels = np.flatnonzero(counts)
    times_each = counts.ravel()[pixels]
    pixel = np.repeat(pixels, times_each)
    ends = np.cumsum(times_each)
    which = np.arange(len(pixel)) - np.repeat(ends - times_each, times_each) + 1  # 1, 2, ... at each pixel
    level = reference.ravel()[pixel] + sign * which * thresholds.ravel()[pixel]
    start, stop = before.ravel()[pixel], now.ravel()[pixel]
    # Rounding may leave a crossing to the next step, in which the pixel may stand still: then it fires at its end.
    share = np.divide(level - start, stop - start, where=stop != start, out=np.ones_like(level))
    share = np.clip(share, 0.0, 1.0)
    reference += sign * counts * thresholds
    time = time_before + share * (time_now - time_before)
    return pixel, np.rint(time).astype(np.int64), np.full(len(pixel), rise)
