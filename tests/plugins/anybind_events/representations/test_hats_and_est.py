"""`hats` and `est` compared with their equations, event by event in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind_events.representations.averaged_time_surfaces import AveragedTimeSurfaces
from anybind_events.representations.spike_tensor import SpikeTensor
from anybind_events.stream import EventStream


def average_surfaces(stream: EventStream, cell: int, radius: int, tau: float, window: float) -> np.ndarray:
    side = 2 * radius + 1
    result = np.zeros((2, -(-stream.height // cell) * side, -(-stream.width // cell) * side))
    events = list(zip(stream.x.tolist(), stream.y.tolist(), stream.t.tolist(), stream.p.tolist(), strict=True))
    counts: dict[tuple[int, int], int] = {}
    for x, y, t, p in events:
        place = y // cell, x // cell
        counts[place] = counts.get(place, 0) + 1
        for u, v, s, q in events:
            is_near = abs(u - x) <= radius and abs(v - y) <= radius and (v // cell, u // cell) == place
            if is_near and q == p and t - window <= s < t:
                index = place[0] * side + v - y + radius, place[1] * side + u - x + radius
                result[(int(p), *index)] += np.exp((s - t) / tau)
    for (row, column), count in counts.items():
        result[:, row * side : (row + 1) * side, column * side : (column + 1) * side] /= count
    return result


def make_stream(events: int, width: int, height: int, duration: int, seed: int = 0) -> EventStream:
    random = np.random.default_rng(seed)
    x, y = random.integers(0, width, events), random.integers(0, height, events)
    return EventStream(x, y, np.sort(random.integers(0, duration, events)), random.random(events) < 0.5, width, height)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**16),
    cell=st.sampled_from([1, 4, 10]),
    radius=st.sampled_from([0, 1, 3]),
    tau=st.sampled_from([5.0, 300.0, 1e9]),
    window=st.sampled_from([None, 40.0, 500.0]),
)
def test_hats_equals_its_equations(seed: int, cell: int, radius: int, tau: float, window: float | None) -> None:
    stream = make_stream(150, 13, 11, 1000, seed)
    expected = average_surfaces(stream, cell, radius, tau, np.inf if window is None else window)
    frame = AveragedTimeSurfaces(cell=cell, radius=radius, tau=tau, window=window)(stream)
    np.testing.assert_allclose(frame, expected, rtol=1e-5, atol=1e-7)


def test_hats_of_three_events_by_hand() -> None:
    """The last event sees two earlier ones one pixel to its left; an OFF event and another cell have no effect."""
    stream = EventStream([1, 1, 1, 5, 2], [0] * 5, [0, 100, 100, 150, 200], [True, True, False, True, True], 8, 1)
    frame = AveragedTimeSurfaces(cell=4, radius=1, tau=100)(stream)
    assert frame.shape == (2, 3, 6)
    assert frame[1, 1, 0] == pytest.approx((np.exp(-2) + np.exp(-1)) / 4)
    assert frame[1, 1, 1] == pytest.approx(np.exp(-1) / 4)  # the second event's own pixel
    assert not frame[0].any()
    assert not frame[1, :, 3:].any()


def test_events_of_one_time_do_not_see_each_other() -> None:
    assert not AveragedTimeSurfaces()(EventStream([0, 1, 2], [0] * 3, [7] * 3, [True] * 3, 5, 1)).any()


def test_gray_hats_is_one_channel_up_to_1() -> None:
    stream = make_stream(500, 30, 20, 10_000)
    gray, both = AveragedTimeSurfaces(gray=True)(stream), AveragedTimeSurfaces()(stream)
    assert gray.max() == 1
    np.testing.assert_allclose(gray[0], both.sum(axis=0) / both.sum(axis=0).max(), rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(stream=..., bins=st.sampled_from([1, 2, 9]), measurement=st.sampled_from(["time", "count", "polarity"]))
def test_est_equals_its_equation(stream: EventStream, bins: int, measurement: str) -> None:
    expected = np.zeros((2, bins, stream.height, stream.width))
    duration = max(stream.duration_us, 1)
    for x, y, t, p in zip(stream.x, stream.y, stream.t, stream.p, strict=True):
        time = (int(t) - int(stream.t[0])) / duration
        value = {"time": time, "count": 1, "polarity": 1 if p else -1}[measurement]
        expected[int(p), :, y, x] += value * np.maximum(0, 1 - np.abs((bins - 1) * time - np.arange(bins)))
    frame = SpikeTensor(bins=bins, measurement=measurement)(stream)
    np.testing.assert_allclose(frame, expected.reshape(2 * bins, stream.height, stream.width), rtol=1e-5, atol=1e-5)


def test_est_has_18_channels_as_published() -> None:
    assert SpikeTensor()(make_stream(10, 6, 5, 100)).shape == (18, 5, 6)
