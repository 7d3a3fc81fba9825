"""Simulated saccades: invariants of all recordings, and every event compared with a NumPy simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.errors import BadOption
from anybind_events.simulation.saccades import (
    CORNERS,
    EASED_DELAY,
    OPTION_RANGES,
    divide_eased,
    draw_saccade_options,
    saccade_settings,
)
from anybind_events.simulation.sensor import compute_log_intensity
from anybind_events.stream import EventStream
from helpers.streams import list_contents


def simulate_saccades(image: np.ndarray, seed: int = 0, **options: object) -> EventStream:
    return anybind.derive("event", image, seed=seed, model="saccades", **options)


def texture(contrast: float, shape: tuple[int, int] = (45, 60)) -> np.ndarray:
    """Return gray blotches around the middle gray, the same ones for any contrast, at most 127."""
    blotches = np.random.default_rng(7).uniform(-1, 1, shape)
    gray = np.rint(128 + contrast * blotches).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def plain_saccades(
    image: np.ndarray, seed: int, threshold: float = 0.25, mismatch: float = 0.03, pixels_per_degree: float = 7.0
) -> list[np.ndarray]:
    """Return x, y, t, p of the same recording, by array operations."""
    image = PIL.Image.fromarray(image).convert("L")
    scale = min(240 / image.width, 180 / image.height)
    size = round(image.width * scale), round(image.height * scale)
    gray = np.asarray(image.resize(size, PIL.Image.Resampling.BICUBIC), dtype=np.float32)
    thresholds = np.random.default_rng(seed).normal(threshold, mismatch, (2, *gray.shape))
    thresholds = np.maximum(thresholds, 0.2 * threshold).astype(np.float32)
    views = plain_views(gray, pixels_per_degree * np.array(CORNERS))
    _, before = next(views)
    reference, time_before = before.copy(), 0.0
    emitted = []
    for time, now in views:
        for on in (True, False):
            emitted.append(plain_crossings(reference, before, now, thresholds[int(on)], on, time_before, time))
        before, time_before = now, time
    pixel, t, p = (np.concatenate(column) for column in zip(*emitted, strict=True))
    order = np.argsort(t, kind="stable")
    return [pixel[order] % size[0], pixel[order] // size[0], t[order], p[order]]


def plain_views(gray: np.ndarray, corners: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    reach = int(np.ceil(np.abs(corners).max())) + 1
    wide = np.pad(gray, reach, mode="edge")
    for saccade, (start, end) in enumerate(itertools.pairwise(corners)):
        steps = max(1, int(np.ceil(2 * np.linalg.norm(end - start))))
        for step in range(0 if saccade == 0 else 1, steps + 1):
            x, y = reach + (start + (end - start) * step / steps)
            left, top = int(np.floor(x)), int(np.floor(y))
            across, down = np.float32(x - left), np.float32(y - top)
            rows = wide[top : top + gray.shape[0] + 1, left : left + gray.shape[1] + 1]
            rows = rows[:-1] * (1 - down) + rows[1:] * down
            yield (
                (saccade + step / steps) * 100_000,
                compute_log_intensity(rows[:, :-1] * (1 - across) + rows[:, 1:] * across),
            )


def plain_crossings(
    reference: np.ndarray,
    before: np.ndarray,
    now: np.ndarray,
    thresholds: np.ndarray,
    on: bool,
    time_before: float,
    time_now: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the events of one polarity in one step: pixel indices, times, polarities; update `reference`."""
    sign = 1 if on else -1
    counts = np.floor(sign * (now - reference) / thresholds).clip(min=0).astype(np.int64)
    pixels = np.flatnonzero(counts)
    times_each = counts.ravel()[pixels]
    pixel = np.repeat(pixels, times_each)
    ends = np.cumsum(times_each)
    which = np.arange(len(pixel)) - np.repeat(ends - times_each, times_each) + 1
    level = reference.ravel()[pixel] + sign * which * thresholds.ravel()[pixel]
    start, stop = before.ravel()[pixel], now.ravel()[pixel]
    fraction = np.divide(level - start, stop - start, where=stop != start, out=np.ones_like(level)).clip(0.0, 1.0)
    reference += sign * counts * thresholds
    time = time_before + fraction * (time_now - time_before)
    return pixel, np.rint(time).astype(np.int64), np.full(len(pixel), on)


def assert_same(stream: EventStream, plain: list[np.ndarray]) -> None:
    for name, column in zip("xytp", plain, strict=True):
        assert np.array_equal(getattr(stream, name), column), name


