"""The representation `count-image`: formula, region of activity, window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind.plugin import BadInput, BadOption, create_part, tables
from anybind_events.representations.activity import Box, find_active_box, find_dense_window
from anybind_events.stream import EventStream


def build_stream(x, y, t=None, p=None, width: int = 64, height: int = 48) -> EventStream:
    x, y = np.asarray(x, np.uint16), np.asarray(y, np.uint16)
    t = np.arange(len(x)) if t is None else np.asarray(t)
    return EventStream(x, y, t, np.ones(len(x), bool) if p is None else np.asarray(p, bool), width, height)


def draw_noise(rng: np.random.Generator, count: int, width: int = 64, height: int = 48):
    return rng.integers(width, size=count), rng.integers(height, size=count)


def draw_ring(rng: np.random.Generator, count: int, center: tuple[int, int], radius: int):
    angle = rng.uniform(0, 2 * np.pi, count)
    return (np.rint(c + radius * f(angle)).astype(int) for c, f in zip(center, (np.cos, np.sin), strict=True))


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.floats(1, 100))
@settings(max_examples=40, deadline=None)
def test_frame_equals_the_formula_in_float64(seed, count, percentile):
    rng = np.random.default_rng(seed)
    x, y = draw_noise(rng, count, 9, 7)
    stream = build_stream(x, y, p=rng.random(count) < 0.5, width=9, height=7)
    counts = np.zeros((2, 7, 9))
    np.add.at(counts, (stream.p.astype(int), stream.y, stream.x), 1)
    off, on = counts
    total = on + off
    limit = max(np.percentile(total[total > 0], percentile), 1.0)
    expected = 1 - np.minimum(np.stack([on, total, off]) / limit, 1)
    options = {"percentile": percentile, "crop": False, "density": None}
    frame = create_part("representation", "count-image", **options)(stream)
    assert frame.dtype == np.float32
    np.testing.assert_allclose(frame, expected, atol=1e-6)


def test_region_surrounds_a_small_object_despite_noise_and_hot_pixels():
    rng = np.random.default_rng(0)
    ring, noise = draw_ring(rng, 600, (45, 15), 8), draw_noise(rng, 300)
    hot = np.full(2000, 3), np.full(2000, 40)
    x, y = (np.concatenate(parts) for parts in zip(ring, noise, hot, strict=True))
    box = find_active_box(build_stream(x, y), margin=0.1)
    assert box.width == box.height < 30
    assert box.left <= 38
    assert box.left + box.width >= 52
    assert box.top <= 8
    assert box.top + box.height >= 22


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_has_no_region(seed):
    x, y = draw_noise(np.random.default_rng(seed), 4000)
    box = find_active_box(build_stream(x, y), margin=0.1)
    assert box.width * box.height >= 0.8 * 48 * 48


@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_few_events_give_a_frame(count):
    frame = create_part("representation", "count-image")(build_stream(np.arange(count), np.arange(count)))
    assert frame.shape[0] == 3
    assert (frame < 1).any()
    assert frame.min() >= 0


def test_region_beyond_the_sensor_is_white():
    planes = np.arange(1, 13).reshape(1, 3, 4)
    region = Box(-1, -1, 6, 6).cut(planes)
    assert region.shape == (1, 6, 6)
    np.testing.assert_array_equal(region[0, 1:4, 1:5], planes[0])
    assert region.sum() == planes.sum()


def test_window_lies_where_events_are_fast_and_has_the_density():
    slow, fast = np.linspace(0, 900_000, 6000), np.linspace(900_000, 1_000_000, 6000)
    x, y = draw_noise(np.random.default_rng(1), 12_000)
    stream = build_stream(x, y, np.concatenate([slow, fast]).astype(np.int64))
    first, last = find_dense_window(stream, Box(0, 0, 64, 48), density=0.6)
    assert last - first == pytest.approx(0.6 * 64 * 48, abs=2)
    assert stream.t[first] >= 890_000


def test_a_burst_at_one_time_is_not_the_window():
    times = np.sort(np.concatenate([np.full(2500, 500_000), np.linspace(0, 1_000_000, 20_000)])).astype(np.int64)
    x, y = draw_noise(np.random.default_rng(2), len(times))
    first, last = find_dense_window(build_stream(x, y, times), Box(0, 0, 64, 48), density=0.6)
    assert (times[first:last] == 500_000).sum() < 100


def test_a_short_recording_is_used_whole():
    x, y = draw_noise(np.random.default_rng(3), 400)
    assert find_dense_window(build_stream(x, y), Box(0, 0, 64, 48), density=0.6) == (0, 400)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"percentile": 0}, "percentile: expected a number above 0 and at most 100"),
        ({"percentile": 101}, "percentile: expected a number above 0 and at most 100"),
        ({"margin": -0.1}, "margin: expected a number from 0 to 1"),
        ({"density": 0}, "density: expected a number above 0"),
        ({"crop": 1}, "crop: expected true or false"),
    ],
)
def test_invalid_options_are_errors(options, message):
    with pytest.raises(BadOption, match=message):
        create_part("representation", "count-image", **options)


def test_a_sensor_with_too_many_pixels_is_an_error():
    with pytest.raises(BadInput, match="65535x65535 pixels is too large for 3 channels"):
        create_part("representation", "count-image")(build_stream([0], [0], width=65_535, height=65_535))


def test_strided_columns_give_the_same_frame():
    rng = np.random.default_rng(5)
    stream = build_stream(*draw_noise(rng, 3000), p=rng.random(3000) < 0.5)
    representation = create_part("representation", "count-image")
    packed = stream[::3]
    copied = build_stream(packed.x.copy(), packed.y.copy(), packed.t.copy(), packed.p.copy())
    np.testing.assert_array_equal(representation(packed), representation(copied))


def test_settings_differ_with_every_option():
    options = ({}, {"percentile": 50}, {"crop": False}, {"margin": 0.2}, {"density": 0.5}, {"density": None})
    settings = [create_part("representation", "count-image", **each).settings for each in options]
    assert len({tables.hash_settings(dict(each)) for each in settings}) == len(options)


def test_the_shown_region_is_that_of_the_frame():
    stream = build_stream(*draw_ring(np.random.default_rng(0), 600, (45, 15), 8))
    left, top, right, bottom = create_part("representation", "count-image").find_region(stream)
    box = find_active_box(stream, 0.1)
    np.testing.assert_allclose([left * 64, right * 64], [box.left, box.left + box.width])
    np.testing.assert_allclose([top * 48, bottom * 48], [box.top, box.top + box.height])
    assert create_part("representation", "count-image", crop=False).find_region(stream) == (0, 0, 1, 1)
