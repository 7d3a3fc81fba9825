"""The imperfections of an event sensor as options: one implementation for all simulations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from anybind.plugin import BadOption
from anybind_events.simulation.pixels import limit_event_rate, smooth_step
from anybind_events.simulation.sensor import Noise, SimulatedSensor, check_numbers, draw_thresholds
from anybind_events.stream import EventStream, concatenate_streams

MIN_SIDE, MAX_SIDE = 8, 4096
"""Sides of a simulated sensor, in pixels."""
MIN_LIGHT = 0.05
"""Smallest light level, of 1, in the photoreceptor's bandwidth: in the dark a pixel is slow, but not blind."""
ARBITER_US = 1000.0
"""Microseconds of events at the limited rate that the arbiter buffers; our choice."""
FLICKER_STEPS = 8
"""Views per flicker period."""


@dataclass(frozen=True)
class SensorModel:
    """Options of a simulated sensor; the defaults are those of an ideal one with a little mismatch.

    Light levels are gray levels over 255, not linear light. The effects and their names follow Hu et al. (2021), "v2e";
    the implementation is ours.

    Attributes:
        threshold: mean contrast threshold, in natural log units of the gray level.
        mismatch: standard deviation of the threshold over pixels and polarities, in log units.
        refractory_us: refractory period after an event, in microseconds; the reference then is the current intensity.
        leak_hz: ON events per pixel and second while nothing changes, about 0.1 in a real sensor.
        bandwidth_hz: cut-off of the photoreceptor's first-order low pass at full light, in Hz; it is proportional to
            the light level, and at least 5 % of this. 0: unlimited.
        shot_hz: background activity: events of either polarity per pixel and second in the dark; they do not change a
            pixel's reference.
        dark_ratio: background activity in the dark over that at full light, 1 or more; linear in the light level.
        hot_pixels: number of hot pixels, at random positions.
        hot_hz: median rate of a hot pixel, in events per second.
        hot_spread: standard deviation of the natural log of the rates of hot pixels.
        dead_pixels: number of pixels without events, at random positions.
        flicker_hz: flicker frequency of the light in one region, in Hz (100 for lamps on mains of 50 Hz); 0: none.
        flicker_contrast: peak-to-peak flicker, in natural log units.
        flicker_share: area share, 0 to 1, of that region: a rectangle of the sensor's aspect ratio, at random.
        max_rate: largest rate that the arbiter reads out, in events per second; it drops the others. 0: unlimited.
        random_reference: begin with a random reference in each pixel, as in a sensor that has seen motion before.
    """

    threshold: float = 0.25
    mismatch: float = 0.03
    refractory_us: float = 0.0
    leak_hz: float = 0.0
    bandwidth_hz: float = 0.0
    shot_hz: float = 0.0
    dark_ratio: float = 1.0
    hot_pixels: int = 0
    hot_hz: float = 1000.0
    hot_spread: float = 0.5
    dead_pixels: int = 0
    flicker_hz: float = 0.0
    flicker_contrast: float = 0.5
    flicker_share: float = 0.1
    max_rate: float = 0.0
    random_reference: bool = False

    def __post_init__(self) -> None:
        """Check all numbers; raise `BadOption` for an invalid one."""
        check_numbers(0, **{each.name: getattr(self, each.name) for each in fields(self) if each.type != "bool"})
        if self.dark_ratio < 1:
            raise BadOption(f"dark_ratio: expected 1 or more, got {self.dark_ratio}")
        if not 0 < self.flicker_share <= 1:
            raise BadOption(f"flicker_share: expected a share above 0 and at most 1, got {self.flicker_share}")
        for name in ("hot_pixels", "dead_pixels"):
            if getattr(self, name) != int(getattr(self, name)):
                raise BadOption(f"{name}: expected a whole number, got {getattr(self, name)}")


