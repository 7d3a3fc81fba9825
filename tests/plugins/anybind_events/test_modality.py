"""The modality `event`: accepted samples, their drawings, and derivations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind.modality import Modality, find_modality, infer_modality
from anybind_events.simulation.saccades import draw_saccade_options, simulate_saccades
from anybind_events.simulation.sensor_model import SensorModel
from anybind_events.simulation.video import contrast, frame_difference
from anybind_events.stream import EventStream, concatenate_streams
from helpers.streams import list_contents
from helpers.videos import MemoryVideo

IMAGE = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
FRAMES = np.random.default_rng(4).integers(0, 256, (6, 12, 16), dtype=np.uint8)
WHITE, RED, BLUE = [255, 255, 255], [255, 0, 0], [0, 0, 255]


def video() -> MemoryVideo:
    return MemoryVideo(list(FRAMES), step_us=40_000)


@pytest.fixture(scope="module")
def event() -> Modality:
    return find_modality("event")


def test_an_event_stream_is_a_sample_and_a_plain_array_is_not(event: Modality) -> None:
    stream = EventStream([0], [0], [0], [True], 3, 2)
    assert event.accepts(stream)
    assert infer_modality(stream) == "event"
    event.check(stream)
    assert not event.accepts(IMAGE)
    assert not event.accepts("rec.bin")


def test_a_recording_without_events_is_an_error(event: Modality) -> None:
    with pytest.raises(BadInput, match="no events"):
        event.check(EventStream([], [], [], [], 34, 34))


def test_on_events_are_drawn_red_and_off_events_blue_on_white(event: Modality) -> None:
    # The outer events extend the recording, so that the inner two lie in its middle third.
    stream = EventStream([3, 0, 1, 3], [1, 0, 1, 1], [0, 45, 50, 90], [True, True, False, True], 4, 2)
    assert event.show(stream).tolist() == [[RED, WHITE, WHITE, WHITE], [WHITE, BLUE, WHITE, WHITE]]


def test_a_single_event_is_drawn(event: Modality) -> None:
    assert event.show(EventStream([1], [0], [7], [False], 2, 1)).tolist() == [[WHITE, BLUE]]


def test_a_real_recording_is_drawn_in_its_sensor_size(event: Modality, test_data: Path) -> None:
    drawing = event.show(anybind.read(test_data / "events" / "nmnist.bin"))
    assert drawing.shape == (34, 34, 3)
    assert drawing.dtype == np.uint8
    assert len(np.unique(drawing.reshape(-1, 3), axis=0)) > 2


def test_events_are_derived_from_an_image_by_simulated_saccades() -> None:
    derived, simulated = anybind.derive("event", IMAGE, seed=5), simulate_saccades(IMAGE, seed=5)
    assert len(derived) > 0
    for name in "xytp":
        assert np.array_equal(getattr(derived, name), getattr(simulated, name))
    assert (derived.width, derived.height) == (simulated.width, simulated.height)


def test_the_seed_is_passed_to_the_simulation() -> None:
    one, other = (anybind.derive("event", IMAGE, seed=seed) for seed in (5, 6))
    assert one.t.tolist() != other.t.tolist()


def test_deriving_events_from_a_recording_returns_it() -> None:
    stream = EventStream([0], [0], [0], [True], 3, 2)
    assert anybind.derive("event", stream) is stream


def test_events_cannot_be_derived_from_a_text() -> None:
    with pytest.raises(BadInput, match=r"no event can be made from text .*only from image, video"):
        anybind.derive("event", "a duck")


def test_events_are_derived_from_a_video_by_frame_differences(event: Modality) -> None:
    derived = anybind.derive("event", video(), source="video")
    assert len(derived) > 100
    assert list_contents(derived) == list_contents(concatenate_streams(list(frame_difference(video()))))


def test_events_are_derived_from_a_video_by_the_given_model_and_options() -> None:
    derived = anybind.derive("event", video(), source="video", seed=3, model="contrast", threshold=0.4, leak_hz=2.0)
    expected = list(contrast(video(), sensor=SensorModel(threshold=0.4, leak_hz=2.0), seed=3))
    assert list_contents(derived) == list_contents(concatenate_streams(expected))


def test_vary_draws_the_options_from_the_seed() -> None:
    derived = anybind.derive("event", IMAGE, seed=5, vary=True)
    assert list_contents(derived) == list_contents(anybind.derive("event", IMAGE, seed=5, **draw_saccade_options(5)))
    assert list_contents(derived) != list_contents(anybind.derive("event", IMAGE, seed=5))


def test_vary_keeps_given_options() -> None:
    derived = anybind.derive("event", IMAGE, seed=5, vary=True, threshold=0.3)
    assert list_contents(derived) == list_contents(
        anybind.derive("event", IMAGE, seed=5, **{**draw_saccade_options(5), "threshold": 0.3})
    )


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (
            "image",
            {"model": "contrast"},
            "no simulation 'contrast' of image; there are: eased-saccades, motion, saccades",
        ),
        ("video", {"model": "contrst"}, "did you mean 'contrast'"),
        ("video", {"leak_hz": 1.0}, "'frame-difference' has no option leak_hz; there are: difference, threshold"),
        ("image", {"treshold": 1.0}, "'saccades' has no option treshold; did you mean 'threshold'"),
        ("video", {"vary": True}, "vary: expected the source image, got video"),
    ],
)
def test_an_unknown_model_or_option_is_an_error(source: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        anybind.derive("event", IMAGE if source == "image" else video(), source=source, **options)


def test_the_derivation_lists_simulation_and_settings_of_each_source(event: Modality) -> None:
    assert event.derivation("image")["simulation"] == "saccades"
    assert event.derivation("video") == {"simulation": "frame-difference", "threshold": 25.0, "difference": "luma"}
    with pytest.raises(BadInput, match="no model simulates events from text"):
        event.derivation("text")


def test_the_modality_does_not_import_numba() -> None:
    script = "import sys; from anybind.modality import find_modality; find_modality('event'); assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
