"""NYU-D and SUN-D by local folder: scene classes, splits, cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.io

import anybind
from anybind import BadInput
from anybind.dataset import Dataset
from anybind.errors import BadOption
from anybind.reader import find_reader
from anybind.registry import create_part, find_part
from helpers import replicas

CAMERAS = {"kv1": 0.075, "kv2": 0.075, "realsense": 0.095, "xtion": 0.095}


@pytest.fixture
def nyu(tmp_path: Path) -> Path:
    return replicas.make_replica("nyu-d", tmp_path / "nyu")


@pytest.fixture
def sun(tmp_path: Path) -> Path:
    return replicas.make_replica("sun-d", tmp_path / "sun")


def dataset(name: str, folder: Path, **options: object) -> Dataset:
    return create_part("dataset", name, folder, **options)


def test_nyu_has_nine_scene_classes_and_others(nyu):
    data = dataset("nyu-d", nyu)
    assert len(data.classes) == 10
    assert [(item.id, item.label) for item in data.items] == [
        ("0002", "bathroom"),
        ("0004", "bathroom"),
        ("0006", "bedroom"),
        ("0008", "bedroom"),
        ("0010", "others"),
        ("0012", "others"),
    ]
    assert [item.id for item in dataset("nyu-d", nyu, split="train", classes=["others"]).items] == ["0009", "0011"]
    assert len(dataset("nyu-d", nyu, split="all").items) == 12


def test_nyu_depth_map_and_image_share_the_index(nyu):
    item = dataset("nyu-d", nyu).items[0]
    assert dict(item.options) == {"index": 1, "fx": 518.857901, "baseline": 0.075}
    assert dict(item.partner("image").options) == {"index": 1}
    (image, *_) = dataset("nyu-d", nyu, modalities=["image"]).items
    assert dict(image.options) == {"index": 1}
    assert set(image.partners) == {"depth"}


def test_nyu_depth_map_is_embedded(nyu):
    item = dataset("nyu-d", nyu).items[0]
    depth = anybind.read(item.source, reader=find_reader(item.source, "depth").name, **item.options)
    assert depth.metres.shape == (48, 64)
    assert np.isfinite(depth.disparity()).all()


def test_nyu_split_must_match_the_images(nyu):
    scipy.io.savemat(nyu / "splits.mat", {"trainNdxs": np.array([[1]]), "testNdxs": np.array([[13]])})
    with pytest.raises(BadInput, match=r"image 13 exceeds the 12 of nyu_depth_v2_labeled\.mat"):
        dataset("nyu-d", nyu)
    scipy.io.savemat(nyu / "splits.mat", {"trainNdxs": np.array([[1]])})
    with pytest.raises(BadInput, match="no array 'testNdxs'"):
        dataset("nyu-d", nyu)
    (nyu / "splits.mat").write_bytes(b"no")
    with pytest.raises(BadInput, match="not a readable MATLAB file"):
        dataset("nyu-d", nyu)
    (nyu / "splits.mat").unlink()
    with pytest.raises(BadInput, match=r"it lacks splits\.mat; it is published at https://cs\.nyu\.edu"):
        dataset("nyu-d", nyu)


def test_sun_selects_19_scene_classes(sun):
    data = dataset("sun-d", sun)
    assert len(data.classes) == 19
    assert {item.label for item in data.items} == {"bathroom", "bedroom"}
    assert data.items[0].id == "SUNRGBD/realsense/lg/2014_10_21-00000006"
    assert data.resolve_class_name("lecture_theatre") == "lecture theatre"
    assert len(dataset("sun-d", sun, split="all", classes=["bedroom"]).items) == 4


def test_sun_depth_maps_have_camera_parameters(sun):
    seen = {}
    for item in dataset("sun-d", sun, split="all").items:
        seen[item.source.relative_to(sun / "SUNRGBD").parts[0]] = item.options
    assert {camera: options["baseline"] for camera, options in seen.items()} == CAMERAS
    assert {options["fx"] for options in seen.values()} == {529.5}
    assert {options["preset"] for options in seen.values()} == {"sun-rgbd"}


def test_sun_depth_values_are_decoded_and_clipped(sun):
    item = dataset("sun-d", sun).items[0]
    millimetres = np.array([[500, 7999], [9000, 0]], np.uint16)
    PIL.Image.fromarray((millimetres << 3) | (millimetres >> 13)).save(item.source)
    depth = anybind.read(item.source, reader="depth", **item.options)
    np.testing.assert_allclose(depth.metres, [[0.5, 7.999], [8.0, np.nan]], rtol=1e-6)
    assert depth.disparity()[0, 0] == pytest.approx(529.5 * item.options["baseline"] / 0.5, rel=1e-5)


def test_sun_raw_depth_is_selected(sun):
    assert dataset("sun-d", sun).items[0].source.parent.name == "depth_bfx"
    assert dataset("sun-d", sun, depth="depth").items[0].source.parent.name == "depth"
    with pytest.raises(BadOption, match="depth: expected depth_bfx or depth"):
        dataset("sun-d", sun, depth="filled")


def test_sun_image_is_the_partner(sun):
    item = dataset("sun-d", sun).items[0]
    assert anybind.read(item.partner("image").source).shape == (48, 64, 3)
    assert dataset("sun-d", sun, modalities=["image"]).items[0].source.suffix == ".jpg"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("scene.txt", r"cannot read .*scene\.txt"),
        ("intrinsics.txt", r"cannot read .*intrinsics\.txt"),
        ("depth_bfx/0000006.png", r"no \.png file in .*depth_bfx"),
        ("image/0000006.jpg", r"no \.jpg file in .*image"),
    ],
)
def test_missing_files_of_a_sun_scene_are_reported(sun, path, message):
    (sun / "SUNRGBD" / "realsense" / "lg" / "2014_10_21-00000006" / path).unlink()
    with pytest.raises(BadInput, match=f"{message}; it is published at https://rgbd"):
        dataset("sun-d", sun)
    _, test = find_part("dataset", "sun-d").load().check(sun)
    assert len(test.missing) == 1
    assert test.n_found == 3


@pytest.mark.parametrize("text", ["", "f 0 1", "-3", "inf 1"])
def test_missing_focal_length_is_rejected(sun, text):
    (sun / "SUNRGBD/realsense/lg/2014_10_21-00000006/intrinsics.txt").write_text(text)
    with pytest.raises(BadInput, match=r"intrinsics\.txt: expected a positive focal length"):
        dataset("sun-d", sun)


@pytest.mark.parametrize(
    ("place", "message"),
    [("/data/elsewhere/kv1/a", "expected a folder in SUNRGBD"), ("/x/SUNRGBD/lytro/a", "unknown camera")],
)
def test_invalid_splits_are_rejected(sun, place, message):
    path = sun / "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"
    scipy.io.savemat(path, {"alltest": np.array([[place]], object)})
    with pytest.raises(BadInput, match=message):
        dataset("sun-d", sun)


@pytest.mark.parametrize("name", ["nyu-d", "sun-d"])
def test_unknown_splits_and_empty_folders_are_rejected(name, tmp_path):
    folder = replicas.make_replica(name, tmp_path / "data")
    with pytest.raises(BadOption, match="no split 'tst'; did you mean 'test'"):
        dataset(name, folder, split="tst")
    (tmp_path / "bare").mkdir()
    with pytest.raises(BadInput, match=r"it lacks .*published at https"):
        dataset(name, tmp_path / "bare")
