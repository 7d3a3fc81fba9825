"""Simulated general motion: every event compared with a slow simulation in float64, and invariants of all recordings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind.errors import BadOption
from anybind_events.simulation.motion import CHOICES, SENSOR, Motion, render_views, simulate_motion
from anybind_events.simulation.motion_path import MOTIONS, SPEEDS, apply_homographies, compute_homographies, draw_path
from anybind_events.simulation.scene import build_scene
from anybind_events.simulation.sensor import draw_thresholds
from anybind_events.simulation.sensor_model import SensorModel
from anybind_events.simulation.variation import draw_motion_options
from anybind_events.simulation.warping import warp_image
from anybind_events.stream import EventStream
from helpers.streams import list_contents

IDEAL = SensorModel()


def blotches(shape: tuple[int, int] = (30, 40), seed: int = 5) -> np.ndarray:
    """Return a gray image with smooth blotches."""
    rng = np.random.default_rng(seed)
    gray = np.kron(rng.integers(30, 226, (shape[0] // 5, shape[1] // 5)), np.ones((5, 5)))
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2)


def disc(level: int = 20, border: int = 255) -> np.ndarray:
    """Return a disc on a plain background."""
    y, x = np.mgrid[:40, :40]
    gray = np.where((x - 20) ** 2 + (y - 20) ** 2 < 144, level, border).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def sample_slowly(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return bilinear samples of an image at positions, clamped to it, in float64."""
    image = image.astype(np.float64)
    x, y = np.clip(x, 0, image.shape[1] - 1), np.clip(y, 0, image.shape[0] - 1)
    left, top = (
        np.minimum(np.floor(each).astype(int), n - 2) for each, n in ((x, image.shape[1]), (y, image.shape[0]))
    )
    right, low = x - left, y - top
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return upper * (1 - low) + lower * low


