"""The image that mini's network reconstructs from events, and the event encoder on it."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.registry import create_part
from anybind_events.stream import EventStream
from anybind_mini.event_image import FILE, EventImage
from anybind_mini.ship import FOLDER

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    data = pytest.importorskip("skimage.data")
    return [data.chelsea(), data.coffee(), data.astronaut(), data.rocket()]


@pytest.fixture(scope="module")
def recordings(images: list[np.ndarray]) -> list:
    return [anybind.derive("event", image, seed=3) for image in images]


def high_pass(image: np.ndarray) -> np.ndarray:
    """Subtract the blurred image: events carry no information on the brightness of uniform regions."""
    ndimage = pytest.importorskip("scipy.ndimage")
    return (image - ndimage.gaussian_filter(image, 8)).ravel()


def test_the_image_resembles_the_recorded_one(images, recordings):
    representation = EventImage()
    for image, recording in zip(images, recordings, strict=True):
        output = representation(recording)[0]
        gray = np.asarray(PIL.Image.fromarray(image).convert("L").resize(output.shape[::-1]), np.float32)
        assert np.corrcoef(high_pass(output), high_pass(gray))[0, 1] > 0.5


@pytest.mark.parametrize("sensor", [(34, 34), (1280, 720), (40, 500), (3, 700)])
def test_the_short_side_is_180_for_every_sensor(sensor):
    width, height = sensor
    random = np.random.default_rng(0)
    x, y, p = random.integers(0, width, 500), random.integers(0, height, 500), random.random(500) < 0.5
    output = EventImage()(EventStream(x, y, np.sort(random.integers(0, 300_000, 500)), p, width, height))
    assert output.dtype == np.float32
    assert min(output.shape[1:]) == 180
    assert max(output.shape[1:]) <= 8 * 180
    assert 0 <= output.min() <= output.max() <= 1


def test_the_image_is_deterministic(recordings):
    assert (EventImage()(recordings[0]) == EventImage()(recordings[0])).all()


def test_the_weights_are_part_of_the_settings():
    settings = EventImage().settings
    assert len(settings["weights"]) == 12
    assert settings["slices"]["parts"] == 6


def test_the_weight_files_are_small():
    assert FILE.stat().st_size + (FOLDER / "event.safetensors").stat().st_size < 12_000_000


def test_the_trained_event_encoder_is_closer_to_the_images_than_an_untrained_copy(images, recordings):
    binder = anybind.load("mini")
    options = {"image_encoder": binder.encoder("image"), "options": {"clamp_percentile": 90, "invert": True}}
    untrained = create_part("encoder", "event-encoder", **options)
    targets = binder.encoder("image").encode([binder.encoder("image").preprocess(image) for image in images])
    cosines = [
        (encoder.encode([encoder.preprocess(recording) for recording in recordings]) * targets).sum(axis=1).mean()
        for encoder in (binder.encoder("event"), untrained)
    ]
    assert cosines[0] > cosines[1] + 0.05
