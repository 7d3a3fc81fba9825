"""`TimeSurface` compared with the exponential of each pixel's last time, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind_events.representations.time_surface import TimeSurface
from anybind_events.stream import EventStream


def surface(stream: EventStream, tau: float) -> np.ndarray:
    result = np.zeros((2, stream.height, stream.width))
    for x, y, t, p in zip(stream.x, stream.y, stream.t, stream.p, strict=True):
        result[int(p), y, x] = np.exp((int(t) - int(stream.t[-1])) / tau)
    return result


@settings(deadline=None)
@given(stream=..., tau=st.sampled_from([1.0, 50.0, 5e4, 1e9, 1e12, 1e14]))
def test_a_pixel_is_the_exponential_of_the_time_since_its_last_event(stream: EventStream, tau: float) -> None:
    # An exponent of -100 in float32 is right to 4e-6, which is then the relative error of the exponential.
    np.testing.assert_allclose(TimeSurface(tau)(stream), surface(stream, tau), rtol=1e-5, atol=1e-37)


def test_off_and_on_have_a_channel_each_and_the_last_event_counts() -> None:
    stream = EventStream([0, 0, 1, 0], [0] * 4, [0, 100, 200, 300], [True, False, True, True], 2, 1)
    expected = [[np.exp(-2), 0], [1, np.exp(-1)]]
    np.testing.assert_allclose(TimeSurface(100)(stream)[:, 0], expected, rtol=1e-6)


def test_a_very_old_event_has_no_effect() -> None:
    stream = EventStream([0, 1], [0, 0], [0, 10_000], [True, True], 2, 1)
    assert TimeSurface(50)(stream)[1, 0].tolist() == [0, 1]


@pytest.mark.parametrize("years", [0.001, 1, 100])
def test_a_surface_over_years_is_exact_to_float32(years: float) -> None:
    duration = int(years * 365.25 * 86400e6)
    random = np.random.default_rng(0)
    times = np.sort(random.integers(0, duration, 1000))
    stream = EventStream(range(1000), [0] * 1000, times, [True] * 1000, 1000, 1)
    result = TimeSurface(duration / 5)(stream)
    np.testing.assert_allclose(result, surface(stream, duration / 5), rtol=1e-6)


def test_without_events_all_values_are_0() -> None:
    assert not TimeSurface()(EventStream([], [], [], [], 3, 2)).any()
