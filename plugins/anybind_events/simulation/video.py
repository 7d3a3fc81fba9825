"""Simulated event recordings of videos, frame by frame: memory is independent of the length of the video."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from anybind.plugin import BadOption, errors, samples
from anybind_events.simulation.pixels import list_changed_pixels, map_levels
from anybind_events.simulation.sensor import (
    Noise,
    SimulatedSensor,
    check_numbers,
    compute_log_intensity,
    draw_thresholds,
)
from anybind_events.stream import EventStream

GRAY_WEIGHTS = {
    "gray": np.array([0.2989, 0.587, 0.114], np.float32),
    "color": np.array([0.299, 0.587, 0.114], np.float32),
}
DIFFERENCES = ("luma", *GRAY_WEIGHTS)
"""What consecutive frames differ in; see `frame_difference`."""


def frame_difference(
    video: samples.VideoSample, *, threshold: float = 25.0, difference: str = "luma"
) -> Iterator[EventStream]:
    """Simulate events where consecutive frames differ by more than a threshold, as in the paper.

    A pixel gives one event, at the time of the later frame, where |difference| > threshold; it is ON where the later
    frame is brighter.

    Args:
        video: the video.
        threshold: gray levels, of 255; 25 in the paper, 10 in the description of the authors' code.
        difference: `luma`: of the video's own luma (see `VideoFrame`); `gray`: of .2989 R + .587 G + .114 B, as in the
            authors' later code (equal to luma on gray pixels of full range); `color`: the absolute difference of the
            RGB frames, of which the gray value .299 R + .587 G + .114 B is rounded, as the description of the authors'
            code has it.

    Yields:
        one stream per frame; the first is empty.

    Raises:
        BadOption: the threshold is not above 0 and finite, or the difference is unknown.
        BadInput: raised by the video, or frames exceed the maximum sensor size.
    """
    check_numbers(0, threshold=threshold)
    if difference not in DIFFERENCES:
        raise BadOption(
            f"difference: expected {', '.join(DIFFERENCES)}, got {difference!r}"
            f"{errors.suggest_names(difference, DIFFERENCES)}"
        )
    previous: Levels | None = None
    for each in video.frames():
        levels = Levels(each, difference)
        height, width = levels.gray.shape
        if previous is None:
            yield _empty_stream(levels.gray)
        else:
            flags = levels.find_changes(previous, threshold).ravel()
            n_events = int(np.count_nonzero(flags))
            x, y, on = list_changed_pixels(flags, levels.gray.ravel(), previous.gray.ravel(), width, n_events)
            yield EventStream.from_valid(x, y, np.full(n_events, each.time_us, np.int64), on, width, height)
        previous = levels


class Levels:
    """What `frame_difference` compares of a frame.

    Attributes:
        gray: gray levels of 255, (height, width): uint8 luma, or the float32 sum of weighted colours.
    """

    def __init__(self, frame: samples.VideoFrame, difference: str) -> None:
        """Compute the gray levels, and keep the colours if they are compared."""
        self.colors = None if difference == "luma" else frame.rgb()
        self.gray = frame.gray if self.colors is None else self.colors @ GRAY_WEIGHTS[difference]
        if difference != "color":
            self.colors = None

    def find_changes(self, previous: Levels, threshold: float) -> np.ndarray:
        """Return which pixels differ from those of the previous frame by more than a threshold, (height, width)."""
        if self.colors is not None and previous.colors is not None:
            changes = _subtract(self.colors, previous.colors) @ GRAY_WEIGHTS["color"]
            return np.rint(changes, out=changes) > threshold
        if self.gray.dtype == np.uint8:
            return _subtract(self.gray, previous.gray) > np.uint8(min(threshold, 255))  # differences are whole numbers
        return np.abs(self.gray - previous.gray) > threshold


def _subtract(frame: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """Return the absolute difference of two uint8 arrays."""
    difference = np.maximum(frame, previous)
    difference -= np.minimum(frame, previous)
    return difference


def contrast(
    video: samples.VideoSample,
    *,
    seed: int = 0,
    threshold: float = 0.25,
    mismatch: float = 0.03,
    refractory_us: float = 0.0,
    leak_hz: float = 0.0,
    shot_hz: float = 0.0,
) -> Iterator[EventStream]:
    """Simulate a sensor: a pixel emits an event each time its log intensity changes by its threshold.

    The log intensity is linear between frames, and times are interpolated along it, so that a pixel may emit several
    events between two frames. It is the natural log of the video's luma, linear below gray level 20. Luma has a gamma
    of about 2.2, so that a change of its log corresponds to a 2.2 times larger change of the log of the light itself.

    Args:
        video: the video.
        seed: seed of the thresholds and the shot noise; the same seed gives the same recording.
        threshold: mean contrast threshold, in natural log units.
        mismatch: standard deviation of the threshold over pixels and polarities.
        refractory_us: refractory period after an event, in microseconds; the reference then is the current intensity.
        leak_hz: ON events per pixel and second while nothing changes, about 0.1 in a real sensor.
        shot_hz: shot-noise events, of either polarity, per pixel and second: uniform over sensor and time, whereas a
            real sensor has more of them in the dark; they do not change a pixel's reference.

    Yields:
        one stream per frame, with the events since the previous frame; the first is empty.

    Raises:
        BadOption: a number or the seed is negative or not finite, or the threshold is below 0.001.
        BadInput: raised by the video, or frames exceed the maximum sensor size.
    """
    rates = {"refractory_us": refractory_us, "leak_hz": leak_hz, "shot_hz": shot_hz}
    check_numbers(seed, threshold=threshold, mismatch=mismatch, **rates)
    rng = np.random.default_rng(seed)
    levels = compute_log_intensity(np.arange(256, dtype=np.float32))
    sensor, views, previous_us = None, itertools.cycle([np.empty(0, np.float32)]), 0
    for each in video.frames():
        time, frame = each.time_us, each.gray
        if sensor is None:
            yield _empty_stream(frame)
            views = itertools.cycle([np.empty(frame.shape, np.float32) for _ in range(2)])
            view = map_levels(frame, levels, next(views))
            off_thresholds, on_thresholds = draw_thresholds(rng, threshold, mismatch, frame.shape)
            sensor = SimulatedSensor(
                view, time, off_thresholds, on_thresholds, refractory_us=refractory_us, leak_hz=leak_hz
            )
        else:
            noise = _draw_shot_noise(rng, shot_hz, previous_us, time, frame.size)
            yield sensor.update(map_levels(frame, levels, next(views)), time, noise)
        previous_us = time


def _empty_stream(frame: np.ndarray) -> EventStream:
    """Return an empty stream of the frame's size; raise `BadInput` if it exceeds the maximum sensor size."""
    none = np.empty(0, np.int64)
    return EventStream(none, none, none, none, frame.shape[1], frame.shape[0])


def _draw_shot_noise(rng: np.random.Generator, rate_hz: float, start: int, end: int, pixels: int) -> Noise | None:
    """Draw shot-noise events between two times."""
    count = rng.poisson(rate_hz * 1e-6 * (end - start) * pixels)
    if not count:
        return None
    pixel_indices, times = rng.integers(pixels, size=count), rng.integers(start, end, size=count)
    return pixel_indices, times, rng.random(count) < 0.5
