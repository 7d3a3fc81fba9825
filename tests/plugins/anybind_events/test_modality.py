"""The modality `event`: which samples it takes, how they look, and what they can be made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind import BadInput
from anybind_events.simulation.saccades import simulate_saccades
from anybind_events.stream import EventStream

PICTURE = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
WHITE, RED, BLUE = [255, 255, 255], [255, 0, 0], [0, 0, 255]


@pytest.fixture(scope="module")
def event() -> anybind.Modality:
    return anybind.find_modality("event")


def test_an_event_stream_is_a_sample_and_an_array_is_none(event: anybind.Modality) -> None:
    assert event.accepts(EventStream([], [], [], [], 3, 2))
    assert not event.accepts(PICTURE)
    assert not event.accepts("rec.bin")


def test_the_modality_of_an_event_stream_is_event() -> None:
    assert anybind.modality_of(EventStream([0], [0], [0], [True], 3, 2)) == "event"


def test_a_recording_without_events_is_refused(event: anybind.Modality) -> None:
    with pytest.raises(BadInput, match="no events"):
        event.check(EventStream([], [], [], [], 34, 34))


def test_a_recording_of_one_event_is_enough(event: anybind.Modality) -> None:
    event.check(EventStream([0], [0], [0], [True], 34, 34))


def test_a_rise_is_shown_red_and_a_fall_blue_on_white(event: anybind.Modality) -> None:
    # The outer events only stretch the recording, so that the inner two lie in its middle third.
    stream = EventStream([3, 0, 1, 3], [1, 0, 1, 1], [0, 45, 50, 90], [True, True, False, True], 4, 2)
    assert event.show(stream).tolist() == [[RED, WHITE, WHITE, WHITE], [WHITE, BLUE, WHITE, WHITE]]


def test_one_event_alone_is_shown(event: anybind.Modality) -> None:
    assert event.show(EventStream([1], [0], [7], [False], 2, 1)).tolist() == [[WHITE, BLUE]]


def test_a_real_recording_is_shown_as_a_picture_of_the_size_of_its_sensor(
    event: anybind.Modality, shared: Path
) -> None:
    shown = event.show(anybind.read(shared / "data" / "events" / "nmnist.bin"))
    assert shown.shape == (34, 34, 3)
    assert shown.dtype == np.uint8
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 2


def test_events_are_derived_from_a_picture_by_simulated_saccades() -> None:
    derived, simulated = anybind.derive("event", PICTURE, seed=5), simulate_saccades(PICTURE, seed=5)
    assert len(derived) > 0
    for name in "xytp":
        assert np.array_equal(getattr(derived, name), getattr(simulated, name))
    assert (derived.width, derived.height) == (simulated.width, simulated.height)


def test_the_seed_of_a_derivation_is_that_of_the_simulation() -> None:
    one, other = (anybind.derive("event", PICTURE, seed=seed) for seed in (5, 6))
    assert one.t.tolist() != other.t.tolist()


def test_a_recording_is_derived_from_itself_as_it_is() -> None:
    stream = EventStream([0], [0], [0], [True], 3, 2)
    assert anybind.derive("event", stream) is stream


def test_no_events_are_derived_from_a_text() -> None:
    with pytest.raises(BadInput, match=r"no event can be made from text .*only from image"):
        anybind.derive("event", "a duck")
