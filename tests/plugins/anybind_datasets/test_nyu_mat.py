"""Readers of single depth maps and images in the MATLAB file of NYU Depth v2's labelled set."""

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
from anybind_datasets.nyu_mat import read_scene_types

DEPTHS = np.arange(1, 1 + 2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
"""Two depth maps of 4x3 pixels, column-major as in MATLAB."""
IMAGES = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)


def write(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array
        cells = file.create_dataset("sceneTypes", (1, 2), h5py.ref_dtype)
        for number, text in enumerate(("kitchen", "café")):
            cells[0, number] = file.create_dataset(f"r/{number}", data=np.array([[ord(c)] for c in text], "u2")).ref
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    return path


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return write(tmp_path / "labeled.mat", depths=DEPTHS, images=IMAGES)


def test_depth_map_is_read_by_index_and_transposed(labelled):
    depth = anybind.read(labelled, reader="nyu-depth-mat", index=1, fx=518.857901, baseline=0.075)
    assert depth.metres.tolist() == DEPTHS[1].T.tolist()
    assert depth.metres.shape == (3, 4)
    assert (depth.fx, depth.baseline) == (518.857901, 0.075)


def test_unknown_depth_is_nan(tmp_path):
    maps = DEPTHS.copy()
    maps[0, 0] = [0, np.inf, np.nan]
    depth = anybind.read(write(tmp_path / "a.mat", depths=maps), reader="nyu-depth-mat", index=0)
    assert np.isnan(depth.metres[:, 0]).all()
    assert np.isfinite(depth.metres[:, 1:]).all()
    assert (depth.fx, depth.baseline) == (None, None)


def test_image_is_read_by_index_and_transposed(labelled):
    image = anybind.read(labelled, reader="nyu-image-mat", index=1)
    assert image.shape == (3, 4, 3)
    assert image.dtype == np.uint8
    assert image[2, 3].tolist() == IMAGES[1, :, 3, 2].tolist()


def test_reader_is_selected_by_modality(labelled):
    assert find_reader(labelled, "depth").name == "nyu-depth-mat"
    assert find_reader(labelled, "image").name == "nyu-image-mat"


def test_matlab_files_are_not_samples(labelled, tmp_path):
    PIL.Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "masks.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    for modalities in (None, ["image"], ["depth"]):
        assert [path.name for path in list_samples(tmp_path, modalities)] == ["a.png"]


def test_scene_types_are_read(labelled):
    assert read_scene_types(labelled) == ["kitchen", "café"]


@pytest.mark.parametrize("index", [-1, 2])
def test_index_out_of_range_is_rejected(labelled, index):
    with pytest.raises(BadOption, match=f"expected an index from 0 to 1 of depths, got {index}"):
        anybind.read(labelled, reader="nyu-depth-mat", index=index)
    with pytest.raises(BadOption, match="of images, got"):
        anybind.read(labelled, reader="nyu-image-mat", index=index)


def test_unrelated_file_is_rejected(tmp_path):
    other = write(tmp_path / "other.mat", depths=IMAGES, images=DEPTHS)
    with pytest.raises(BadInput, match="depths: expected one float per pixel"):
        anybind.read(other, reader="nyu-depth-mat", index=0)
    with pytest.raises(BadInput, match="images: expected three bytes"):
        anybind.read(other, reader="nyu-image-mat", index=0)
    with pytest.raises(BadInput, match="no array 'images'"):
        anybind.read(write(tmp_path / "less.mat", depths=DEPTHS), reader="nyu-image-mat", index=0)


@pytest.mark.parametrize("keep", [100, 600, 3000])
def test_truncated_file_is_rejected(labelled, keep):
    labelled.write_bytes(labelled.read_bytes()[:keep])
    for read in (
        lambda: anybind.read(labelled, reader="nyu-depth-mat", index=1),
        lambda: anybind.read(labelled, reader="nyu-image-mat", index=1),
        lambda: read_scene_types(labelled),
    ):
        with pytest.raises(BadInput, match=r"labeled\.mat"):
            read()
