"""mini's towers for sounds and depth maps."""

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
from anybind_mini.depth_encoder import render_disparity
from anybind_mini.sound_encoder import RATE, SECONDS, select_loudest_window

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def binder() -> anybind.Binder:
    return anybind.load("mini")


def tone(hertz: float, seconds: float, rate: int = RATE, channels: int = 1) -> Waveform:
    time = np.arange(int(seconds * rate)) / rate
    return Waveform(np.tile(0.3 * np.sin(2 * np.pi * hertz * time), (channels, 1)).astype(np.float32), rate)


def test_sounds_of_any_length_rate_and_number_of_channels_have_a_vector_in_the_space_of_words(binder):
    sounds = [tone(440, 0.01), tone(440, 30), tone(300, 1, rate=8000), tone(440, 2, rate=44_100, channels=8)]
    vectors = binder.embed("sound", sounds)
    assert vectors.space == binder.embed("text", ["a tone"]).space
    assert np.allclose(np.linalg.norm(vectors.vectors, axis=1), 1, atol=1e-5)


def test_silence_has_a_finite_vector(binder):
    assert np.isfinite(binder.embed("sound", [Waveform(np.zeros((1, 16_000), np.float32), 16_000)]).vectors).all()


def test_samples_that_are_no_numbers_are_refused(binder):
    broken = tone(440, 1)
    broken.samples[0, 5] = np.nan
    with pytest.raises(BadInput, match="no numbers"):
        binder.embed("sound", [broken])


def test_how_sounds_are_batched_does_not_matter(binder):
    sounds = [tone(hertz, seconds) for hertz, seconds in ((100, 1), (440, 6), (2000, 0.2))]
    together, alone = binder.embed("sound", sounds), [binder.embed("sound", sound) for sound in sounds]
    assert np.abs(together.vectors - np.concatenate([each.vectors for each in alone])).max() < 1e-5


def test_of_a_long_sound_the_loudest_part_is_heard():
    samples = 0.01 * RANDOM.standard_normal(20 * RATE).astype(np.float32)
    samples[7 * RATE : 9 * RATE] += np.float32(0.5)
    part = select_loudest_window(samples, int(SECONDS * RATE))
    assert len(part) == SECONDS * RATE
    energy = [
        np.square(samples[start : start + len(part)], dtype=np.float64).sum() for start in range(0, 15 * RATE, 16)
    ]
    assert np.square(part, dtype=np.float64).sum() >= max(energy)


def test_a_short_sound_lies_amid_silence():
    part = select_loudest_window(np.ones(101, np.float32), 1000)
    assert part.shape == (1000,)
    assert part.sum() == 101
    assert part[449:550].sum() == 101


@pytest.mark.slow
def test_clips_of_environmental_sounds_are_recognised_by_words(binder, test_data):
    names = ("dog", "rain", "sea waves", "crying baby", "clock tick", "sneezing", "helicopter", "chainsaw", "rooster")
    dataset = create_part("dataset", "esc-50", test_data / "esc10", folds="4", limit=40)
    vectors = binder.embed("sound", dataset.items)
    words = binder.embed("text", [f"the sound of {name}" for name in dataset.classes])
    assert set(names) < set(dataset.classes)
    right = np.array([item.label for item in dataset.items]) == np.array(dataset.classes)[(vectors @ words).argmax(1)]
    assert right.mean() > 0.6


def test_depth_lands_where_pictures_do_and_means_something_to_words(binder):
    ramp = np.tile(np.linspace(1, 5, 64, dtype=np.float32), (48, 1))
    vectors = binder.embed("depth", [DepthMap(ramp)])
    assert vectors.space == binder.space("image")


def test_what_is_near_is_bright_and_what_is_unknown_is_black():
    metres = np.tile(np.linspace(1, 5, 64, dtype=np.float32), (48, 1))
    metres[:10] = np.nan
    picture = render_disparity(metres)
    assert picture.shape == (48, 64, 3)
    assert picture.dtype == np.uint8
    assert (picture[:10] == 0).all()
    row = picture[20, :, 0].astype(int)
    assert row[0] == 255
    assert row[-1] == 0
    assert (np.diff(row) <= 0).all()


def test_the_unit_of_depth_does_not_matter():
    metres = RANDOM.uniform(0.5, 8, (30, 40)).astype(np.float32)
    assert (render_disparity(metres) == render_disparity(metres * 1000)).all()


@pytest.mark.parametrize("depth", [np.zeros((5, 5)), np.full((5, 5), np.nan), np.full((5, 5), -1.0)])
def test_a_map_without_any_known_depth_is_refused(depth):
    with pytest.raises(BadInput, match="no depth"):
        render_disparity(depth.astype(np.float32))


def test_a_flat_wall_has_a_vector(binder):
    assert len(binder.embed("depth", [DepthMap(np.full((20, 20), 2.0, np.float32))])) == 1


def test_depth_is_shown_to_an_image_tower_only():
    with pytest.raises(BadOption, match="@image"):
        create_part("encoder", "depth-as-image", of=create_part("encoder", "mini-text"))


def test_a_depth_file_is_read_with_the_options_of_its_item(binder, test_data):
    path = test_data / "rgbd" / "tum" / "1_depth.pgm"
    assert len(binder.embed("depth", [Item("one", path, options={"scale": 0.001})])) == 1
    with pytest.raises(BadInput, match="scale"):
        binder.embed("depth", [path])


def test_a_folder_with_sounds_and_depth_maps_is_embedded_by_the_command_and_bad_ones_are_listed(cli, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    broken = tone(440, 1)
    broken.samples[0, 5] = np.nan
    for name, sound in (("short", tone(440, 0.01)), ("eight", tone(440, 1, channels=8)), ("nan", broken)):
        anybind.write(sound, folder / f"{name}.wav")
    anybind.write(DepthMap(np.linspace(1, 4, 600, dtype=np.float32).reshape(20, 30)), folder / "map.npy")
    np.save(folder / "zero.npy", np.zeros((20, 30), np.float32))
    ended = cli("embed", folder, "-o", tmp_path / "v.safetensors", "--skip-bad", "--json")
    assert ended.code == 0
    told = json.loads(ended.out)
    assert {group["modality"]: group["n"] for group in told["embeddings"]} == {"depth": 1, "sound": 2}
    assert {path.rpartition("/")[2] for path in told["skipped"]} == {"nan.wav", "zero.npy"}
    for path, reason in told["skipped"].items():
        assert reason.startswith(path)
        assert reason in ended.err
    stored = anybind.load_embeddings(tmp_path / "v.safetensors")
    assert all(np.isfinite(group.vectors).all() for group in stored.values())