@pytest.mark.parametrize(
    "options",
    [{}, {"threshold": 0.11, "mismatch": 0.05}, {"mismatch": 0.0}, {"pixels_per_degree": 3.37}, {"threshold": 3.0}],
    ids=str,
)
@pytest.mark.parametrize("shape", [(45, 60), (30, 97)], ids=str)
def test_every_event_matches_the_numpy_simulation(shape: tuple[int, int], options: dict[str, float]) -> None:
    image = texture(110, shape)
    assert_same(simulate_saccades(image, seed=4, **options), plain_saccades(image, 4, **options))


def test_every_event_of_a_photo_matches_the_numpy_simulation(test_data: Path) -> None:
    image = anybind.read(test_data / "caltech101" / "images" / "wrench" / "image_0002.jpg")
    stream = simulate_saccades(image, seed=3)
    assert len(stream) > 10_000
    assert_same(stream, plain_saccades(image, 3))


@pytest.fixture(scope="module")
def recording() -> EventStream:
    return simulate_saccades(texture(100), seed=1)


def test_the_same_image_and_seed_give_the_same_recording(recording: EventStream) -> None:
    assert list_contents(simulate_saccades(texture(100), seed=1)) == list_contents(recording)


def test_another_seed_gives_another_recording(recording: EventStream) -> None:
    assert list_contents(simulate_saccades(texture(100), seed=2)) != list_contents(recording)


def test_the_image_is_not_changed() -> None:
    image = texture(100)
    simulate_saccades(image)
    assert np.array_equal(image, texture(100))


def test_more_contrast_gives_more_events() -> None:
    counts = [len(simulate_saccades(texture(contrast))) for contrast in (20, 40, 60, 80, 100, 120)]
    assert counts == sorted(set(counts))
    assert counts[0] > 0


