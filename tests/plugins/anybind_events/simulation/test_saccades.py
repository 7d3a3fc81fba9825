"""Simulated saccades: what must hold of any recording, and the event model against a loop over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind import BadInput, BadOption
from anybind_events.simulation.saccades import _crossings, log_intensity, simulate_saccades
from anybind_events.stream import EventStream


def texture(contrast: float, shape: tuple[int, int] = (45, 60)) -> np.ndarray:
    """Gray blotches around the middle gray; the same ones for any contrast, which is at most 127."""
    blotches = np.random.default_rng(7).uniform(-1, 1, shape)
    gray = np.rint(128 + contrast * blotches).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def columns(stream: EventStream) -> list[object]:
    return [*(getattr(stream, name).tolist() for name in "xytp"), stream.width, stream.height]


@pytest.fixture(scope="module")
def recording() -> EventStream:
    return simulate_saccades(texture(100), seed=1)


def test_the_same_picture_and_seed_give_the_same_recording(recording: EventStream) -> None:
    assert columns(simulate_saccades(texture(100), seed=1)) == columns(recording)


def test_another_seed_gives_another_recording(recording: EventStream) -> None:
    assert columns(simulate_saccades(texture(100), seed=2)) != columns(recording)


def test_the_picture_stays_as_it_was() -> None:
    picture = texture(100)
    simulate_saccades(picture)
    assert np.array_equal(picture, texture(100))


def test_the_more_contrast_the_more_events() -> None:
    counts = [len(simulate_saccades(texture(contrast))) for contrast in (20, 40, 60, 80, 100, 120)]
    assert counts == sorted(set(counts))
    assert counts[0] > 0


@pytest.mark.parametrize("gray", [0, 10, 20, 128, 255])
def test_a_uniform_picture_gives_no_events(gray: int) -> None:
    assert len(simulate_saccades(np.full((30, 40, 3), gray, dtype=np.uint8))) == 0


def test_a_higher_threshold_gives_fewer_events() -> None:
    counts = [len(simulate_saccades(texture(100), threshold=threshold)) for threshold in (0.6, 0.4, 0.2, 0.1)]
    assert counts == sorted(set(counts))


def test_events_lie_inside_the_sensor_and_inside_the_300_ms_of_three_saccades(recording: EventStream) -> None:
    assert recording.x.max() < recording.width
    assert recording.y.max() < recording.height
    assert 0 <= recording.t[0] <= recording.t[-1] <= 300_000


def test_events_are_in_the_order_of_time(recording: EventStream) -> None:
    assert (np.diff(recording.t) >= 0).all()


def test_each_of_the_three_saccades_gives_events(recording: EventStream) -> None:
    assert [len(recording.between(start, start + 100_000)) > 0 for start in (0, 100_000, 200_000)] == [True] * 3


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((480, 640), (240, 180)),
        ((180, 240), (240, 180)),
        ((50, 200), (240, 60)),
        ((200, 50), (45, 180)),
        ((10, 10), (180, 180)),
    ],
)
def test_a_picture_is_scaled_to_fit_240_by_180_and_keeps_its_aspect(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    stream = simulate_saccades(texture(60, shape))
    assert (stream.width, stream.height) == size


def test_a_camera_that_comes_back_to_where_it_began_sees_about_as_many_rises_as_falls(recording: EventStream) -> None:
    assert recording.p.mean() == pytest.approx(0.5, abs=0.02)


def test_a_pixel_that_comes_back_to_its_brightness_has_risen_as_far_as_it_fell() -> None:
    # Without mismatch every event is one threshold; what is left at the end is less than one either way.
    stream = simulate_saccades(texture(100), mismatch=0)
    balance = np.zeros((stream.height, stream.width), dtype=np.int64)
    np.add.at(balance, (stream.y, stream.x), np.where(stream.p, 1, -1))
    assert np.abs(balance).max() <= 1


@pytest.mark.parametrize("shape", [(2, 1000), (1000, 2)])
def test_a_picture_too_narrow_to_be_scanned_is_refused_and_its_size_is_named(shape: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match=f"{shape[1]}x{shape[0]} pixels is too narrow"):
        simulate_saccades(texture(60, shape))


@pytest.mark.parametrize(
    "options", [{"threshold": 0}, {"threshold": -0.1}, {"threshold": math.nan}, {"mismatch": -0.1}], ids=str
)
def test_a_threshold_or_a_mismatch_that_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(
        BadOption, match=r"(threshold must be a finite number above 0|mismatch must be a finite number 0 or more), got"
    ):
        simulate_saccades(texture(60), **options)


@pytest.mark.parametrize(
    "options", [{"threshold": math.inf}, {"mismatch": math.nan}, {"pixels_per_degree": math.nan}], ids=str
)
def test_an_option_that_is_no_finite_number_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(BadOption):
        simulate_saccades(texture(60), **options)


@pytest.mark.parametrize("gray", [0.0, 1.0, 10.0, 20.0, 20.5, 100.0, 255.0])
def test_log_intensity_is_the_natural_log_and_below_20_a_line_through_0(gray: float) -> None:
    expected = math.log(gray) if gray > 20 else gray * math.log(20) / 20
    assert log_intensity(np.array([gray], dtype=np.float32))[0] == pytest.approx(expected, rel=1e-6)


# Multiples of 1/64 below 8, and thresholds from 8/64: their differences are exact in float32, and their
# quotients lie on whole numbers or well away from them, so that no rounding can move a count.
LEVELS = st.lists(st.integers(0, 511), min_size=12, max_size=12)
THRESHOLDS = st.lists(st.integers(8, 60), min_size=12, max_size=12)


def as_plane(numbers: list[int]) -> np.ndarray:
    return (np.array(numbers, dtype=np.float32) / 64).reshape(3, 4)


def crossings_of_a_pixel(reference: float, now: float, threshold: float, rise: bool) -> list[float]:
    """The levels that a pixel fires at, one threshold after the other, as long as it has got that far."""
    levels = []
    step = threshold if rise else -threshold
    while (reference + step <= now) if rise else (reference + step >= now):
        reference += step
        levels.append(reference)
    return levels


@settings(max_examples=100)
@given(reference=LEVELS, now=LEVELS, thresholds=THRESHOLDS, rise=st.booleans())
def test_a_pixel_fires_once_for_each_threshold_it_has_crossed_since_its_last_event(
    reference: list[int], now: list[int], thresholds: list[int], rise: bool
) -> None:
    planes = [as_plane(numbers) for numbers in (reference, now, thresholds)]
    moving = planes[0].copy()
    pixel, _, polarity = _crossings(moving, planes[0], planes[1], planes[2], rise, 0.0, 1000.0)
    counts, last_levels = [], []
    for level, end, threshold in zip(*(plane.ravel().tolist() for plane in planes), strict=True):
        fired = crossings_of_a_pixel(level, end, threshold, rise)
        counts.append(len(fired))
        last_levels.append(fired[-1] if fired else level)
    assert np.bincount(pixel, minlength=12).tolist() == counts
    assert (polarity == rise).all()
    # A pixel remembers the level of its last event.
    np.testing.assert_allclose(moving.ravel(), last_levels, atol=1e-6)


@settings(max_examples=100)
@given(before=LEVELS, now=LEVELS, thresholds=THRESHOLDS, rise=st.booleans())
def test_an_event_comes_when_a_straight_line_from_before_to_now_crosses_its_level(
    before: list[int], now: list[int], thresholds: list[int], rise: bool
) -> None:
    planes = [as_plane(numbers) for numbers in (before, now, thresholds)]
    pixel, times, _ = _crossings(planes[0].copy(), *planes, rise, 2000.0, 3000.0)
    expected = [
        (number, 2000 + 1000 * (level - start) / (end - start))
        for number, (start, end, threshold) in enumerate(zip(*(each.ravel().tolist() for each in planes), strict=True))
        for level in crossings_of_a_pixel(start, end, threshold, rise)
    ]
    assert pixel.tolist() == [number for number, _ in expected]
    # Times are whole microseconds.
    np.testing.assert_allclose(times, [time for _, time in expected], atol=0.5 + 1e-3)


def test_a_pixel_that_stands_still_gives_no_event_of_an_impossible_time() -> None:
    # Rounded to float32, four thresholds are counted in the first step and a fifth is left over, which is
    # found in the second step, where the pixel does not move and there is no line to interpolate on.
    reference, now, threshold = (np.array([number], dtype=np.float32) for number in (0.13303848, 1.1595917, 0.20531064))
    moving = reference.copy()
    _, first, _ = _crossings(moving, reference, now, threshold, True, 0.0, 100.0)
    _, second, _ = _crossings(moving, now, now, threshold, True, 100.0, 200.0)
    assert all(0 <= time <= 100 for time in first)
    assert all(100 <= time <= 200 for time in second)


@pytest.mark.parametrize(("dark", "bright", "steps"), [(39, 192, 3), (42, 241, 3), (52, 159, 7)])
def test_an_edge_that_is_a_whole_number_of_thresholds_high_gives_no_event_of_an_impossible_time(
    dark: int, bright: int, steps: int
) -> None:
    # A whole number up to rounding, that is: here the last threshold is lost in one step and found in the next.
    low, high = log_intensity(np.array([dark, bright], dtype=np.float32))
    threshold = float((high - low) / np.float32(steps))
    picture = np.full((6, 240, 3), dark, dtype=np.uint8)
    picture[:, 80:160] = bright
    stream = simulate_saccades(picture, threshold=threshold, mismatch=0)
    assert 0 <= stream.t[0] <= stream.t[-1] <= 300_000
