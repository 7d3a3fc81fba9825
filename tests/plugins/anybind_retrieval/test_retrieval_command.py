"""`anybind evaluate retrieval` as a user meets it, on the binding `mini`."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Two written digits and three spoken ones, laid out as the data set `spoken-digits` is."""

    def idx(array: np.ndarray) -> bytes:
        return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()

    random = np.random.default_rng(0)
    for folder in ("mnist", "speech"):
        (tmp_path / folder).mkdir()
    pictures = random.integers(0, 256, (2, 28, 28)).astype(np.uint8)
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte").write_bytes(idx(pictures))
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([7, 1], np.uint8)))
    for name in ("7_theo_0", "7_lucas_1", "1_theo_2"):
        soundfile.write(tmp_path / "speech" / f"{name}.wav", random.uniform(-0.5, 0.5, 8000), 8000)
    return tmp_path


def command(folder, *options):
    wanted = [part for option in options for part in ("--option", option)]
    return ("evaluate", "retrieval", "--dataset", "spoken-digits", "--data", folder, "--modality", "image", *wanted)


def test_pictures_ask_for_sounds_of_the_same_class(cli, digits):
    ended = cli(*command(digits, "to=sound", "relevance=class"), "--json")
    assert ended.code == 0
    result = json.loads(ended.out)
    assert (result["n"], result["gallery_size"]) == (2, 3)
    assert result["directions"]["image_to_sound"]["right_answers"] == 1.5
    assert result["chance"]["image_to_sound_R@1"] == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_the_table_shows_chance_beside_each_figure(cli, digits):
    ended = cli(*command(digits, "to=text", "relevance=class"))
    assert ended.code == 0
    (row,) = [line for line in ended.out.splitlines() if "image_to_text_R@5" in line]
    assert "0.5000" in row.split("│")[4]  # the ten digits' words are asked among


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "missing a required argument: 'to'"),
        (["to=sound"], "no items with both image and sound; relevance=class"),
        (["to=sounds"], "no modality 'sounds'"),
        (["to=7"], "to is the name of a modality"),
        (["to=image"], "another one than image"),
        (["to=sound", "relevance=close"], "relevance is instance or class"),
        (["to=sound", "relevance=class", "gallery=in-batch:2"], "more than the 0 pairs"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(cli, digits, options, message):
    assert message in cli(*command(digits, *options)).error()


def test_a_broken_sound_stops_all_or_is_skipped_on_request(cli, digits):
    (digits / "speech" / "1_theo_3.wav").write_bytes(b"RIFF")
    asked = command(digits, "to=sound", "relevance=class")
    assert "1_theo_3.wav" in cli(*asked).error()
    ended = cli(*asked, "--skip-bad", "--json")
    assert list(json.loads(ended.out)["skipped"]) == ["speech/1_theo_3.wav"]
    assert json.loads(ended.out)["gallery_size"] == 3
