"""Single depth maps and pictures of the MATLAB file of NYU Depth v2's labelled set."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind.reader import find_reader, list_samples
from anybind_datasets.nyu_mat import scene_types

DEPTHS = np.arange(1, 1 + 2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
"""Two maps of 4x3 pixels, columns first, as MATLAB has them."""
PICTURES = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)


def write(path: Path, **held: np.ndarray) -> Path:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in held.items():
            file[name] = array
        cells = file.create_dataset("sceneTypes", (1, 2), h5py.ref_dtype)
        for number, text in enumerate(("kitchen", "café")):
            cells[0, number] = file.create_dataset(f"r/{number}", data=np.array([[ord(c)] for c in text], "u2")).ref
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    return path


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return write(tmp_path / "labeled.mat", depths=DEPTHS, images=PICTURES)


def test_a_map_is_read_by_its_index_and_turned_upright(labelled):
    depth = anybind.read(labelled, reader="nyu-depth-mat", index=1, fx=518.857901, baseline=0.075)
    assert depth.metres.tolist() == DEPTHS[1].T.tolist()
    assert depth.metres.shape == (3, 4)
    assert (depth.fx, depth.baseline) == (518.857901, 0.075)


def test_what_is_not_known_of_a_map_is_nan(tmp_path):
    maps = DEPTHS.copy()
    maps[0, 0] = [0, np.inf, np.nan]
    depth = anybind.read(write(tmp_path / "a.mat", depths=maps), reader="nyu-depth-mat", index=0)
    assert np.isnan(depth.metres[:, 0]).all()
    assert np.isfinite(depth.metres[:, 1:]).all()
    assert (depth.fx, depth.baseline) == (None, None)


def test_a_picture_is_read_by_its_index_and_turned_upright(labelled):
    picture = anybind.read(labelled, reader="nyu-picture-mat", index=1)
    assert picture.shape == (3, 4, 3)
    assert picture.dtype == np.uint8
    assert picture[2, 3].tolist() == PICTURES[1, :, 3, 2].tolist()


def test_the_file_is_found_by_what_is_wanted(labelled):
    assert find_reader(labelled, "depth").name == "nyu-depth-mat"
    assert find_reader(labelled, "image").name == "nyu-picture-mat"


def test_files_of_matlab_beside_pictures_are_no_samples(labelled, tmp_path):
    PIL.Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "masks.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    for wanted in (None, ["image"], ["depth"]):
        assert [path.name for path in list_samples(tmp_path, wanted)] == ["a.png"]


def test_kinds_of_scene_are_read(labelled):
    assert scene_types(labelled) == ["kitchen", "café"]


@pytest.mark.parametrize("index", [-1, 2])
def test_numbers_that_there_are_not_are_refused(labelled, index):
    with pytest.raises(BadOption, match=f"holds 2 depths, from 0 on; there is no number {index}"):
        anybind.read(labelled, reader="nyu-depth-mat", index=index)
    with pytest.raises(BadOption, match="2 images"):
        anybind.read(labelled, reader="nyu-picture-mat", index=index)


def test_a_file_of_other_things_is_refused(tmp_path):
    other = write(tmp_path / "other.mat", depths=PICTURES, images=DEPTHS)
    with pytest.raises(BadInput, match="depths must hold metres"):
        anybind.read(other, reader="nyu-depth-mat", index=0)
    with pytest.raises(BadInput, match="images must hold three bytes"):
        anybind.read(other, reader="nyu-picture-mat", index=0)
    with pytest.raises(BadInput, match="holds no array 'images'"):
        anybind.read(write(tmp_path / "less.mat", depths=DEPTHS), reader="nyu-picture-mat", index=0)


@pytest.mark.parametrize("keep", [100, 600, 3000])
def test_a_truncated_file_is_told(labelled, keep):
    labelled.write_bytes(labelled.read_bytes()[:keep])
    for read in (
        lambda: anybind.read(labelled, reader="nyu-depth-mat", index=1),
        lambda: anybind.read(labelled, reader="nyu-picture-mat", index=1),
        lambda: scene_types(labelled),
    ):
        with pytest.raises(BadInput, match=r"labeled\.mat"):
            read()