@pytest.mark.parametrize("gray", [0, 10, 20, 128, 255])
def test_a_uniform_image_gives_no_events(gray: int) -> None:
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
def test_an_image_is_scaled_to_fit_240_by_180_and_keeps_its_aspect_ratio(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    stream = simulate_saccades(texture(60, shape))
    assert (stream.width, stream.height) == size


def test_a_camera_that_returns_gives_about_as_many_on_as_off_events(recording: EventStream) -> None:
    assert recording.p.mean() == pytest.approx(0.5, abs=0.02)


def test_on_and_off_events_of_a_pixel_that_returns_are_balanced() -> None:
    # Without mismatch every event is one threshold; what is left at the end is less than one either way.
    stream = simulate_saccades(texture(100), mismatch=0)
    balance = np.zeros((stream.height, stream.width), dtype=np.int64)
    np.add.at(balance, (stream.y, stream.x), np.where(stream.p, 1, -1))
    assert np.abs(balance).max() <= 1


@pytest.mark.parametrize(("shape", "size"), [((2, 1000), (240, 2)), ((1000, 2), (2, 180))])
def test_a_narrow_image_is_cropped_to_its_middle(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = texture(60, shape)
    stream = simulate_saccades(image)
    assert (stream.width, stream.height) == size
    columns, rows = size
    top, left = (shape[0] - rows) // 2, (shape[1] - columns) // 2
    assert list_contents(stream) == list_contents(simulate_saccades(image[top : top + rows, left : left + columns]))


@pytest.mark.parametrize(
    "options", [{"threshold": 0}, {"threshold": -0.1}, {"threshold": math.nan}, {"mismatch": -0.1}], ids=str
)
def test_an_invalid_threshold_or_mismatch_is_an_error(options: dict[str, float]) -> None:
    with pytest.raises(
        BadOption,
        match=r"(threshold: expected a finite number above 0|mismatch: expected a finite number 0 or more), got",
    ):
        simulate_saccades(texture(60), **options)


@pytest.mark.parametrize(
    "options", [{"threshold": math.inf}, {"mismatch": math.nan}, {"pixels_per_degree": math.nan}], ids=str
)
def test_an_option_that_is_not_finite_is_an_error(options: dict[str, float]) -> None:
    with pytest.raises(BadOption):
        simulate_saccades(texture(60), **options)


@pytest.mark.parametrize(("dark", "bright", "steps"), [(39, 192, 3), (42, 241, 3), (52, 159, 7)])
def test_an_edge_of_a_whole_number_of_thresholds_gives_valid_times(dark: int, bright: int, steps: int) -> None:
    # A whole number up to rounding: the last threshold is missed in one step and crossed in the next.
    low, high = compute_log_intensity(np.array([dark, bright], dtype=np.float32))
    threshold = float((high - low) / np.float32(steps))
    image = np.full((6, 240, 3), dark, dtype=np.uint8)
    image[:, 80:160] = bright
    stream = simulate_saccades(image, threshold=threshold, mismatch=0)
    assert 0 <= stream.t[0] <= stream.t[-1] <= 300_000


def test_a_turned_triangle_gives_other_events_of_the_same_scene() -> None:
    straight, turned = (simulate_saccades(texture(100), mismatch=0, turn_degrees=degrees) for degrees in (0, 90))
    assert straight.t.tolist() != turned.t.tolist()
    assert len(turned) == pytest.approx(len(straight), rel=0.2)


def test_rotating_triangle_and_image_by_180_degrees_rotates_the_recording() -> None:
    image = texture(100)
    turned = simulate_saccades(image[::-1, ::-1], mismatch=0, turn_degrees=180.0)
    straight = simulate_saccades(image, mismatch=0)
    # Scaling and the cosine of 180 degrees round a little differently.
    assert len(turned) == pytest.approx(len(straight), rel=0.001)
    counts = [np.bincount(s.y.astype(int) * s.width + s.x, minlength=s.width * s.height) for s in (straight, turned)]
    assert np.mean(counts[0] == counts[1][::-1]) > 0.98


def test_random_saccade_options_follow_the_seed_within_their_ranges() -> None:
    drawn = [draw_saccade_options(seed) for seed in range(200)]
    assert drawn[0] == draw_saccade_options(0)
    for name, (low, high) in OPTION_RANGES.items():
        values = [each[name] for each in drawn]
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values) <= high


def test_random_saccade_options_are_options_of_the_simulation() -> None:
    assert len(simulate_saccades(texture(100), seed=7, **draw_saccade_options(7))) > 0


def test_settings_include_all_options_except_image_and_seed() -> None:
    assert saccade_settings() == {
        "threshold": 0.25,
        "mismatch": 0.03,
        "pixels_per_degree": 7.0,
        "field": (240, 180),
        "corners": ((-0.5, 0.5), (0.0, -0.5), (0.5, 0.5), (-0.5, 0.5)),
        "saccade_us": 100_000,
        "linear_below": 20.0,
    }


def test_an_eased_saccade_has_the_progress_of_minimum_jerk_after_a_delay() -> None:
    times, progress = np.array(list(divide_eased(20))).T
    share = np.clip((times - EASED_DELAY) / (1 - EASED_DELAY), 0, 1)
    assert progress == pytest.approx(share**3 * (10 + share * (6 * share - 15)), abs=1e-3)
    assert (times[0], times[-1], progress[0], progress[-1]) == (0, 1, 0, 1)
    assert (np.diff(times) > 0).all()
    assert np.diff(progress).max() <= 1 / 20 + 1e-9


def test_an_eased_saccade_starts_and_ends_slowly() -> None:
    # The shares in the real recording n_caltech101_real/faces_easy_0001.bin, of another image: n = 1.
    real = np.array([0.032, 0.132, 0.150, 0.029, 0.036, 0.134, 0.160, 0.061, 0.017, 0.064, 0.121, 0.066])
    differences = {}
    for speed in ("constant", "eased"):
        stream = simulate_saccades(texture(100), speed=speed)
        counts = np.histogram(stream.t, np.linspace(0, 300_000, 13))[0]
        differences[speed] = np.abs(counts / len(stream) - real).sum() / 2
    assert differences["eased"] < 0.15 < 0.2 < differences["constant"]


def test_an_image_is_scaled_to_fit_any_sensor_size() -> None:
    for width, height in ((96, 96), (1280, 720)):
        stream = simulate_saccades(texture(60, (45, 60)), width=width, height=height)
        assert (stream.width, stream.height) == (min(width, height * 4 // 3), min(height, width * 3 // 4))


def test_the_model_of_eased_saccades_has_noise_and_hot_pixels() -> None:
    ideal = simulate_saccades(texture(60), speed="eased")
    real = anybind.derive("event", texture(60), model="eased-saccades", threshold=0.25)
    assert len(real) > len(ideal) + 1000
    assert np.bincount(real.y.astype(int) * 240 + real.x).max() > 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": "fast"}, "speed: expected constant, eased, got 'fast'"),
        ({"width": 5}, "width: expected a whole number of pixels from 8 to 4096, got 5"),
    ],
)
def test_an_unknown_speed_or_a_size_out_of_range_is_an_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        simulate_saccades(texture(60), **options)


@pytest.mark.parametrize("seed", [np.int64(7), 2**64 + 7])
def test_seeds_may_be_numpys_integers_and_of_any_size(seed) -> None:
    recording = list_contents(simulate_saccades(texture(40), seed=seed))
    assert recording == list_contents(simulate_saccades(texture(40), seed=int(seed)))
    assert (recording == list_contents(simulate_saccades(texture(40), seed=7))) == (seed == 7)
