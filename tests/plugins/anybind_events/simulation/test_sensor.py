"""Events of the simulated sensor at the computed times, compared with a loop over single pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind_events.simulation.sensor import SimulatedSensor, compute_log_intensity, draw_thresholds
from anybind_events.stream import EventStream


def plane(*levels: float) -> np.ndarray:
    """Return one row of pixels."""
    return np.array([levels], dtype=np.float32)


def sensor(first: np.ndarray, threshold: float = 0.25, **options: float) -> SimulatedSensor:
    """Return a sensor with one threshold for all pixels, initialised by the first view at time 0."""
    thresholds = np.full(first.shape, threshold, dtype=np.float32)
    return SimulatedSensor(first, 0, thresholds, thresholds, **options)


def events(stream: EventStream) -> list[tuple[int, int, bool]]:
    """Return column, time and polarity of each event."""
    return list(zip(stream.x.tolist(), stream.t.tolist(), stream.p.tolist(), strict=True))


@pytest.mark.parametrize("gray", [0.0, 1.0, 10.0, 20.0, 20.5, 100.0, 255.0])
def test_log_intensity_is_the_natural_log_and_below_20_a_line_through_0(gray: float) -> None:
    expected = math.log(gray) if gray > 20 else gray * math.log(20) / 20
    assert compute_log_intensity(np.array([gray], dtype=np.float32))[0] == pytest.approx(expected, rel=1e-6)


def test_a_ramp_gives_an_event_at_each_threshold_at_the_time_of_its_crossing() -> None:
    stream = sensor(plane(0.0)).update(plane(1.0), 1000)
    assert events(stream) == [(0, 250, True), (0, 500, True), (0, 750, True), (0, 1000, True)]


def test_a_decreasing_ramp_gives_off_events() -> None:
    stream = sensor(plane(2.0)).update(plane(1.25), 300)
    assert events(stream) == [(0, 100, False), (0, 200, False), (0, 300, False)]


def test_the_remainder_of_a_step_counts_in_the_next() -> None:
    eye = sensor(plane(0.0))
    assert events(eye.update(plane(0.2), 100)) == []
    assert events(eye.update(plane(0.3), 200)) == [(0, 150, True)]
    assert events(eye.update(plane(0.1), 300)) == []
    # The last event was at 0.25; a fall comes at 0, half a step below 0.1.
    assert events(eye.update(plane(-0.1), 400)) == [(0, 350, False)]


def test_on_and_off_have_their_own_thresholds() -> None:
    falls, rises = plane(0.5), plane(0.25)
    eye = SimulatedSensor(plane(0.0), 0, falls, rises)
    assert events(eye.update(plane(0.5), 100)) == [(0, 50, True), (0, 100, True)]
    assert events(eye.update(plane(0.0), 200)) == [(0, 200, False)]


def test_events_of_a_step_are_sorted_by_time_polarity_and_pixel() -> None:
    eye = sensor(plane(1.0, 0.0, 0.0, 1.0))
    stream = eye.update(plane(0.5, 0.5, 0.5, 0.5), 100)
    assert events(stream) == [
        (1, 50, True),
        (2, 50, True),
        (0, 50, False),
        (3, 50, False),
        (1, 100, True),
        (2, 100, True),
        (0, 100, False),
        (3, 100, False),
    ]


def test_pixels_are_numbered_row_by_row() -> None:
    first = np.zeros((3, 2), np.float32)
    now = first.copy()
    now[2, 1] = 0.3
    stream = sensor(first).update(now, 100)
    assert (stream.x.tolist(), stream.y.tolist()) == ([1], [2])
    assert (stream.width, stream.height) == (2, 3)


def test_a_refractory_pixel_resumes_from_the_current_intensity() -> None:
    # At 0.1 in 100 us; blind until 250, when the ramp is at 0.25, so that the next event is at 0.35; and so on.
    stream = sensor(plane(0.0), threshold=0.1, refractory_us=150).update(plane(1.0), 1000)
    assert events(stream) == [(0, 100, True), (0, 350, True), (0, 600, True), (0, 850, True)]


def test_a_refractory_period_spans_several_steps() -> None:
    eye = sensor(plane(0.0), threshold=0.1, refractory_us=1550)
    assert events(eye.update(plane(1.0), 1000)) == [(0, 100, True)]
    assert events(eye.update(plane(1.0), 1500)) == []
    # It sees again at 1650, where the fall from 1 at 1500 to 0 at 2500 is at 0.85.
    assert events(eye.update(plane(0.0), 2500)) == [(0, 1750, False)]


def test_a_refractory_period_can_end_with_a_step() -> None:
    eye = sensor(plane(0.0), threshold=0.125, refractory_us=875)
    assert events(eye.update(plane(1.0), 1000)) == [(0, 125, True)]
    assert events(eye.update(plane(2.0), 2000)) == [(0, 1125, True)]


def test_a_leak_gives_on_events_of_a_static_pixel() -> None:
    eye = sensor(plane(1.0, 2.0), leak_hz=10)
    emitted = [event for step in range(1, 26) for event in events(eye.update(plane(1.0, 2.0), 40_000 * step))]
    assert [x for x, _, _ in emitted] == [0, 1] * 10
    assert all(on for _, _, on in emitted)
    np.testing.assert_allclose([t for x, t, _ in emitted if x == 0], np.arange(1, 11) * 100_000, atol=20)


def test_a_refractory_period_delays_leak_events() -> None:
    eye = sensor(plane(1.0), leak_hz=10, refractory_us=25_000)
    emitted = [event for step in range(1, 26) for event in events(eye.update(plane(1.0), 40_000 * step))]
    np.testing.assert_allclose([t for _, t, _ in emitted], 100_000 + 125_000 * np.arange(8), atol=20)


def test_noise_events_are_inserted_by_time_and_leave_the_others_unchanged() -> None:
    noise = np.array([2, 1]), np.array([300, 100]), np.array([True, False])
    noisy, quiet = sensor(plane(0.0, 0.0, 0.0)), sensor(plane(0.0, 0.0, 0.0))
    stream = noisy.update(plane(0.5, 0.0, 0.0), 400, noise)
    assert events(stream) == [(1, 100, False), (0, 200, True), (2, 300, True), (0, 400, True)]
    quiet.update(plane(0.5, 0.0, 0.0), 400)
    assert events(noisy.update(plane(0.0, 0.3, 0.3), 800)) == events(quiet.update(plane(0.0, 0.3, 0.3), 800))


def test_two_views_of_equal_time_are_a_step_change() -> None:
    eye = sensor(plane(0.0), refractory_us=10)
    assert events(eye.update(plane(1.0), 0)) == [(0, 0, True)]


def test_more_events_than_the_capacity_are_all_returned() -> None:
    first, now = np.zeros((50, 60), np.float32), np.full((50, 60), 2.5, np.float32)
    stream = sensor(first, threshold=0.03125).update(now, 10_000)
    assert len(stream) == 80 * 3000
    assert np.bincount(stream.y.astype(int) * 60 + stream.x).tolist() == [80] * 3000
    assert (np.diff(stream.t) >= 0).all()


def test_a_static_pixel_gives_valid_times() -> None:
    # Rounded to float32, four thresholds are counted in the first step and a fifth is left over, which is
    # found in the second step, where the pixel does not move and there is no line to interpolate on.
    eye = sensor(plane(0.13303848), threshold=0.20531064)
    first, second = eye.update(plane(1.1595917), 100), eye.update(plane(1.1595917), 200)
    assert len(first) + len(second) >= 4
    assert all(0 <= time <= 100 for time in first.t)
    assert all(100 <= time <= 200 for time in second.t)


@pytest.mark.parametrize("span", [1 << 17, (1 << 18) + 5, 10**10], ids=str)
def test_events_of_a_long_step_are_in_the_order_of_time(span: int) -> None:
    ends = np.random.default_rng(1).uniform(-3, 3, (20, 30)).astype(np.float32)
    stream = sensor(np.zeros((20, 30), np.float32), threshold=0.01).update(ends, span)
    assert len(stream) > 10_000
    assert (np.diff(stream.t) >= 0).all()
    by_pixel = stream.t[(stream.x == 3) & (stream.y == 4)]
    count = int(abs(float(ends[4, 3])) / 0.01)
    np.testing.assert_allclose(by_pixel, 0.01 * np.arange(1, count + 1) / abs(ends[4, 3]) * span, rtol=1e-4, atol=1)


def test_thresholds_are_normal_and_never_below_a_fifth_of_their_mean() -> None:
    falls, rises = draw_thresholds(np.random.default_rng(0), 0.25, 0.1, (200, 300))
    for drawn in (falls, rises):
        assert drawn.dtype == np.float32
        assert drawn.min() == np.float32(0.05)
        assert drawn.mean() == pytest.approx(0.25, abs=0.002)
        assert drawn.std() == pytest.approx(0.1, abs=0.005)
    assert not np.array_equal(falls, rises)


# Multiples of 1/64 below 8, and thresholds from 8/64: their differences are exact in float32, and their
# quotients lie on whole numbers or well away from them, so that no rounding can move a count.
LEVEL = st.integers(0, 511).map(lambda number: number / 64)
THRESHOLD = st.integers(8, 60).map(lambda number: number / 64)
PATHS = st.lists(st.lists(LEVEL, min_size=3, max_size=3), min_size=2, max_size=5)


def plain_events(
    path: Sequence[float], times: Sequence[float], fall: float, on: float, refractory: float = 0.0
) -> list[tuple[float, bool]]:
    """Return times and polarities of one pixel's events, crossing by crossing."""
    reference, blind_until, emitted = path[0], -math.inf, []
    for (level, time), (end_level, end) in itertools.pairwise(zip(path, times, strict=True)):
        slope = (end_level - level) / (end - time)
        if blind_until >= end:
            continue
        if blind_until >= time:
            reference = level + slope * (blind_until - time)
        while not reference - fall < end_level < reference + on:
            up = end_level > reference
            goal = reference + on if up else reference - fall
            now = time + (goal - level) / slope
            emitted.append((now, up))
            reference, blind_until = goal, now + refractory
            if refractory and blind_until >= end:
                break
            if refractory:
                reference = level + slope * (blind_until - time)
        else:
            blind_until = -math.inf
    return emitted


