"""The imperfections of the simulated sensor: each has the size that its option says, and none changes the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind.errors import BadOption
from anybind_events.simulation.pixels import limit_event_rate, smooth_step
from anybind_events.simulation.sensor import compute_log_intensity
from anybind_events.simulation.sensor_model import ModelledSensor, SensorModel
from anybind_events.stream import EventStream, concatenate_streams

SHAPE = (20, 30)


def record(model: SensorModel, grays: list[float], seconds: float = 1.0, shape: tuple[int, int] = SHAPE) -> EventStream:
    """Return the recording of uniform views, evenly spaced over the duration."""
    views = [compute_log_intensity(np.full(shape, gray, np.float32)) for gray in grays]
    times = np.linspace(0, seconds * 1e6, len(grays)).astype(int).tolist()
    sensor = ModelledSensor(model, views[0], 0, seed=3)
    return concatenate_streams([sensor.update(view, time) for view, time in zip(views[1:], times[1:], strict=True)])


def count_pixels(stream: EventStream) -> np.ndarray:
    return np.bincount(stream.y.astype(int) * stream.width + stream.x, minlength=stream.width * stream.height)


def test_a_still_view_gives_no_event_without_noise() -> None:
    assert len(record(SensorModel(random_reference=True), [90] * 11)) == 0


@pytest.mark.parametrize(("gray", "share"), [(0, 1.0), (255, 0.25), (127.5, 0.625)])
def test_background_activity_decreases_linearly_with_the_light_level(gray: float, share: float) -> None:
    stream = record(SensorModel(shot_hz=20.0, dark_ratio=4.0), [gray] * 11)
    # A dark pixel's log response is that of a linear level; at 0 its exponential is 1 of 255.
    assert len(stream) == pytest.approx(20 * share * 600, rel=0.06)
    assert stream.p.mean() == pytest.approx(0.5, abs=0.03)


def test_hot_pixels_have_their_number_and_median_rate() -> None:
    counts = count_pixels(record(SensorModel(hot_pixels=40, hot_hz=200.0, hot_spread=0.3), [90] * 6))
    assert np.count_nonzero(counts) == 40
    assert np.median(counts[counts > 0]) == pytest.approx(200, rel=0.2)


def test_dead_pixels_have_no_events_of_any_kind() -> None:
    model = SensorModel(dead_pixels=50, shot_hz=50.0, leak_hz=20.0, mismatch=0.0)
    assert np.count_nonzero(count_pixels(record(model, [30, 90, 30, 200])) == 0) == 50


def test_leaks_of_a_random_reference_begin_at_once_and_have_their_rate() -> None:
    stream = record(SensorModel(leak_hz=2.0, mismatch=0.0, random_reference=True), [90] * 11)
    assert stream.p.all()
    # From one OFF threshold below the next ON event to it: half of the pixels have an ON threshold to go at most.
    first = np.histogram(stream.t, [0, 250_000, 500_000])[0]
    assert first == pytest.approx([150, 150], abs=45)


@settings(deadline=None, max_examples=40)
@given(
    before=st.floats(0, 5), after=st.floats(0, 5), output=st.floats(0, 5), turns=st.floats(0.01, 30),
)  # fmt: skip
def test_the_low_pass_is_that_of_a_fine_integration(before: float, after: float, output: float, turns: float) -> None:
    arrays = [np.full((1, 1), value, np.float32) for value in (before, after, output, turns)]
    result = np.empty((1, 1), np.float32)
    smooth_step(*arrays, np.exp(-arrays[-1]), result)
    level, steps = output, 4000
    for step in range(steps):  # the midpoint rule, in float64
        slope = before + (after - before) * (step + 0.5) / steps
        half = level + (slope - level) * turns / steps / 2
        level += (slope - half) * turns / steps
    assert result[0, 0] == pytest.approx(level, abs=2e-3)


def test_a_slow_photoreceptor_delays_events_and_more_so_in_the_dark() -> None:
    def mean_time(gray: float, bandwidth: float) -> float:
        grays = [gray, *[1.5 * gray] * 50]
        return float(record(SensorModel(bandwidth_hz=bandwidth, mismatch=0.0, threshold=0.1), grays, 1.0).t.mean())

    assert mean_time(160, 0) < mean_time(160, 20) < mean_time(160, 5)
    assert mean_time(160, 5) < mean_time(40, 5)


def test_flicker_gives_events_of_its_frequency_in_one_region() -> None:
    model = SensorModel(flicker_hz=50.0, flicker_contrast=0.6, flicker_share=0.25, mismatch=0.0)
    stream = record(model, [90, 90])
    counts = count_pixels(stream).reshape(SHAPE)
    rows, columns = np.nonzero(counts)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (10, 15)
    # A peak-to-peak change of 0.6 crosses a threshold of 0.25 twice on the way up, and twice on the way down.
    assert np.median(counts[counts > 0]) == pytest.approx(50 * 4, rel=0.1)
    spectrum = np.abs(np.fft.rfft(np.histogram(stream.t[stream.p], 1000, (0, 1_000_000))[0]))
    assert 1 + int(spectrum[1:200].argmax()) == 50


@settings(deadline=None, max_examples=40)
@given(
    times=st.lists(st.integers(0, 50_000), min_size=1, max_size=300).map(sorted), rate=st.floats(1e-4, 0.05),
    cut=st.integers(0, 300),
)  # fmt: skip
def test_the_arbiter_never_reads_out_more_than_its_rate(times: list[int], rate: float, cut: int) -> None:
    def limit(parts: list[np.ndarray]) -> np.ndarray:
        state = np.array([rate * 1000, 0.0])
        return np.concatenate([limit_event_rate(part, rate, 1000.0, state) for part in parts])

    t = np.array(times)
    mask = limit([t])
    assert np.array_equal(mask, limit([t[:cut], t[cut:]]))
    read = t[mask]
    for first in range(0, len(read), 7):
        assert len(read) - first <= (read[-1] - read[first]) * rate + max(1.0, rate * 1000) + 1e-6


def test_a_limited_rate_drops_events_and_keeps_slow_recordings() -> None:
    busy, slow = [30, 200] * 6, [90, 95, 140]
    assert len(record(SensorModel(max_rate=20_000), busy)) == pytest.approx(20_000, rel=0.2)
    assert len(record(SensorModel(max_rate=1e9), busy)) == len(record(SensorModel(), busy)) > 40_000
    assert len(record(SensorModel(max_rate=1e7), slow)) == len(record(SensorModel(), slow))


def test_the_same_seed_gives_the_same_sensor() -> None:
    model = SensorModel(shot_hz=5, hot_pixels=3, dead_pixels=9, flicker_hz=30, bandwidth_hz=80, random_reference=True)
    first, second = (record(model, [30, 90, 200]) for _ in range(2))
    assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in "xytp")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth_hz": -1}, "bandwidth_hz: expected a finite number 0 or more, got -1"),
        ({"max_rate": np.inf}, "max_rate: expected a finite number"),
        ({"dark_ratio": 0.5}, "dark_ratio: expected 1 or more, got 0.5"),
        ({"flicker_share": 0}, "flicker_share: expected a share above 0 and at most 1, got 0"),
        ({"hot_pixels": 1.5}, "hot_pixels: expected a whole number, got 1.5"),
    ],
)
def test_an_invalid_option_is_an_error(options: dict[str, float], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        SensorModel(**options)
