"""`anybind evaluate retrieval` with the binding `mini`."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.torch

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Two written digits and three spoken ones, in the layout of the dataset `spoken-digits`."""

    def encode_idx(array: np.ndarray) -> bytes:
        return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()

    random = np.random.default_rng(0)
    for folder in ("mnist", "speech"):
        (tmp_path / folder).mkdir()
    images = random.integers(0, 256, (2, 28, 28)).astype(np.uint8)
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte").write_bytes(encode_idx(images))
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(encode_idx(np.array([7, 1], np.uint8)))
    for name in ("7_theo_0", "7_lucas_1", "1_theo_2"):
        soundfile.write(tmp_path / "speech" / f"{name}.wav", random.uniform(-0.5, 0.5, 8000), 8000)
    return tmp_path


def make_command(folder, *options):
    arguments = [argument for option in options for argument in ("--task-option", option)]
    return ("evaluate", "retrieval", "--dataset", "spoken-digits", "--data", folder, "--modality", "image", *arguments)


def test_images_retrieve_sounds_of_the_same_class(cli, digits):
    process = cli(*make_command(digits, "to=sound", "relevance=class"), "--json")
    assert process.code == 0
    result = json.loads(process.out)
    assert (result["n"], result["gallery_size"]) == (2, 3)
    assert result["directions"]["image_to_sound"]["relevant_per_query"] == 1.5
    assert result["chance"]["image_to_sound_R@1"] == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_table_has_the_chance_of_each_metric(cli, digits):
    process = cli(*make_command(digits, "to=text", "relevance=class"))
    assert process.code == 0
    (row,) = [line for line in process.out.splitlines() if "image_to_text_R@5" in line]
    assert "0.5000" in row.split("│")[4]  # the gallery is the ten class names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "missing a required argument: 'to'"),
        (["to=sound"], "no items with both image and sound; relevance=class"),
        (["to=sounds"], "no modality 'sounds'"),
        (["to=7"], "to: expected the name of a modality"),
        (["to=image"], "another modality than the samples' own"),
        (["to=sound", "relevance=close"], "relevance: expected instance or class"),
        (["to=sound", "relevance=class", "gallery=in-batch:2"], "more than the 0 pairs"),
    ],
)
def test_invalid_options_are_one_error_line(cli, digits, options, message):
    assert message in cli(*make_command(digits, *options)).error()


def test_invalid_sound_stops_the_run_or_is_skipped(cli, digits):
    (digits / "speech" / "1_theo_3.wav").write_bytes(b"RIFF")
    arguments = make_command(digits, "to=sound", "relevance=class")
    assert "1_theo_3.wav" in cli(*arguments).error()
    process = cli(*arguments, "--skip-invalid", "--json")
    assert list(json.loads(process.out)["skipped"]) == ["speech/1_theo_3.wav"]
    assert json.loads(process.out)["gallery_size"] == 3