def emit_slowly(views: list[np.ndarray], times: np.ndarray, thresholds: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return rows (pixel, microseconds, is ON) of the events of pixels that are linear between views, in float64."""
    events = []
    for pixel in range(views[0].size):
        level = reference = float(views[0].flat[pixel])
        off, on = (float(each.flat[pixel]) for each in thresholds)
        for number in range(1, len(views)):
            after = float(views[number].flat[pixel])
            while after - reference >= on or reference - after >= off:
                reference += on if after > reference else -off
                share = (reference - level) / (after - level)
                time = times[number - 1] + min(max(share, 0.0), 1.0) * (times[number] - times[number - 1])
                events.append((pixel, time, after > level))
            level = after
    return np.array(events)


@pytest.mark.parametrize("motion", MOTIONS)
def test_events_match_a_simulation_in_float64(motion: str) -> None:
    image, seed = blotches(), 4
    options = Motion(width=24, height=20, motion=motion, amplitude=5.0, duration_us=50_000)
    stream = simulate_motion(image, options, IDEAL, seed=seed)

    rng, radius = np.random.default_rng([seed, 1]), np.hypot(24, 20) / 2
    path = draw_path(rng, motion, "eased", 5.0, None, 0.5, 50_000, radius)
    scene = build_scene(image, rng, (24, 20), "full", 1.0, (0.5, 0.5), np.exp(path.poses[:, 3].max()))
    x, y = np.meshgrid(np.arange(24) - 11.5, np.arange(20) - 9.5)
    views = []
    for homography in compute_homographies(path.poses, radius):
        at = np.linalg.inv(homography) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
        at = at[:2] / at[2] * scene.zoom + (np.array([scene.image.shape[::-1]]).T - 1) / 2
        views.append(sample_slowly(scene.image, *at).reshape(x.shape))
    expected = emit_slowly(views, path.times, draw_thresholds(np.random.default_rng(seed), 0.25, 0.03, x.shape))

    assert len(stream) > 200
    events = np.stack([stream.y.astype(int) * 24 + stream.x, stream.t, stream.p], axis=1)
    matches = 0
    for pixel in range(24 * 20):  # float32 may move a crossing into another step, or miss the last one
        ours, slow = (rows[rows[:, 0] == pixel, 1:] for rows in (events, expected))
        matches += ours.shape == slow.shape and bool(np.all(np.abs(ours - slow) < [20, 0.5]))
    assert matches > 0.99 * 24 * 20


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    values=st.lists(st.floats(-1, 1), min_size=8, max_size=8),
    seed=st.integers(0, 99),
)
def test_a_warp_matches_bilinear_samples_in_float64(shape: tuple[int, int], values: list[float], seed: int) -> None:
    image = np.random.default_rng(seed).random(shape, dtype=np.float32)
    homography = np.eye(3) + np.array([*values, 0.0]).reshape(3, 3) * [[0.5, 0.5, 4], [0.5, 0.5, 4], [0.03, 0.03, 0]]
    view = np.full((7, 8), 9, np.float32)
    warp_image(image, homography, 1, 6, 2, 8, view)
    x, y = np.meshgrid(np.arange(8), np.arange(7))
    at = homography @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    expected = sample_slowly(image, *(at[:2] / at[2])).reshape(7, 8)
    assert np.abs(view[1:6, 2:] - expected[1:6, 2:]).max() < 1e-4
    assert (view[[0, 6]] == 9).all()
    assert (view[:, :2] == 9).all()


@settings(deadline=None, max_examples=60)
@given(
    motion=st.sampled_from(MOTIONS), speed=st.sampled_from(SPEEDS), amplitude=st.floats(0, 60), jitter=st.floats(0, 3),
    duration=st.integers(1000, 2_000_000), radius=st.floats(5, 200), seed=st.integers(0, 1 << 30),
)  # fmt: skip
def test_no_point_moves_much_more_than_a_pixel_between_views(
    motion: str, speed: str, amplitude: float, jitter: float, duration: int, radius: float, seed: int
) -> None:
    path = draw_path(np.random.default_rng(seed), motion, speed, amplitude, None, jitter, duration, radius)
    assert path.times[0] == 0
    assert path.times[-1] == duration
    assert (np.diff(path.times) > 0).all()
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-radius, radius, 5) / np.sqrt(2)]), axis=-1).reshape(-1, 2)
    points = apply_homographies(compute_homographies(path.poses, radius), grid)
    movements = np.hypot(*np.moveaxis(np.diff(points, axis=0), -1, 0))
    if len(path.times) < 350 and duration > 20_000:  # the number of views is limited, and their times are microseconds
        assert movements.max() < 1.3


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_corner_moves_about_the_amplitude(motion: str) -> None:
    for seed in range(5):
        path = draw_path(np.random.default_rng(seed), motion, "constant", 10.0, None, 0.0, 100_000, 50.0)
        ends = compute_homographies(path.poses[[0, -1]], 50.0)
        corners = 50 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) / np.sqrt(2)
        first, last = apply_homographies(ends, corners)
        assert 2 < np.hypot(*(last - first).T).max() < 15


@pytest.mark.parametrize("options", [{}, {"background": "texture", "moving": "both"}, {"speed": "random"}], ids=str)
def test_the_same_seed_gives_the_same_recording_and_another_seed_another(options: dict[str, str]) -> None:
    sensor = SensorModel(shot_hz=5, hot_pixels=2, leak_hz=0.5, bandwidth_hz=100, dark_ratio=2, random_reference=True)
    first, again, other = (
        simulate_motion(blotches(), Motion(width=40, height=32, **options), sensor, seed=seed) for seed in (3, 3, 4)
    )
    assert len(first) > 500
    assert list_contents(first) == list_contents(again)
    assert list_contents(first) != list_contents(other)


@pytest.mark.parametrize("background", ["full", "plain"])
def test_a_uniform_image_gives_no_events(background: str) -> None:
    image = np.full((30, 40, 3), 90, np.uint8)
    assert (
        len(simulate_motion(image, Motion(width=40, height=40, background=background, object_scale=0.5), SENSOR)) == 0
    )


def test_an_object_on_white_has_no_visible_edge_and_stays_near_its_place() -> None:
    motion = Motion(
        width=100, height=60, background="plain", object_scale=0.5, position_x=1.0, position_y=0.0,
        motion="translate", amplitude=4.0, jitter=0.0,
    )  # fmt: skip
    stream = simulate_motion(disc(), motion, IDEAL, seed=1)
    assert len(stream) > 200
    # The disc of 12/20 of the half width lies in the middle of a square of 30 pixels in the upper right corner.
    x, y = stream.x - 84.5, stream.y - 14.5
    assert np.hypot(x, y).max() < 9 + 2 + 2
    assert np.hypot(x, y).min() > 9 - 2 - 2


@pytest.mark.parametrize("background", ["gray", "texture"])
def test_an_object_on_white_is_cut_out_on_another_background(background: str) -> None:
    motion = Motion(
        width=60, height=60, background=background, object_scale=0.8, motion="translate", jitter=0.0, amplitude=4.0
    )
    for seed in range(4):
        stream = simulate_motion(disc(), motion, IDEAL, seed=seed)
        assert np.hypot(stream.x - 29.5, stream.y - 29.5).max() < 24 * 0.6 + 5


def test_a_still_object_is_visible_before_a_moving_background_only_around_it() -> None:
    motion = Motion(
        width=80, height=80, background="texture", object_scale=0.5, moving="background", motion="translate"
    )
    stream = simulate_motion(blotches((40, 40)), motion, IDEAL, seed=2)
    inside = (np.abs(stream.x - 39.5) < 19) & (np.abs(stream.y - 39.5) < 19)
    assert len(stream) > 500
    assert not inside.any()


def test_an_eased_motion_is_slow_at_both_ends() -> None:
    stream = simulate_motion(blotches(), Motion(motion="translate", jitter=0.0, amplitude=20.0), IDEAL, seed=1)
    counts = np.histogram(stream.t, np.linspace(0, 300_000, 7))[0]
    assert counts[[0, -1]].max() < 0.5 * counts[[2, 3]].min()


def test_views_of_a_still_scene_do_not_change() -> None:
    scene = build_scene(blotches(), np.random.default_rng(0), (32, 24), "full", 1.0, (0.5, 0.5), 1.0)
    first, second = (view.copy() for view in render_views(scene, np.stack([np.eye(3)] * 2), (32, 24), "object"))
    assert np.array_equal(first, scene.image)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", CHOICES)
def test_an_unknown_name_is_an_error_with_the_names(name: str) -> None:
    with pytest.raises(BadOption, match=f"{name}: expected {CHOICES[name][0]}, .*, got 'x'"):
        Motion(**{name: "x"})


@pytest.mark.parametrize("moving", ["background", "both"])
def test_what_moves_behind_an_image_that_fills_the_view_is_an_error(moving: str) -> None:
    with pytest.raises(BadOption, match=f"moving: '{moving}' needs a background other than full"):
        Motion(moving=moving)


def test_a_given_movement_draws_views_with_a_background() -> None:
    backgrounds = {draw_motion_options(blotches(), seed, {"moving": "both"})["background"] for seed in range(12)}
    assert "full" not in backgrounds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 4),
        ("height", 40.5),
        ("object_scale", 1.2),
        ("position_x", -0.1),
        ("duration_us", 10),
        ("amplitude", "far"),
        ("jitter", np.nan),
    ],
)
def test_a_number_out_of_its_range_is_an_error(name: str, value: object) -> None:
    with pytest.raises(BadOption, match=f"{name}: expected a .*number"):
        Motion(**{name: value})


@pytest.mark.parametrize("background", ["full", "plain", "texture"])
@pytest.mark.parametrize("shape", [(6, 400), (400, 6), (1, 100)])
def test_a_narrow_image_is_cropped_to_its_middle(background: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    motion = Motion(width=40, height=40, background=background, object_scale=0.5)
    stream = simulate_motion(image, motion, seed=1)
    rows, columns = (min(side, 10 * min(shape)) for side in shape)  # 20 pixels of the sensor long, 2 wide
    top, left = (shape[0] - rows) // 2, (shape[1] - columns) // 2
    cropped = simulate_motion(image[top : top + rows, left : left + columns], motion, seed=1)
    assert len(stream)
    assert list_contents(stream) == list_contents(cropped)


def test_a_space_too_small_for_any_image_is_an_error() -> None:
    with pytest.raises(BadOption, match=r"object_scale: expected space for .* at least 2 pixels, got 0\.8x0\.8"):
        simulate_motion(blotches(), Motion(width=8, height=8, object_scale=0.1))


def test_events_lie_inside_a_sensor_of_any_size() -> None:
    for width, height in ((8, 8), (96, 96), (320, 240)):
        stream = simulate_motion(blotches(), Motion(width=width, height=height, amplitude=3.0), SENSOR, seed=1)
        assert isinstance(stream, EventStream)
        assert (stream.width, stream.height) == (width, height)
        assert EventStream(stream.x, stream.y, stream.t, stream.p, width, height)  # checks the columns
