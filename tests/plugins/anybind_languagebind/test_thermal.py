from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.modality import find_modality, infer_modality
from anybind.reader import find_reader
from anybind_languagebind.thermal import ThermalImage


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_an_image_can_be_derived_as_thermal(pixels):
    thermal = anybind.derive("thermal", pixels)
    assert infer_modality(thermal) == "thermal"
    assert thermal.pixels is pixels


def test_image_files_are_read_as_images_by_default(pixels, tmp_path):
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    assert infer_modality(anybind.read(tmp_path / "a.png")) == "image"
    assert find_reader(tmp_path / "a.png").name == "image"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_file_is_read_as_thermal_on_request(pixels, tmp_path, mode):
    PIL.Image.fromarray(pixels).convert(mode).save(tmp_path / "a.png")
    assert find_reader(tmp_path / "a.png", "thermal").name == "thermal-image"
    sample = anybind.read(tmp_path / "a.png", reader="thermal-image")
    assert isinstance(sample, ThermalImage)
    assert (sample.pixels == anybind.read(tmp_path / "a.png")).all()


def test_a_box_of_a_file_can_be_read(pixels, tmp_path):
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    sample = anybind.read(tmp_path / "a.png", reader="thermal-image", box=[3, 4, 10, 20])
    assert (sample.pixels == pixels[4:20, 3:10]).all()


def test_a_file_that_is_not_an_image_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(anybind.BadInput, match=r"is not a valid \.png file"):
        find_reader(tmp_path / "a.png", "thermal")


def test_thermal_images_are_written_and_shown_as_images(pixels, tmp_path):
    anybind.write(ThermalImage(pixels), tmp_path / "a.png")
    assert (anybind.read(tmp_path / "a.png") == pixels).all()
    assert find_modality("thermal").show(ThermalImage(pixels)) is pixels


@pytest.mark.parametrize("shape", [(0, 5, 3), (1, 200, 3), (5, 5, 4), (5, 5)])
def test_invalid_shapes_are_an_error(shape):
    with pytest.raises(anybind.BadInput):
        find_modality("thermal").check(ThermalImage(np.zeros(shape, np.uint8)))
