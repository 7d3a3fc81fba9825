"""The measure of activity separates noise from objects, and the choice of windows follows the speed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind_events import EventStream, choose_window, measure_activity
from anybind_events.kernels import count_active_pixels, count_supported_events
from anybind_events.pixel_counts import count_pixels
from helpers.streams import draw_noise, event_streams, move_bar

SENSORS = ((128, 128), (240, 180), (640, 480))


@pytest.mark.parametrize("seed", range(18))
def test_noise_with_hot_pixels_does_not_move(seed: int):
    random = np.random.default_rng(seed)
    hz, duration = 10 ** random.uniform(0, 1), int(random.uniform(50_000, 300_000))
    activity = measure_activity(draw_noise(duration, hz, *SENSORS[seed % 3], seed=seed, hot_pixels=seed % 5))
    assert not activity.moved
    assert activity.supported == pytest.approx(activity.expected, rel=0.15)
    assert activity.rate_hz == pytest.approx(hz, rel=0.1)


@pytest.mark.parametrize("noise_hz", [0, 1, 5])
@pytest.mark.parametrize("speed", [40, 150, 600])
def test_a_bar_moves_in_noise(noise_hz: float, speed: float):
    assert measure_activity(move_bar(100_000, side=128, speed=speed, noise_hz=noise_hz)).moved


def test_few_events_and_one_hot_pixel_do_not_move():
    empty = move_bar().head(0)
    assert not measure_activity(empty).moved
    assert not measure_activity(move_bar().head(10)[::2]).moved
    time = np.arange(0, 100_000, 100)
    pixel = np.full(len(time), 5)
    hot = measure_activity(EventStream(pixel, pixel, time, time % 200 == 0, 64, 64))
    assert not hot.moved
    assert hot.hot_pixels == 1
    one_time = EventStream(np.arange(9), np.arange(9), np.zeros(9), np.ones(9), 64, 64)
    assert not measure_activity(one_time).moved


@settings(max_examples=40, deadline=None)
@given(event_streams(st.integers(0, 3000), st.integers(3, 9), st.integers(3, 9)), st.integers(1, 2000))
def test_supported_events_are_those_of_a_direct_search(stream: EventStream, interval: int):
    if not len(stream):
        return
    supported, events, _ = count_supported_events(
        stream.x, stream.y, stream.t, stream.p, count_pixels(stream), np.array([interval]), 64, 1 << 20, 1 << 20
    )
    columns = [column.astype(np.int64) for column in (stream.x, stream.y, stream.t, stream.p)]
    expected = np.zeros(2)
    for i, (x, y, t, p) in enumerate(zip(*columns, strict=True)):
        near = [max(abs(x - columns[0][j]), abs(y - columns[1][j])) == 1 and p == columns[3][j] for j in range(i)]
        expected[p] += any(t - columns[2][j] <= interval for j in range(i) if near[j])
    assert supported[0, :, 0].tolist() == expected.tolist()
    assert events[:, 0].sum() == len(stream)


def test_active_pixels_have_events_around_them_and_filled_ones_active_sides():
    y, x = (grid.ravel() for grid in np.mgrid[2:7, 3:8])
    x, y = np.append(x, 15), np.append(y, 15)  # an event on its own
    sums = count_active_pixels(x.astype(np.uint16), y.astype(np.uint16), 20, 20, np.array([5, 26]))
    assert sums.tolist() == [[3, 0], [25, 9]]  # of a row, the ends have one neighbour; of a square, nine are inside


def test_faster_objects_have_shorter_windows():
    chosen = [choose_window(move_bar(1_000_000, side=128, speed=speed, noise_hz=1)) for speed in (30, 100, 800)]
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[0] > chosen[-1]
    assert choose_window(move_bar().head(0)) == 400_000
