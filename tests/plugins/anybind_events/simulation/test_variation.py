"""Random options of simulations: ranges, shares, seeds, and the minimum activity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import anybind
from anybind.errors import BadOption
from anybind_events.simulation import variation
from anybind_events.simulation.motion import SENSOR, Motion, simulate_motion
from anybind_events.simulation.saccades import draw_saccade_options
from anybind_events.simulation.variation import MIN_ACTIVITY, draw_motion_options, simulate_varied_motion
from helpers.streams import list_contents

IMAGE = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def draws() -> list[dict]:
    return [draw_motion_options(IMAGE, seed, {}) for seed in range(300)]


def test_random_options_follow_the_seed(draws: list[dict]) -> None:
    assert draw_motion_options(IMAGE, 7, {}) == draws[7] != draws[8]


def test_views_have_a_short_side_of_40_to_170_pixels(draws: list[dict]) -> None:
    sides = [min(each["width"], each["height"]) for each in draws]
    assert (min(sides), max(sides)) == pytest.approx((40, 170), abs=3)


def test_half_of_the_views_are_pasted_at_scale_a_quarter_to_1_and_most_of_these_on_plain(draws: list[dict]) -> None:
    pasted = [each for each in draws if each["background"] != "full"]
    assert len(pasted) == pytest.approx(150, abs=25)
    assert all(0.25 <= each["object_scale"] <= 1 for each in pasted)
    assert sum(each["background"] == "plain" for each in pasted) > 0.6 * len(pasted)


def test_images_fill_a_sensor_of_their_aspect_ratio(draws: list[dict]) -> None:
    for each in draws:
        if each["background"] == "full":
            assert each["width"] / each["height"] == pytest.approx(16 / 12, abs=0.03)


@pytest.mark.parametrize(("name", "low", "high"), [("threshold", 0.1, 0.4), ("shot_hz", 0, 5), ("mismatch", 0, 0.06)])
def test_sensor_options_cover_their_range(draws: list[dict], name: str, low: float, high: float) -> None:
    values = [each[name] for each in draws]
    assert low <= min(values) < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < max(values) <= high


def test_given_options_are_not_drawn_and_do_not_change_the_others(draws: list[dict]) -> None:
    assert draw_motion_options(IMAGE, 5, {"threshold": 0.2}) == {**draws[5], "threshold": 0.2}


def test_a_random_view_is_a_simulation_with_all_drawn_options() -> None:
    image = np.kron(IMAGE, np.ones((8, 8, 1), np.uint8))
    for seed in range(4):
        options = draw_motion_options(image, seed, {"jitter": 1.0, "amplitude": 12.0})
        motion = Motion(**{name: value for name, value in options.items() if name in vars(Motion())})
        sensor = replace(SENSOR, **{name: value for name, value in options.items() if name in vars(SENSOR)})
        expected = simulate_motion(image, motion, sensor, seed=seed)
        view = anybind.derive("event", image, seed=seed, model="motion", vary=True, jitter=1.0, amplitude=12.0)
        assert list_contents(view) == list_contents(expected)


def test_a_random_view_of_eased_saccades_has_the_given_options() -> None:
    options = {"model": "eased-saccades", "vary": True, "hot_pixels": 0, "shot_hz": 0.0, "leak_hz": 0.0}
    gray = np.full((30, 40, 3), 90, np.uint8)
    assert len(anybind.derive("event", gray, seed=1, **options)) == 0
    noisy = anybind.derive("event", gray, seed=1, **{**options, "shot_hz": 1.0})
    assert len(noisy) == pytest.approx(noisy.width * noisy.height * 0.3, rel=0.75)


def test_a_view_with_few_events_is_drawn_again_with_more_movement(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []
    simulate = variation.simulate_counted_motion

    def record(image: np.ndarray, motion: Motion, *args: object) -> tuple:
        attempts.append(motion.amplitude)
        return simulate(image, motion, *args)

    monkeypatch.setattr(variation, "simulate_counted_motion", record)
    faint = np.full((40, 40, 3), 200, np.uint8)
    faint[10:30, 10:30] = 120  # an edge of half a log unit
    stream = simulate_varied_motion(faint, 1, {"threshold": 0.4, "width": 60, "height": 60, "shot_hz": 0.0})
    assert 1 < len(attempts) <= variation.MAX_ATTEMPTS
    assert attempts[-1] > attempts[0]
    assert len(stream)


def test_a_uniform_image_gives_background_activity() -> None:
    for seed in range(4):
        assert len(simulate_varied_motion(np.full((20, 20, 3), 255, np.uint8), seed, {})) > 0


def test_views_of_a_photo_have_a_minimum_activity() -> None:
    image = np.kron(IMAGE, np.ones((8, 8, 1), np.uint8))
    for seed in range(12):
        options = {"shot_hz": 0.0, "leak_hz": 0.0, "hot_pixels": 0}
        stream = simulate_varied_motion(image, seed, options)
        drawn = draw_motion_options(image, seed, options)
        area = stream.width * stream.height
        if drawn["background"] != "full":
            area = (drawn["object_scale"] * min(stream.width, stream.height)) ** 2 * 12 / 16
        assert len(stream) > 0.9 * MIN_ACTIVITY * area


def test_one_of_several_models_is_drawn_by_the_seed() -> None:
    def derive(seed: int) -> object:
        return anybind.derive("event", IMAGE, seed=seed, model=["motion", "motion", "saccades"], vary=True)

    saccades = 0
    for seed in range(24):
        stream = derive(seed)
        expected = anybind.derive("event", IMAGE, seed=seed, **draw_saccade_options(seed))
        is_saccades = list_contents(stream) == list_contents(expected)
        if not is_saccades:
            motion = anybind.derive("event", IMAGE, seed=seed, model="motion", vary=True)
            assert list_contents(stream) == list_contents(motion)
        saccades += is_saccades
    assert 3 <= saccades <= 14


def test_an_option_applies_to_the_models_of_a_list_that_have_it() -> None:
    options = {"model": ["motion", "saccades"], "duration_us": 5_000}
    is_short = [anybind.derive("event", IMAGE, seed=seed, **options).duration_us <= 5_000 for seed in range(8)]
    assert 0 < sum(is_short) < 8


def test_an_option_that_no_model_of_a_list_has_is_an_error() -> None:
    with pytest.raises(BadOption, match="'motion' has no option widht; did you mean"):
        anybind.derive("event", IMAGE, model=["motion", "saccades"], widht=50)


def test_an_unknown_model_in_a_list_or_an_empty_list_is_an_error() -> None:
    with pytest.raises(BadOption, match="no simulation 'saccade' of image"):
        anybind.derive("event", IMAGE, model=["motion", "saccade"])
    with pytest.raises(BadOption, match="at least one name"):
        anybind.derive("event", IMAGE, model=[])


@pytest.mark.parametrize("model", ["saccades", "eased-saccades", "motion"])
def test_training_gets_events_of_an_image_without_contrast(model: str) -> None:
    image = np.full((60, 80, 3), 255, np.uint8)
    for seed in range(10):
        assert len(anybind.derive("event", image, source="image", seed=seed, model=model, vary=True))
