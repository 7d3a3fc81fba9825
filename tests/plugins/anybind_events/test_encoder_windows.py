"""Event encoders that encode several windows of a recording: the mean of their vectors, whatever computes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import anybind
from anybind.plugin import BadOption, create_part, export
from anybind_events.encoder import EventEncoder
from anybind_events.stream import EventStream


def make_recording(events: int, seed: int = 0) -> EventStream:
    """Return a recording of events on a small ring, at an even rate."""
    random = np.random.default_rng(seed)
    angle = random.uniform(0, 2 * np.pi, events)
    x, y = np.rint(30 + 20 * np.cos(angle)).astype(np.uint16), np.rint(24 + 20 * np.sin(angle)).astype(np.uint16)
    return EventStream(x, y, np.arange(events) * 50, random.random(events) < 0.5, 64, 48)


@pytest.fixture(scope="module")
def image_encoder():
    return anybind.load("mini").encoder("image", "torch")


def create_encoder(image_encoder, windows: int, **options) -> EventEncoder:
    return EventEncoder(image_encoder, representation="count-image", options=options, size=64, windows=windows)


def test_an_embedding_is_the_mean_of_the_vectors_of_its_windows(image_encoder):
    encoder = create_encoder(image_encoder, 3)
    recordings = [make_recording(20_000), make_recording(3_000), make_recording(900)]
    inputs = [encoder.preprocess(each) for each in recordings]
    assert [len(each) for each in inputs] == [3, 1, 1]
    with torch.inference_mode():
        vectors = [anybind.normalize(encoder.module(each).double().numpy()).mean(axis=0) for each in inputs]
    np.testing.assert_allclose(encoder.encode(inputs), anybind.normalize(np.stack(vectors)), atol=1e-6)


def test_windows_share_the_region_and_cover_the_recording(image_encoder):
    frame = create_part("representation", "count-image", density=0.9)
    recording = make_recording(20_000)
    windows = frame.draw_windows(recording, 4)
    assert {each.shape for each in windows} == {frame(recording).shape}
    half = len(recording) // 2
    uncropped = create_part("representation", "count-image", crop=False, density=0.2)
    for window, part in zip(uncropped.draw_windows(recording, 2), (recording[:half], recording[half:]), strict=True):
        np.testing.assert_array_equal(window, uncropped(part))


@pytest.mark.parametrize("events", [0, 1, 10, 499])
def test_a_short_recording_is_one_window(events):
    frame, recording = create_part("representation", "count-image"), make_recording(events)
    (window,) = frame.draw_windows(recording, 3)
    np.testing.assert_array_equal(window, frame(recording))


def test_a_recording_of_100_ms_is_one_window():
    frame, recording = create_part("representation", "count-image"), make_recording(20_000)
    assert [len(frame.draw_windows(recording[:n], 3)) for n in (1_999, 8_000, 20_000)] == [1, 2, 3]


def test_representations_without_windows_give_the_whole_recording(image_encoder):
    recording = make_recording(20_000)
    one, three = (EventEncoder(image_encoder, representation="paper", windows=windows) for windows in (1, 3))
    np.testing.assert_allclose(
        one.encode([one.preprocess(recording)]), three.encode([three.preprocess(recording)]), atol=1e-6
    )
    (window,) = create_part("representation", "count-image", density=None).draw_windows(recording, 3)
    assert window.ndim == 3


def test_gradients_reach_the_weights_through_all_windows(image_encoder):
    encoder = create_encoder(image_encoder, 3)
    inputs = [encoder.preprocess(make_recording(20_000)), encoder.preprocess(make_recording(900))]
    features = encoder.features(encoder.collate(inputs))
    assert features.shape == (2, encoder.space.dim)
    features[0].sum().backward()
    assert any(each.grad is not None and each.grad.abs().max() > 0 for each in encoder.module.parameters())


def test_the_exported_network_gives_the_same_vectors(image_encoder, tmp_path):
    encoder = create_encoder(image_encoder, 3)
    recordings = [make_recording(20_000), make_recording(900)]
    plan = encoder.plan_export()
    arrays = export.create_input(plan.encoder, plan.options, tmp_path).collate(
        [encoder.preprocess(each).numpy() for each in recordings]
    )
    assert set(plan.axes) == set(arrays)
    with torch.inference_mode():
        exported = plan.module(*(torch.from_numpy(each) for each in arrays.values())).numpy()
    expected = encoder.encode([encoder.preprocess(each) for each in recordings])
    np.testing.assert_allclose(anybind.normalize(exported), expected, atol=1e-6)


def test_windows_are_part_of_the_identity(image_encoder):
    one, two = (create_encoder(image_encoder, windows) for windows in (1, 2))
    assert one.identity != two.identity
    assert "windows" not in one.preprocessing  # identities from before the option stay


@pytest.mark.parametrize("windows", [0, -1, 2.5, "3", None])
def test_no_window_is_an_error(image_encoder, windows):
    with pytest.raises(BadOption, match=f"windows: expected 1 or more, got {windows!r}"):
        create_encoder(image_encoder, windows)
