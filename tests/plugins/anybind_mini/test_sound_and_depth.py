"""The audio and depth encoders of mini."""

from __future__ import annotations

import json

import numpy as np
import pytest

import anybind
from anybind import BadInput
from anybind.dataset import Item
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform
from anybind_mini.depth_rendering import compute_shading, render_depth

pytestmark = pytest.mark.torch

RATE = 16_000
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def binder() -> anybind.Binder:
    return anybind.load("mini")


def make_tone(hertz: float, seconds: float, rate: int = RATE, channels: int = 1) -> Waveform:
    time = np.arange(int(seconds * rate)) / rate
    return Waveform(np.tile(0.3 * np.sin(2 * np.pi * hertz * time), (channels, 1)).astype(np.float32), rate)


def test_clips_of_any_length_rate_and_channels_are_embedded_in_the_text_space(binder):
    clips = [
        make_tone(440, 0.01),
        make_tone(440, 30),
        make_tone(300, 1, rate=8000),
        make_tone(440, 2, rate=44_100, channels=8),
    ]
    vectors = binder.embed("sound", clips)
    assert vectors.space == binder.embed("text", ["a tone"]).space
    assert np.allclose(np.linalg.norm(vectors.vectors, axis=1), 1, atol=1e-5)


def test_silence_has_a_finite_embedding(binder):
    assert np.isfinite(binder.embed("sound", [Waveform(np.zeros((1, 16_000), np.float32), 16_000)]).vectors).all()


def test_nan_samples_are_rejected(binder):
    broken = make_tone(440, 1)
    broken.samples[0, 5] = np.nan
    with pytest.raises(BadInput, match="non-finite samples"):
        binder.embed("sound", [broken])


def test_audio_embeddings_do_not_depend_on_the_batch(binder):
    clips = [make_tone(hertz, seconds) for hertz, seconds in ((100, 1), (440, 6), (2000, 0.2))]
    single = np.concatenate([binder.embed("sound", clip).vectors for clip in clips])
    assert np.abs(binder.embed("sound", clips).vectors - single).max() < 1e-5


@pytest.mark.slow
def test_environmental_sounds_are_classified_zero_shot(binder, test_data):
    names = ("dog", "rain", "sea waves", "crying baby", "clock tick", "sneezing", "helicopter", "chainsaw", "rooster")
    dataset = create_part("dataset", "esc-50", test_data / "esc10", folds="1", limit=40)
    vectors = binder.embed("sound", dataset.items)
    texts = binder.embed("text", [f"the sound of {name}" for name in dataset.classes])
    assert set(names) < set(dataset.classes)
    predictions = np.array(dataset.classes)[(vectors @ texts).argmax(1)]
    assert np.mean([item.label for item in dataset.items] == predictions) > 0.85


def test_depth_is_embedded_in_the_image_space(binder):
    ramp = np.tile(np.linspace(1, 5, 64, dtype=np.float32), (48, 1))
    vectors = binder.embed("depth", [DepthMap(ramp)])
    assert vectors.space == binder.space("image")


def test_invalid_pixels_are_black():
    metres = np.tile(np.linspace(1, 5, 64, dtype=np.float32), (48, 1))
    metres[:10] = np.nan
    image = render_depth(metres)
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    assert (image[:10] == 0).all()
    assert (image[20, :60] > 0).all()


def test_the_image_does_not_depend_on_the_unit_of_depth():
    metres = RANDOM.uniform(0.5, 8, (30, 40)).astype(np.float32)
    difference = render_depth(metres).astype(int) - render_depth(metres * 1024)
    assert np.abs(difference).max() <= 1  # of rounding


def test_the_shading_of_a_plane_is_the_cosine_of_its_angle():
    # Depth of a plane through (0, 0, 2) turned by an angle about the vertical axis: z = 2 / (1 - tan(angle) x / fx).
    angle, fx = np.radians(40), 500.0
    x = np.arange(-30, 31)
    metres = np.tile(2 / (1 - np.tan(angle) * x / fx), (41, 1))
    shading = compute_shading(np.log(metres), np.ones(metres.shape, bool), fx)
    assert shading[20, 30] == pytest.approx(np.cos(angle), abs=1e-3)


def test_surfaces_that_face_the_camera_are_bright_and_edges_dark():
    metres = np.full((40, 60), 3.0, np.float32)
    metres[:, 30:] = 2.0
    row = render_depth(metres)[20, :, 0].astype(int)
    assert row[50] == 255
    assert row[10] == pytest.approx(0.3 * 255, abs=1)
    assert row[29:31].max() < 50


def test_holes_do_not_darken_the_surface_beside_them():
    metres = np.full((40, 60), 3.0)
    valid = np.ones(metres.shape, bool)
    valid[10:20, 10:20] = False
    np.testing.assert_allclose(compute_shading(np.log(metres), valid, 500.0)[valid], 1)


@pytest.mark.parametrize("depth", [np.zeros((5, 5)), np.full((5, 5), np.nan), np.full((5, 5), -1.0)])
def test_a_map_without_valid_depth_is_rejected(depth):
    with pytest.raises(BadInput, match="expected at least one finite depth above 0"):
        render_depth(depth.astype(np.float32))


def test_constant_depth_is_embedded(binder):
    assert len(binder.embed("depth", [DepthMap(np.full((20, 20), 2.0, np.float32))])) == 1


def test_depth_needs_an_image_encoder():
    with pytest.raises(BadOption, match="@image"):
        create_part("encoder", "depth-as-image", of=create_part("encoder", "mini-text"))


def test_a_depth_file_is_read_with_the_options_of_its_item(binder, test_data):
    path = test_data / "rgbd" / "tum" / "1_depth.pgm"
    assert len(binder.embed("depth", [Item("one", path, options={"scale": 0.001})])) == 1
    with pytest.raises(BadInput, match="scale"):
        binder.embed("depth", [path])


def test_the_command_embeds_audio_and_depth_and_lists_invalid_files(cli, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    broken = make_tone(440, 1)
    broken.samples[0, 5] = np.nan
    for name, clip in (("short", make_tone(440, 0.01)), ("eight", make_tone(440, 1, channels=8)), ("nan", broken)):
        anybind.write(clip, folder / f"{name}.wav")
    anybind.write(DepthMap(np.linspace(1, 4, 600, dtype=np.float32).reshape(20, 30)), folder / "map.npy")
    np.save(folder / "zero.npy", np.zeros((20, 30), np.float32))
    outcome = cli("embed", folder, "-o", tmp_path / "v.safetensors", "--skip-invalid", "--json")
    assert outcome.code == 0
    fields = json.loads(outcome.out)
    assert {group["modality"]: group["n"] for group in fields["embeddings"]} == {"depth": 1, "sound": 2}
    assert {path.rpartition("/")[2] for path in fields["skipped"]} == {"nan.wav", "zero.npy"}
    for path, reason in fields["skipped"].items():
        assert reason.startswith(path)
        assert reason in outcome.err
    stored = anybind.load_embeddings(tmp_path / "v.safetensors")
    assert all(np.isfinite(group.vectors).all() for group in stored.values())