class ModelledSensor:
    """A sensor with the imperfections of a `SensorModel`, updated view by view.

    Attributes:
        n_signal: number of events so far that are not background activity.
    """

    def __init__(self, model: SensorModel, first: np.ndarray, time: float, seed: int) -> None:
        """Initialise the sensor with a first view, (height, width) float32 log intensity, at a time in microseconds."""
        self._model, self._time, self._previous, self.n_signal = model, time, first, 0
        self._rng = np.random.default_rng(seed)
        off_thresholds, on_thresholds = draw_thresholds(self._rng, model.threshold, model.mismatch, first.shape)
        layout = np.random.default_rng([seed, 2])  # independent of the thresholds and the noise
        self._flicker = place_region(layout, model.flicker_share, first.shape)
        self._hot, self._dead = (
            layout.choice(first.size, min(count, first.size), replace=False)
            for count in (int(model.hot_pixels), int(model.dead_pixels))
        )
        self._hot_hz = model.hot_hz * np.exp(layout.normal(0, model.hot_spread, len(self._hot)))
        self._arbiter = np.array([model.max_rate * 1e-6 * ARBITER_US, time])
        self._input = self._output = level = self._add_flicker(first, time)
        self._buffers = itertools.cycle([np.empty_like(first) for _ in range(2)])
        reference = None
        if model.random_reference:
            # Anywhere between the next ON and the next OFF event.
            share = np.float32(0.999) * layout.random(first.shape, dtype=np.float32)
            reference = level + off_thresholds - share * (off_thresholds + on_thresholds)
        self._sensor = SimulatedSensor(
            level, time, off_thresholds, on_thresholds,
            refractory_us=model.refractory_us, leak_hz=model.leak_hz, reference=reference,
        )  # fmt: skip

    def update(self, view: np.ndarray, time: float) -> EventStream:
        """Return the events since the previous view, in time order.

        Args:
            view: log intensity, (height, width) float32; it must not change until the next update but one.
            time: microseconds, at least that of the previous view.
        """
        steps = int(np.ceil((time - self._time) * 1e-6 * self._model.flicker_hz * FLICKER_STEPS))
        streams: list[EventStream] = []
        start = self._time
        for step in range(1, steps):
            between = self._previous + np.float32(step / steps) * (view - self._previous)
            streams.append(self._advance(between, start, end := self._time + (time - self._time) * step // steps))
            start = end
        streams.append(self._advance(view, start, time))
        self._previous, self._time = view, time
        return streams[0] if len(streams) == 1 else concatenate_streams(streams)

    def _advance(self, view: np.ndarray, start: float, end: float) -> EventStream:
        model = self._model
        light = np.minimum(np.exp(view) / np.float32(255), 1) if model.bandwidth_hz or model.dark_ratio > 1 else view
        noise = self._draw_noise(light.ravel(), start, end)
        level = self._add_flicker(view, end)
        if model.bandwidth_hz:
            level = self._smooth(level, light, end - start)
        stream = self._sensor.update(level, end, noise)
        self.n_signal += len(stream) - (0 if noise is None else len(noise[0]))
        if len(self._dead):
            stream = stream[~np.isin(stream.y.astype(np.int64) * stream.width + stream.x, self._dead)]
        if model.max_rate:
            stream = stream[limit_event_rate(stream.t, model.max_rate * 1e-6, ARBITER_US, self._arbiter)]
        return stream

    def _smooth(self, level: np.ndarray, light: np.ndarray, duration: float) -> np.ndarray:
        """Return the output of the low pass whose input is linear in time from the previous level to this one."""
        turns = np.maximum(light, np.float32(MIN_LIGHT))
        turns *= np.float32(2e-6 * np.pi * self._model.bandwidth_hz * max(duration, 1))
        output = next(self._buffers)
        smooth_step(self._input, level, self._output, turns, np.exp(-turns), output)
        self._input, self._output = level, output
        return output

    def _add_flicker(self, view: np.ndarray, time: float) -> np.ndarray:
        model = self._model
        if not model.flicker_hz:
            return view
        level = view.copy()
        level[self._flicker] += np.float32(model.flicker_contrast / 2 * np.sin(2e-6 * np.pi * model.flicker_hz * time))
        return level

    def _draw_noise(self, light: np.ndarray, start: float, end: float) -> Noise | None:
        """Draw background activity and the events of hot pixels between two times."""
        model, rng, duration = self._model, self._rng, end - start
        span = round(start), max(round(end), round(start) + 1)
        count = rng.poisson(model.shot_hz * 1e-6 * duration * light.size)
        parts: list[Noise] = []
        if count:
            pixels, times = rng.integers(light.size, size=count), rng.integers(*span, size=count)
            on = rng.random(count) < 0.5
            if model.dark_ratio > 1:
                accepted = rng.random(count) < 1 - (1 - 1 / model.dark_ratio) * light[pixels]
                pixels, times, on = pixels[accepted], times[accepted], on[accepted]
            parts.append((pixels, times, on))
        if len(self._hot) and (total := int((counts := rng.poisson(self._hot_hz * 1e-6 * duration)).sum())):
            parts.append((np.repeat(self._hot, counts), rng.integers(*span, size=total), rng.random(total) < 0.5))
        return _join_noise(parts)


def check_size(width: int, height: int) -> None:
    """Raise `BadOption` unless both sides of a sensor are whole numbers of pixels from 8 to 4096."""
    for name, side in (("width", width), ("height", height)):
        if not isinstance(side, int) or not MIN_SIDE <= side <= MAX_SIDE:
            raise BadOption(f"{name}: expected a whole number of pixels from {MIN_SIDE} to {MAX_SIDE}, got {side!r}")


def _join_noise(parts: Sequence[Noise]) -> Noise | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    pixels, times, on = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pixels, times, on


def place_region(rng: np.random.Generator, share: float, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Place a rectangle of this area share and of the sensor's aspect ratio at random: its rows and columns."""
    sides = [max(1, round(np.sqrt(share) * side)) for side in shape]
    starts = [int(rng.integers(size - side + 1)) for size, side in zip(shape, sides, strict=True)]
    return tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))