@settings(max_examples=150, deadline=None)
@given(paths=PATHS, fall=THRESHOLD, on=THRESHOLD)
def test_every_threshold_crossing_gives_one_event(paths: list[list[float]], fall: float, on: float) -> None:
    planes = [plane(*levels) for levels in paths]
    eye = SimulatedSensor(planes[0], 0, np.full((1, 3), fall, np.float32), np.full((1, 3), on, np.float32))
    emitted = [event for step, view in enumerate(planes[1:], 1) for event in events(eye.update(view, 1000 * step))]
    times = [1000.0 * step for step in range(len(paths))]
    for pixel in range(3):
        expected = plain_events([levels[pixel] for levels in paths], times, fall, on)
        mine = [(t, p) for x, t, p in emitted if x == pixel]
        assert [p for _, p in mine] == [p for _, p in expected]
        np.testing.assert_allclose([t for t, _ in mine], [t for t, _ in expected], atol=0.51)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(paths=PATHS, threshold=THRESHOLD, refractory=st.integers(50, 3000))
def test_every_event_is_followed_by_a_refractory_period(
    paths: list[list[float]], threshold: float, refractory: int
) -> None:
    threshold += 0.0011234567  # so that no crossing falls on the end of a step
    planes = [plane(*levels) for levels in paths]
    eye = sensor(planes[0], threshold=threshold, refractory_us=refractory)
    emitted = [event for step, view in enumerate(planes[1:], 1) for event in events(eye.update(view, 1000 * step))]
    times = [1000.0 * step for step in range(len(paths))]
    for pixel in range(3):
        path = [levels[pixel] for levels in paths]
        expected = plain_events(path, times, threshold, threshold, float(refractory))
        mine = [(t, p) for x, t, p in emitted if x == pixel]
        assert all(late - early >= refractory - 1 for (early, _), (late, _) in itertools.pairwise(mine))
        assert [p for _, p in mine] == [p for _, p in expected]
        np.testing.assert_allclose([t for t, _ in mine], [t for t, _ in expected], atol=1.5)


@settings(max_examples=100, deadline=None)
@given(
    paths=st.lists(st.lists(st.floats(0, 6, width=32), min_size=3, max_size=3), min_size=2, max_size=6),
    threshold=st.floats(0.0625, 1.0, width=32),
)
def test_summed_events_reconstruct_the_log_intensity_within_a_threshold(
    paths: list[list[float]], threshold: float
) -> None:
    planes = [plane(*levels) for levels in paths]
    eye = sensor(planes[0], threshold=threshold)
    level = planes[0].astype(np.float64).copy()
    for step, view in enumerate(planes[1:], 1):
        stream = eye.update(view, 1000 * step)
        np.add.at(level, (stream.y, stream.x), np.where(stream.p, threshold, -threshold))
        assert np.abs(level - view).max() < threshold * 1.001 + 1e-5
