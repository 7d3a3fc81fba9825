"""The picture that mini's network makes of an event recording, and the event tower that looks at it."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.registry import create_part
from anybind_events.stream import EventStream
from anybind_mini.event_picture import FILE, EventPicture
from anybind_mini.ship import FOLDER


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    data = pytest.importorskip("skimage.data")
    return [data.chelsea(), data.coffee(), data.astronaut(), data.rocket()]


@pytest.fixture(scope="module")
def recordings(pictures: list[np.ndarray]) -> list:
    return [anybind.derive("event", picture, seed=3) for picture in pictures]


def details(picture: np.ndarray) -> np.ndarray:
    """A picture less its own blur: events say nothing of how bright an even region is."""
    ndimage = pytest.importorskip("scipy.ndimage")
    return (picture - ndimage.gaussian_filter(picture, 8)).ravel()


def test_the_picture_looks_like_the_one_that_was_recorded(pictures, recordings):
    frame = EventPicture()
    for picture, recording in zip(pictures, recordings, strict=True):
        made = frame(recording)[0]
        gray = np.asarray(PIL.Image.fromarray(picture).convert("L").resize(made.shape[::-1]), np.float32)
        assert np.corrcoef(details(made), details(gray))[0, 1] > 0.5


@pytest.mark.parametrize("sensor", [(34, 34), (1280, 720), (40, 500), (3, 700)])
def test_a_recording_of_any_sensor_gives_a_picture_with_a_short_side_of_180(sensor):
    width, height = sensor
    random = np.random.default_rng(0)
    columns = {"x": random.integers(0, width, 500), "y": random.integers(0, height, 500), "p": random.random(500) < 0.5}
    made = EventPicture()(stream_of(columns, width, height))
    assert made.dtype == np.float32
    assert min(made.shape[1:]) == 180
    assert max(made.shape[1:]) <= 8 * 180
    assert 0 <= made.min() <= made.max() <= 1


def stream_of(columns, width, height):
    return EventStream(
        **columns, t=np.sort(np.random.default_rng(1).integers(0, 300_000, 500)), width=width, height=height
    )


def test_the_same_recording_gives_the_same_picture(recordings):
    assert (EventPicture()(recordings[0]) == EventPicture()(recordings[0])).all()


def test_the_weights_are_part_of_the_settings():
    settings = EventPicture().settings
    assert len(settings["weights"]) == 12
    assert settings["slices"]["parts"] == 6


def test_the_shipped_files_are_small():
    assert FILE.stat().st_size + (FOLDER / "event.safetensors").stat().st_size < 12_000_000


def test_the_trained_event_tower_is_nearer_to_the_pictures_than_an_untrained_copy(pictures, recordings):
    binder = anybind.load("mini")
    options = {"image_encoder": binder.encoder("image"), "options": {"clamp_percentile": 90, "invert": True}}
    untrained = create_part("encoder", "event-encoder", **options)
    plain = untrained.encode([untrained.preprocess(recording) for recording in recordings])
    trained = binder.encoder("event")
    taught = trained.encode([trained.preprocess(recording) for recording in recordings])
    wanted = binder.encoder("image").encode([binder.encoder("image").preprocess(picture) for picture in pictures])
    assert (taught * wanted).sum(axis=1).mean() > (plain * wanted).sum(axis=1).mean() + 0.05
