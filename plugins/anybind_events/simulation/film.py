"""Event recordings of videos, simulated frame by frame: in memory that does not grow with the video."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from anybind.plugin import samples
from anybind_events.simulation.pixels import changed, look_up
from anybind_events.simulation.sensor import Noise, Sensor, check_numbers, draw_thresholds, log_intensity
from anybind_events.stream import EventStream


def frame_difference(video: samples.VideoSample, *, threshold: float = 25.0) -> Iterator[EventStream]:
    """Simulate events where consecutive frames differ by more than a threshold: the paper's way of making events.

    A pixel gives one event, at the time of the later frame, where |difference| > threshold; it is a rise where the
    later frame is brighter. Gray is the video's own luma (see `VideoFrame`), not the weighted sum .2989 R + .587 G +
    .114 B that the authors' later code takes: on even gray they agree.

    Args:
        video: the video.
        threshold: in gray levels, of 255; 25 in the paper, 10 in the description of the authors' code.

    Yields:
        one stream a frame; that of the first is empty.

    Raises:
        BadOption: the threshold is not above 0 and finite.
        BadInput: what the video raises, or frames larger than any sensor can be.
    """
    check_numbers(0, threshold=threshold)
    limit = np.uint8(min(threshold, 255))  # differences are whole numbers
    before: np.ndarray | None = None
    for each in video.frames():
        time, frame = each.time_us, each.gray
        height, width = frame.shape
        if before is None:
            yield _nothing(frame)
        else:
            change = np.maximum(frame, before)
            change -= np.minimum(frame, before)
            fires = (change > limit).ravel()
            x, y, rises = changed(fires, frame.ravel(), before.ravel(), width, int(np.count_nonzero(fires)))
            yield EventStream.of_checked(x, y, np.full(len(x), time, np.int64), rises, width, height)
        before = frame


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
    """Simulate a sensor: a pixel fires whenever its log intensity has moved by its threshold.

    Between frames the log intensity runs in a straight line, along which times are interpolated, so that a pixel may
    fire many times from one frame to the next. It is the natural log of the video's luma, linear below gray level 20.
    Luma is coded with a gamma of about 2.2, so that a step of its log is 2.2 times as large in the log of the light
    itself.

    Args:
        video: the video.
        seed: of the thresholds and the shot noise; the same seed gives the same recording.
        threshold: mean contrast threshold, in natural log units.
        mismatch: standard deviation of the threshold over pixels and polarities.
        refractory_us: how long a pixel sees nothing after an event; it then starts from the brightness it meets.
        leak_hz: rises that a pixel fires in a second while nothing changes, about 0.1 in a real sensor.
        shot_hz: events of chance, of either polarity, of a pixel in a second: evenly spread over sensor and time,
            where a real sensor has more of them in the dark; they do not change when the pixel fires next.

    Yields:
        one stream a frame: the events since the frame before; that of the first is empty.

    Raises:
        BadOption: a number or the seed is negative or not finite, or the threshold is below 0.001.
        BadInput: what the video raises, or frames larger than any sensor can be.
    """
    rates = {"refractory_us": refractory_us, "leak_hz": leak_hz, "shot_hz": shot_hz}
    check_numbers(seed, threshold=threshold, mismatch=mismatch, **rates)
    random = np.random.default_rng(seed)
    levels = log_intensity(np.arange(256, dtype=np.float32))
    sensor, views, last = None, itertools.cycle([np.empty(0, np.float32)]), 0
    for each in video.frames():
        time, frame = each.time_us, each.gray
        if sensor is None:
            yield _nothing(frame)
            views = itertools.cycle([np.empty(frame.shape, np.float32) for _ in range(2)])
            view = look_up(frame, levels, next(views))
            falls, rises = draw_thresholds(random, threshold, mismatch, frame.shape)
            sensor = Sensor(view, time, falls, rises, refractory_us=refractory_us, leak_hz=leak_hz)
        else:
            noise = _shots(random, shot_hz, last, time, frame.size)
            yield sensor.see(look_up(frame, levels, next(views)), time, noise)
        last = time


def _nothing(frame: np.ndarray) -> EventStream:
    """No events, of a sensor of a frame's size; raises `BadInput` where no sensor is so large."""
    none = np.empty(0, np.int64)
    return EventStream(none, none, none, none, frame.shape[1], frame.shape[0])


def _shots(random: np.random.Generator, rate_hz: float, start: int, end: int, pixels: int) -> Noise | None:
    """Events of chance between two times."""
    count = random.poisson(rate_hz * 1e-6 * (end - start) * pixels)
    if not count:
        return None
    where, when = random.integers(pixels, size=count), random.integers(start, end, size=count)
    return where, when, random.random(count) < 0.5
