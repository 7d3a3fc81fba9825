"""Datasets of installed packages."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import anybind
from anybind.errors import BadOption, MissingExtra
from anybind.reader import find_reader
from anybind.registry import create_part
from anybind_datasets import packaged
from anybind_datasets.packaged import Digits8x8, SkimageImages, StereoTiles


@pytest.fixture
def digits():
    return pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed").load_digits()


@pytest.fixture
def skimage():
    return pytest.importorskip("skimage", reason="scikit-image is not installed")


def test_digits_match_scikit_learn(digits, tmp_path):
    dataset = Digits8x8(tmp_path, limit=20)
    assert Counter(item.label for item in dataset.items) == dict.fromkeys(packaged.DIGITS, 2)
    for item in dataset.items:
        number = int(item.id.removesuffix(".png"))
        assert packaged.DIGITS[digits.target[number]] == item.label
        image = anybind.read(item.source)
        assert image.shape == (96, 96, 3)
        assert not image[:8].any()
        small = image[8:-8, 8:-8, 0].reshape(8, 10, 8, 10).mean(axis=(1, 3))
        assert np.corrcoef(small.ravel(), digits.images[number].ravel())[0, 1] > 0.95


def test_digits_are_written_once(digits, tmp_path):
    first = Digits8x8(tmp_path, classes=["three"], limit=2).items[0].source
    first.write_bytes(first.read_bytes() + b"unchanged")
    again = Digits8x8(tmp_path, classes=["three"], limit=3)
    assert first.read_bytes().endswith(b"unchanged")
    assert sorted(path.name for path in tmp_path.iterdir()) == [item.id for item in again.items]


def test_there_are_1797_digits(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(packaged, "_write_missing", lambda path, make: None)
    dataset = Digits8x8(tmp_path)
    assert len(dataset.items) == dataset.splits["all"] == 1797
    assert list(dataset.classes) == list(packaged.DIGITS)


def test_images_have_class_and_caption(skimage, tmp_path):
    dataset = SkimageImages(tmp_path, modalities=["image", "text"])
    assert len(dataset.items) == len(set(dataset.classes)) == dataset.splits["all"]
    assert len({item.partners["text"] for item in dataset.items}) == len(dataset.items)
    assert all(find_reader(item.source).spec.modality == "image" for item in dataset.items)
    assert not list(tmp_path.iterdir())


def test_missing_packaged_image_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged, "find_skimage_data", lambda: tmp_path)
    with pytest.raises(anybind.BadInput, match=r"scikit-image has no astronaut\.png"):
        SkimageImages(tmp_path)
    with pytest.raises(anybind.BadInput, match=r"scikit-image has no motorcycle_left\.png"):
        StereoTiles(tmp_path)


def test_missing_scikit_image_reports_pip_command(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install 'anybind\\[datasets\\]'"):
        SkimageImages(tmp_path)


def test_tiles_cover_the_scene_with_their_depths(skimage, tmp_path):
    dataset = StereoTiles(tmp_path)
    assert [item.id for item in dataset.items[:5]] == ["0-0", "0-1", "0-2", "0-3", "1-0"]
    scene = anybind.read(packaged.find_skimage_data() / "motorcycle_left.png")
    item = dataset.items[6]
    np.testing.assert_array_equal(anybind.read(item.source), scene[166:332, 370:555])
    metres = anybind.read(item.partners["depth"], reader="depth").metres
    assert metres.shape == (166, 185)
    disparity = np.load(packaged.find_skimage_data() / "motorcycle_disp.npz")["arr_0"][166:332, 370:555]
    is_known = np.isfinite(disparity)
    assert np.isnan(metres[~is_known]).all()
    assert 0 < (~is_known).sum() < 0.2 * is_known.size
    np.testing.assert_allclose(metres[is_known], 994.978 * 0.193001 / (disparity[is_known] + 31.086), rtol=1e-5)
    assert 2 < np.nanmin(metres) < np.nanmax(metres) < 6


def test_depth_tiles_have_images_as_partners(skimage, tmp_path):
    item = StereoTiles(tmp_path, modalities=["depth"], limit=1).items[0]
    assert item.source.suffix == ".npy"
    assert item.partners["image"].suffix == ".png"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digits-8x8", {"classes": ["ten"]}, "no class 'ten'"),
        ("digits-8x8", {"limit": 0}, "limit must be at least 1"),
        ("skimage-images", {"classes": ["dog"]}, "no class 'dog'"),
        ("stereo-tiles", {"limit": 0}, "limit must be at least 1"),
    ],
)
def test_invalid_options_are_rejected(digits, skimage, tmp_path, name, options, message):
    with pytest.raises(BadOption, match=message):
        create_part("dataset", name, tmp_path, **options)


def test_other_modalities_are_rejected(digits, tmp_path):
    with pytest.raises(anybind.BadInput, match="holds samples of image, not of sound"):
        Digits8x8(tmp_path, modalities=["sound"])
