"""Event recordings of films, made frame by frame: in memory that does not grow with the film."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind_events.simulation.pixels import changed, look_up
from anybind_events.simulation.sensor import Noise, Sensor, check_numbers, draw_thresholds, log_intensity
from anybind_events.stream import EventStream, concatenate_streams

WINDOW = 16
"""Frames of one sample in the paper."""
AHEAD = 8
"""Frames that are decoded while others are simulated."""
T = TypeVar("T")


class Film(Protocol):
    """What can be simulated: anything that plays as the samples of `video` do."""

    def frames(self, *, gray: bool) -> Iterator[tuple[int, np.ndarray]]:
        """Times in microseconds, never falling, and frames, (height, width) uint8 when gray is asked for."""
        ...


def frame_difference(film: Film, *, threshold: float = 25.0) -> Iterator[EventStream]:
    """Events where consecutive frames differ by more than a threshold: the paper's way of making events of films.

    A pixel gives one event, at the time of the later frame, where |difference| > threshold; it is a rise where the
    later frame is brighter. Gray is the film's own luma (see the frames of a `video` sample), not the weighted sum
    .2989 R + .587 G + .114 B that the authors' later code takes: on even gray they agree. In the paper, 16 consecutive
    frames make one sample: see `frame_windows`.

    Args:
        film: the film.
        threshold: in gray levels, of 255; 25 in the paper, 10 in the description of the authors' code.

    Yields:
        one stream a frame; that of the first is empty.

    Raises:
        BadOption: the threshold is not above 0 and finite.
        BadInput: what the film raises, or frames larger than any sensor can be.
    """
    check_numbers(0, threshold=threshold)
    limit = np.uint8(min(threshold, 255))  # differences are whole numbers
    before: np.ndarray | None = None
    for time, frame in ahead(film.frames(gray=True)):
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
    film: Film,
    *,
    seed: int = 0,
    threshold: float = 0.25,
    mismatch: float = 0.03,
    refractory_us: float = 0.0,
    leak_hz: float = 0.0,
    shot_hz: float = 0.0,
) -> Iterator[EventStream]:
    """Events of a film by a model of the sensor: a pixel fires whenever its log intensity has moved by its threshold.

    Between frames the log intensity runs in a straight line, along which times are interpolated, so that a pixel may
    fire many times from one frame to the next. It is the natural log of the film's luma (see the frames of a `video`
    sample), linear below gray level 20. Luma is coded with a gamma of about 2.2, so that a step of its log
    is 2.2 times as large in the log of the light itself.

    Args:
        film: the film.
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
        BadInput: what the film raises, or frames larger than any sensor can be.
    """
    rates = {"refractory_us": refractory_us, "leak_hz": leak_hz, "shot_hz": shot_hz}
    check_numbers(seed, threshold=threshold, mismatch=mismatch, **rates)
    random = np.random.default_rng(seed)
    levels = log_intensity(np.arange(256, dtype=np.float32))
    sensor, views, last = None, itertools.cycle([np.empty(0, np.float32)]), 0
    for time, frame in ahead(film.frames(gray=True)):
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


def frame_windows(
    film: Film, *, frames: int = WINDOW, stride: int | None = None, threshold: float = 25.0
) -> Iterator[tuple[range, EventStream]]:
    """The events of `frame_difference` in samples of consecutive frames, 16 in the paper.

    The events of a frame are those where it differs from the frame before it, also from the last one of the sample
    before: so no event is lost between samples. Every frame is in a sample; the last one may be of fewer frames.

    Args:
        film: the film.
        frames: how many make a sample.
        stride: frames from the beginning of a sample to that of the next, 1 to `frames`; `frames` by default.
        threshold: as of `frame_difference`.

    Yields:
        the numbers of the sample's frames, from 0, and its events. Of a film that is damaged, also those of its last
        whole frames, before the error is raised.

    Raises:
        BadOption: `frames` or `stride` makes no sense, or as `frame_difference`.
        BadInput: as `frame_difference`.
    """
    stride = frames if stride is None else stride
    if frames < 1 or not 1 <= stride <= frames:
        raise BadOption(f"a sample must be of at least 1 frame and the stride 1 to {frames}, got {frames} and {stride}")
    window: deque[EventStream] = deque()
    first = done = 0
    damage: BadInput | None = None
    try:
        for stream in frame_difference(film, threshold=threshold):
            window.append(stream)
            if len(window) == frames:
                yield range(first, first + frames), concatenate_streams(list(window))
                first, done = first + stride, first + frames
                for _ in range(stride):
                    window.popleft()
    except BadInput as error:
        damage = error
    if first + len(window) > done:
        yield range(first, first + len(window)), concatenate_streams(list(window))
    if damage is not None:
        raise damage


def ahead(items: Iterator[T], count: int = AHEAD) -> Iterator[T]:
    """The same items, made in a thread of their own, up to `count` before they are asked for."""
    end = object()
    with ThreadPoolExecutor(max_workers=1) as maker:
        coming = deque(maker.submit(next, items, end) for _ in range(count))
        try:
            while (item := coming.popleft().result()) is not end:
                coming.append(maker.submit(next, items, end))
                yield item  # pyright: ignore[reportReturnType]
        finally:
            for future in coming:
                future.cancel()
