"""The corruptions: functions of a stream, a generator and settings that return a stream, and which events are signal.

Each takes a recording with at least one event. Background activity, hot pixels and flicker are those of the sensor
model of the simulations: events that such a sensor sends of a still, uniformly gray scene.
"""

from __future__ import annotations

import math

import numpy as np

from anybind_events.corruptions.kernels import darken
from anybind_events.insertion import insert_events
from anybind_events.simulation.sensor import compute_log_intensity
from anybind_events.simulation.sensor_model import ModelledSensor, SensorModel, place_region
from anybind_events.stream import EventStream

GRAY = 127.0
"""Gray level, of 255, of the still scene."""
Labelled = tuple[EventStream, np.ndarray]
"""A stream, and which of its events are signal, (n,) bool."""


def add_background_noise(stream: EventStream, rng: np.random.Generator, shot_hz: float) -> Labelled:
    """Add background activity: events of either polarity per pixel and second, all over the sensor."""
    return _add_sensor_events(stream, rng, SensorModel(shot_hz=shot_hz))


def add_hot_pixels(stream: EventStream, rng: np.random.Generator, share: float, hot_hz: float = 300.0) -> Labelled:
    """Add hot pixels: a share of the pixels, at least one, each with a log-normal rate of that median, in Hz."""
    count = max(1, round(share * stream.width * stream.height))
    return _add_sensor_events(stream, rng, SensorModel(hot_pixels=count, hot_hz=hot_hz))


def add_flicker(
    stream: EventStream, rng: np.random.Generator, share: float, flicker_hz: float = 100.0, contrast: float = 0.8
) -> Labelled:
    """Add a rectangle of a share of the sensor in which the light flickers, with a peak-to-peak contrast."""
    model = SensorModel(flicker_hz=flicker_hz, flicker_contrast=contrast, flicker_share=share, random_reference=True)
    return _add_sensor_events(stream, rng, model)


def drop_events(stream: EventStream, rng: np.random.Generator, probability: float) -> Labelled:
    """Drop each event with a probability."""
    return _label(stream[rng.random(len(stream), dtype=np.float32) >= probability])


def blind_region(stream: EventStream, rng: np.random.Generator, share: float) -> Labelled:
    """Drop the events of a rectangle of a share of the sensor, at random."""
    alive = np.ones((stream.height, stream.width), np.bool_)
    alive[place_region(rng, share, alive.shape)] = False
    return _label(stream[alive[stream.y, stream.x]])


def darken_scene(stream: EventStream, rng: np.random.Generator, threshold: float, cutoff_hz: float) -> Labelled:
    """Simulate low light: slower pixels that need more change.

    Each event is a step of the log intensity of its pixel, which passes a first-order low pass, the photoreceptor in
    the dark; the result has an event at each multiple of a higher threshold.

    Args:
        stream: the recording.
        rng: draws where between two thresholds each pixel begins.
        threshold: contrast threshold, in thresholds of the recording's sensor, 1 or more.
        cutoff_hz: cut-off frequency of the low pass, in Hz.
    """
    references = rng.uniform(-threshold / 2, threshold / 2, stream.width * stream.height)
    cells = stream.y.astype(np.int64) * stream.width + stream.x
    tau = 1e6 / (2 * math.pi * cutoff_hz)
    pixels, times, polarities = darken(cells, stream.t, stream.p, references, threshold, tau)
    order = np.argsort(times, kind="stable")
    y, x = np.divmod(pixels[order], stream.width)
    x, y, times, polarities = x.astype(np.uint16), y.astype(np.uint16), times[order], polarities[order]
    return _label(stream.from_valid(x, y, times, polarities, stream.width, stream.height))


def jitter_times(stream: EventStream, rng: np.random.Generator, sigma_us: float) -> Labelled:
    """Move the time of each event by a normal deviate, reflected at the ends of the recording."""
    moved = stream.t - stream.t[0] + np.rint(rng.normal(0, sigma_us, len(stream))).astype(np.int64)
    period = 2 * max(stream.duration_us, 1)
    moved %= period
    moved = stream.t[0] + np.minimum(np.minimum(moved, period - moved), stream.duration_us)
    order = np.argsort(moved, kind="stable")
    x, y, t, p = (column[order] for column in (stream.x, stream.y, moved, stream.p))
    return _label(stream.from_valid(x, y, t, p, stream.width, stream.height))


def coarsen(stream: EventStream, rng: np.random.Generator, factor: int) -> Labelled:
    """Reduce the resolution by a factor: see `EventStream.downsample`. It uses no randomness."""
    return _label(stream.downsample(factor))


def _label(stream: EventStream) -> Labelled:
    return stream, np.ones(len(stream), np.bool_)


def _add_sensor_events(stream: EventStream, rng: np.random.Generator, model: SensorModel) -> Labelled:
    """Add the events of a sensor that views a still scene as long as the recording lasts."""
    view = compute_log_intensity(np.full((stream.height, stream.width), GRAY, np.float32))
    start, end = int(stream.t[0]), int(stream.t[-1]) + 1
    noise = ModelledSensor(model, view, start, int(rng.integers(1 << 32))).update(view, end)
    return insert_events(stream, noise.x, noise.y, np.minimum(noise.t, end - 1), noise.p)
