"""`CountFrame` compared with Eq. 1, summed event by event in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_events.representations.paper import CountFrame
from anybind_events.stream import EventStream


def sums(stream: EventStream) -> np.ndarray:
    """Return E(x, y) = sum over p and t of E(x, y, t, p), in float64."""
    frame = np.zeros((stream.height, stream.width), dtype=np.float64)
    for x, y in zip(stream.x, stream.y, strict=True):
        frame[y, x] += 1
    return frame


def eq_1(stream: EventStream, limit: float = np.inf) -> np.ndarray:
    """Return E(x, y) / (max(E) + 1), with counts clamped at the limit."""
    counts = np.minimum(sums(stream), limit)
    return counts / (counts.max() + 1)


@st.composite
def streams(draw: st.DrawFn) -> EventStream:
    """Draw recordings of few pixels, so that many events share one; some with one or no event."""
    width, height = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    pixel = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), st.booleans())
    pixels = draw(st.lists(pixel, max_size=60))
    x, y, p = ([each[column] for each in pixels] for column in range(3))
    return EventStream(x, y, range(len(pixels)), p, width, height)


NONE = EventStream([], [], [], [], 3, 2)
ONE = EventStream([2], [1], [5], [False], 3, 2)
# Counts 1, 2, 3, 10 at the pixels 0 to 3 of the upper row; the lower row saw nothing.
UNEVEN = EventStream([0] + [1] * 2 + [2] * 3 + [3] * 10, [0] * 16, range(16), [True] * 16, 4, 2)


@settings(deadline=None)
@given(stream=streams())
def test_the_frame_is_eq_1(stream: EventStream) -> None:
    np.testing.assert_allclose(CountFrame()(stream)[0], eq_1(stream), rtol=1e-6)


@pytest.mark.parametrize(("options", "value"), [({}, 0), ({"invert": True, "clamp_percentile": 90}, 1)])
def test_a_recording_without_events_is_constant(options: dict, value: int) -> None:
    assert CountFrame(**options)(NONE).tolist() == [[[value] * 3] * 2]


def test_one_event_is_one_half_at_its_pixel() -> None:
    assert CountFrame()(ONE).tolist() == [[[0, 0, 0], [0, 0, 0.5]]]


def test_on_and_off_events_count_equally() -> None:
    mixed = EventStream([0, 0, 0], [0, 0, 0], [1, 2, 3], [True, False, True], 1, 1)
    assert CountFrame()(mixed).item() == 0.75


@settings(deadline=None)
@given(stream=streams(), clamp=st.floats(0.5, 20))
def test_counts_are_clamped_before_they_are_normalised(stream: EventStream, clamp: float) -> None:
    np.testing.assert_allclose(CountFrame(clamp=clamp)(stream)[0], eq_1(stream, clamp), rtol=1e-6)


def test_a_clamp_changes_the_divisor() -> None:
    # 3 + 1, and no longer 10 + 1.
    np.testing.assert_allclose(CountFrame(clamp=3)(UNEVEN)[0, 0], [1 / 4, 2 / 4, 3 / 4, 3 / 4], rtol=1e-6)


@settings(deadline=None)
@given(stream=streams().filter(len), percentile=st.floats(1, 100))
def test_a_clamp_percentile_is_one_of_the_nonzero_counts(stream: EventStream, percentile: float) -> None:
    counts = sums(stream)
    limit = np.percentile(counts[counts > 0], percentile)
    np.testing.assert_allclose(
        CountFrame(clamp_percentile=percentile)(stream)[0], eq_1(stream, float(limit)), rtol=1e-6
    )


def test_pixels_without_events_do_not_lower_a_clamp_percentile() -> None:
    # The median of 1, 2, 3, 10 is 2.5; with the four zero counts it would be 0.5.
    np.testing.assert_allclose(CountFrame(clamp_percentile=50)(UNEVEN)[0, 0, 3], 2.5 / 3.5, rtol=1e-6)


@settings(deadline=None)
@given(stream=streams(), clamp=st.none() | st.floats(0.5, 20))
def test_inverted_the_frame_is_1_minus_its_value(stream: EventStream, clamp: float | None) -> None:
    np.testing.assert_allclose(
        CountFrame(clamp=clamp, invert=True)(stream)[0], 1 - eq_1(stream, clamp or np.inf), rtol=1e-6
    )


@settings(deadline=None)
@given(stream=streams())
def test_values_are_from_0_to_below_1_and_inverted_from_above_0_to_1(stream: EventStream) -> None:
    frame, inverted = CountFrame()(stream), CountFrame(invert=True)(stream)
    assert frame.min() >= 0
    assert frame.max() < 1
    assert inverted.min() > 0
    assert inverted.max() <= 1


@settings(deadline=None)
@given(stream=streams())
def test_the_recording_is_not_changed(stream: EventStream) -> None:
    before = [getattr(stream, name).tolist() for name in "xytp"]
    CountFrame(clamp=1, invert=True)(stream)
    assert [getattr(stream, name).tolist() for name in "xytp"] == before


def test_the_last_pixel_of_the_widest_sensor_is_counted() -> None:
    # y * width must not be computed in the columns' 16 bits.
    wide = EventStream([1279], [719], [0], [True], 1280, 720)
    frame = CountFrame()(wide)
    assert frame[0, 719, 1279] == 0.5
    assert frame.sum() == 0.5


def test_the_representation_is_created_by_name_with_options() -> None:
    assert create_part("representation", "paper", clamp=20, invert=True) == CountFrame(clamp=20, invert=True)


@settings(deadline=None)
@given(stream=streams(), clamp=st.sampled_from([None, 1, 3]))
def test_divided_by_the_maximum_the_largest_count_is_1(stream: EventStream, clamp: float | None) -> None:
    counts = np.minimum(sums(stream), np.inf if clamp is None else clamp)
    frame = CountFrame(clamp=clamp, divisor="max")(stream)[0]
    np.testing.assert_allclose(frame, counts / max(counts.max(), 1), rtol=1e-6)
    if clamp == 1:
        assert set(np.unique(frame)) <= {0, 1}


def test_the_default_divisor_is_not_in_the_settings_that_identities_hash() -> None:
    assert "divisor" not in CountFrame().settings
    assert CountFrame(divisor="max").settings["divisor"] == "max"


def test_an_unknown_divisor_is_an_error() -> None:
    with pytest.raises(BadOption, match=r"divisor: expected max\+1 or max, got 'sum'"):
        CountFrame(divisor="sum")
