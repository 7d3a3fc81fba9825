"""Event augmentation: the invariants and effects of each augmentation, and determinism by the seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind.errors import BadOption
from anybind_events import augmentation
from anybind_events.augmentation import EventAugmentation
from anybind_events.representations.author_code import AuthorFrame
from anybind_events.stream import EventStream
from helpers.streams import list_events


def recording(seed: int = 0, count: int = 500, width: int = 60, height: int = 40, span: int = 10_000) -> EventStream:
    random = np.random.default_rng(seed)
    t = np.sort(random.integers(1_000, 1_000 + span, count))
    x, y = random.integers(0, width, count), random.integers(0, height, count)
    return EventStream(x, y, t, random.random(count) < 0.5, width, height)


def same(first: EventStream, second: EventStream) -> bool:
    return list_events(first) == list_events(second) and (first.width, first.height) == (second.width, second.height)


def assert_right(stream: EventStream, of: EventStream) -> None:
    """Check that a recording is valid and on the same sensor."""
    for name in "xytp":
        assert getattr(stream, name).dtype == getattr(of, name).dtype
    checked = EventStream(stream.x, stream.y, stream.t, stream.p, of.width, of.height)
    assert same(checked, stream)


def is_part(part: list[object], whole: list[object]) -> bool:
    """Return whether a list is a subsequence of another."""
    rest = iter(whole)
    return all(each in rest for each in part)


CHANGES: dict[str, Callable[..., EventStream]] = {
    name: getattr(augmentation, name)
    for name in (
        "flip_time",
        "flip_horizontally",
        "shift_events",
        "drop_events",
        "add_uniform_noise",
        "add_near_noise",
        "crop_and_resize",
        "slice_events",
        "add_point_noise",
    )
}


@pytest.mark.parametrize("name", CHANGES)
@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 60),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    span=st.integers(1, 50),
)
def test_every_augmentation_gives_a_valid_recording_and_keeps_its_input(
    name: str, seed: int, count: int, width: int, height: int, span: int
) -> None:
    stream = recording(seed, count, width, height, span)
    before = list_events(stream)
    changed = CHANGES[name](stream, np.random.default_rng(seed))
    assert_right(changed, stream)
    assert list_events(stream) == before
    assert same(changed, CHANGES[name](stream, np.random.default_rng(seed)))


def test_flips_have_their_probability() -> None:
    stream, random = recording(count=5), np.random.default_rng(0)
    for flip, flipped in (
        (augmentation.flip_time, stream.flip_time()),
        (augmentation.flip_horizontally, stream.flip_horizontally()),
    ):
        assert same(flip(stream, random, 1.0), flipped)
        assert same(flip(stream, random, 0.0), stream)
        fraction = np.mean([same(flip(stream, random, 0.3), flipped) for _ in range(1_000)])
        assert fraction == pytest.approx(0.3, abs=0.05)


def test_a_time_flip_swaps_on_and_off_events() -> None:
    stream = recording()
    flipped = augmentation.flip_time(stream, np.random.default_rng(0), 1.0)
    assert flipped.p.sum() == (~stream.p).sum()
    assert flipped.duration_us == stream.duration_us


def test_a_shift_moves_all_events_and_drops_those_outside() -> None:
    stream, steps = recording(), set()
    for seed in range(300):
        shifted = augmentation.shift_events(stream, np.random.default_rng(seed), 3)
        fitting = [
            (right, down)
            for right in range(-3, 4)
            for down in range(-3, 4)
            if list_events(shifted)
            == [
                (x + right, y + down, t, p)
                for x, y, t, p in list_events(stream)
                if 0 <= x + right < stream.width and 0 <= y + down < stream.height
            ]
        ]
        assert len(fitting) == 1
        steps.update(fitting)
        if len(steps) == 49:
            return
    pytest.fail(f"only {len(steps)} of 49 steps came in 300 seeds")


def test_dropping_keeps_the_order_and_at_most_the_fraction_is_dropped() -> None:
    stream = recording(count=2_000)
    gone = []
    for seed in range(200):
        remaining = augmentation.drop_events(stream, np.random.default_rng(seed), 0.6)
        assert is_part(list_events(remaining), list_events(stream))
        gone.append(1 - len(remaining) / len(stream))
    assert max(gone) == pytest.approx(0.6, abs=0.06)
    assert min(gone) < 0.03
    assert np.mean(gone) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("add", [augmentation.add_uniform_noise, augmentation.add_near_noise])
def test_noise_is_added_and_no_event_is_lost(add: Callable[..., EventStream]) -> None:
    stream = recording()
    counts = []
    for seed in range(50):
        noisy = add(stream, np.random.default_rng(seed), 0.4)
        assert is_part(list_events(stream), list_events(noisy))
        assert noisy.t[0] == stream.t[0]
        assert noisy.t[-1] == stream.t[-1]
        counts.append(len(noisy) - len(stream))
    assert 0 <= min(counts) < 40
    assert 140 < max(counts) <= 200


def find_added(stream: EventStream, noisy: EventStream) -> list[tuple[int, int, int, bool]]:
    rest = list_events(noisy)
    for event in list_events(stream):
        rest.remove(event)
    return rest


def test_uniform_noise_covers_sensor_time_and_polarity() -> None:
    corner = EventStream([0] * 4_000, [0] * 4_000, range(4_000), [True] * 4_000, 4, 3)
    noise = find_added(corner, augmentation.add_uniform_noise(corner, np.random.default_rng(0), 1.0))
    assert {(x, y) for x, y, _, _ in noise} == {(x, y) for x in range(4) for y in range(3)}
    assert {p for *_, p in noise} == {True, False}
    quarters = np.bincount([t // 1_000 for _, _, t, _ in noise], minlength=4)
    assert quarters.min() > 0.8 * quarters.mean()


def test_near_noise_is_within_radius_and_time_of_an_event() -> None:
    stream = recording(count=40, width=600, height=400, span=100_000)
    noise = find_added(
        stream, augmentation.add_near_noise(stream, np.random.default_rng(1), 20.0, radius=2, microseconds=50)
    )
    assert len(noise) > 100
    apart = np.array(
        [[(abs(x - a), abs(y - b), abs(t - c)) for a, b, c, _ in list_events(stream)] for x, y, t, _ in noise]
    )
    near = (apart[..., 0] <= 2) & (apart[..., 1] <= 2) & (apart[..., 2] <= 50)
    assert near.any(axis=1).all()
    assert {p for *_, p in noise} == {True, False}
    assert apart[near].max(axis=0).tolist() == [2, 2, 50]
    assert near.any(axis=0).mean() > 0.9  # nearly every event has neighbours, not only one


def test_near_noise_beyond_the_sensor_is_dropped() -> None:
    edge = EventStream([0] * 900, [0] * 900, range(900), [True] * 900, 1, 1)
    noisy = augmentation.add_near_noise(edge, np.random.default_rng(0), 10.0, radius=1)
    extra = (len(noisy) - 900) / int(900 * np.random.default_rng(0).uniform(0, 10.0))
    assert extra == pytest.approx(1 / 9, abs=0.03)


def test_a_slice_is_contiguous_and_random_and_a_short_recording_whole() -> None:
    stream = recording(count=300)
    firsts = set()
    for seed in range(200):
        part = augmentation.slice_events(stream, np.random.default_rng(seed), 297)
        whole = list_events(stream)
        (first,) = [each for each in range(4) if list_events(part) == whole[each : each + 297]]
        firsts.add(first)
    assert firsts == {0, 1, 2, 3}
    assert augmentation.slice_events(stream, np.random.default_rng(0), 300) is stream


def test_a_grid_has_the_coordinates_of_the_authors_frame() -> None:
    stream = recording(width=640, height=480)
    scaled = augmentation.scale_to_grid(stream, np.random.default_rng(0), 224)
    assert (scaled.width, scaled.height) == (224, 224)
    assert scaled.x.tolist() == [x * 224 // 640 for x in stream.x.tolist()]
    assert scaled.y.tolist() == [y * 224 // 480 for y in stream.y.tolist()]
    frame = AuthorFrame(size=224)
    np.testing.assert_array_equal(frame(scaled), frame(stream))


def test_point_noise_has_one_polarity_and_follows_a_line_across_the_sensor() -> None:
    width, height, span = 300, 200, 1_000_000
    stream = EventStream([0, 0], [0, 0], [0, span], [True, True], width, height)
    polarities, counts = set(), []
    for seed in range(30):
        noisy = augmentation.add_point_noise(stream, np.random.default_rng(seed), (100, 5_000))
        noise = find_added(stream, noisy)
        counts.append(len(noise))
        polarities |= {p for *_, p in noise}
        assert len({p for *_, p in noise}) == 1
        x, y, t = (np.array([event[column] for event in noise], float) for column in range(3))
        inner = (x > 6) & (x < width - 7) & (y > 6) & (y < height - 7)  # near the edge, a part is outside
        if inner.sum() < 500:
            continue
        for column in (x, y):
            residual = column[inner] - np.polyval(np.polyfit(t[inner], column[inner], 1), t[inner])
            assert 1.2 < residual.std() < 1.8  # sigma 1.5 and the rounding to whole pixels
    assert polarities == {True, False}
    assert min(counts) < 1_000
    assert 4_000 < max(counts) <= 5_000


def test_point_noise_spreads_a_millisecond_in_time() -> None:
    times = np.full(2_000, 50_000)
    stream = EventStream([0, 0, 0], [0, 0, 0], [0, 50_000, 100_000], [True] * 3, 1_000, 1_000)
    generator = np.random.default_rng(0)
    noise = find_added(stream, augmentation.add_point_noise(stream, generator, (2_000, 2_000), sigma=0.0))
    x, y, t = (np.array([event[column] for event in noise], float) for column in range(3))
    axis = x if np.ptp(x) > np.ptp(y) else y
    residual = t - np.polyval(np.polyfit(axis, t, 1), axis)
    assert len(noise) == len(times)
    assert residual.std() == pytest.approx(1_000, rel=0.1)


def test_a_crop_is_resized_to_the_whole_sensor() -> None:
    width, height = 48, 32
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    many = [np.tile(column.ravel(), 40) for column in (x, y)]
    stream = EventStream(*many, np.arange(len(many[0])), np.arange(len(many[0])) % 2, width, height)
    areas = []
    for seed in range(60):
        cropped = augmentation.crop_and_resize(stream, np.random.default_rng(seed), 0.45)
        from_x, from_y = stream.x[cropped.t], stream.y[cropped.t]  # a time is an event's index
        np.testing.assert_array_equal(cropped.p, stream.p[cropped.t])
        for results, old, size in ((cropped.x, from_x, width), (cropped.y, from_y, height)):
            left, wide = old.min(), old.max() - old.min() + 1
            assert ((old - left) * size // wide <= results).all()
            assert (results <= ((old - left + 1) * size - 1) // wide).all()
            assert np.unique(results).size == size  # no empty columns or rows
        counted = np.unique(stream.y[cropped.t].astype(int) * width + from_x).size
        areas.append(counted / (width * height))
        assert counted * 40 == len(cropped)  # all events of the window
    assert 0.4 < min(areas) < 0.55  # the sensor's edge and rounding reduce it slightly
    assert 0.9 < max(areas) <= 1


def test_a_crop_of_the_whole_sensor_has_no_effect() -> None:
    stream = recording()
    assert same(augmentation.crop_and_resize(stream, np.random.default_rng(0), 1.0, max_stretch=1.0), stream)


def test_the_same_seed_gives_the_same_recording_and_another_seed_another() -> None:
    stream, change = recording(), EventAugmentation(near_noise=0.2, uniform_noise=0.2, drop=0.2)
    results = [change(stream, seed) for seed in (0, 0, 1, (0, 1), (0, 1), [1, 0])]
    assert same(results[0], results[1])
    assert same(results[3], results[4])
    assert not any(same(results[a], results[b]) for a, b in ((0, 2), (0, 3), (2, 3), (3, 5)))
    assert_right(results[0], stream)


OFF: dict[str, Any] = {
    "flip_time": 0, "flip_horizontally": 0, "shift": 0, "smallest_crop": 1, "near_noise": 0, "uniform_noise": 0, "drop": 0,
    "slice_events": 0, "grid": 0, "point_noise": (),
}  # fmt: skip


def test_without_augmentations_a_recording_is_unchanged() -> None:
    stream = recording()
    assert EventAugmentation(**OFF)(stream, 0) is stream


@pytest.mark.parametrize("option", OFF)
def test_each_option_alone_has_an_effect(option: str) -> None:
    stream = recording()
    on = {
        "flip_time": 1,
        "flip_horizontally": 1,
        "shift": 5,
        "smallest_crop": 0.5,
        "slice_events": 100,
        "grid": 20,
        "point_noise": (5, 9),
    }.get(option, 0.5)
    assert not same(EventAugmentation(**{**OFF, option: on})(stream, 0), stream)


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 3), size=st.integers(1, 12))
def test_augmentation_never_removes_all_events(seed: int, count: int, size: int) -> None:
    stream = recording(seed, count, size, size)
    changed = EventAugmentation(shift=20, smallest_crop=0.1, drop=0.99)(stream, seed)
    assert len(changed)
    assert_right(changed, stream)


def test_an_empty_recording_stays_empty() -> None:
    empty = EventStream([], [], [], [], 10, 10)
    for seed in range(20):
        assert len(EventAugmentation(near_noise=0.5, uniform_noise=0.5, drop=0.5)(empty, seed)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip_time": 1.5}, "flip_time: expected a probability, 0 to 1, got 1.5"),
        ({"flip_horizontally": -0.1}, "flip_horizontally: expected a number, 0 or more, got -0.1"),
        ({"shift": 2.5}, "shift: expected a whole number, 0 or more, got 2.5"),
        ({"shift": True}, "shift: expected a whole number"),
        ({"smallest_crop": 0}, "smallest_crop: expected a fraction above 0 and at most 1, got 0"),
        ({"smallest_crop": 1.1}, "smallest_crop: expected a fraction above 0 and at most 1, got 1.1"),
        ({"near_noise": float("nan")}, "near_noise: expected a number, 0 or more, got nan"),
        ({"uniform_noise": "0.1"}, "uniform_noise: expected a number, 0 or more, got '0.1'"),
        ({"slice_events": 0.5}, "slice_events: expected a whole number, 0 or more, got 0.5"),
        ({"grid": -1}, "grid: expected a whole number, 0 or more, got -1"),
        ({"grid": 70_000}, "grid: expected at most 65535 pixels, got 70000"),
        ({"point_noise": 5}, "point_noise: expected two whole numbers, got 5"),
        ({"point_noise": (1, 2, 3)}, "point_noise: expected two whole numbers"),
        (
            {"point_noise": [9, 2]},
            r"point_noise: expected the smallest and the largest number, 0 or more, got \[9, 2\]",
        ),
        ({"drop": 1}, "drop: expected a probability below 1, got 1"),
    ],
)
def test_an_option_out_of_range_is_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        EventAugmentation(**options)
