"""Written and spoken digits: images and audio clips of the same classes."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadOption
from anybind_datasets.spoken_digits import IMAGES, LABELS, SpokenDigits


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of 7, 1, 7 and recordings of 7 (test split), 7 and 0."""
    (tmp_path / "mnist").mkdir()
    (tmp_path / "speech").mkdir()
    images = np.arange(3 * 6, dtype=np.uint8).reshape(3, 2, 3)
    (tmp_path / "mnist" / f"{IMAGES}.gz").write_bytes(gzip.compress(idx(images), mtime=0))
    (tmp_path / "mnist" / LABELS).write_bytes(idx(np.array([7, 1, 7], np.uint8)))
    for name in ("7_lucas_0.wav", "7_lucas_5.wav", "0_theo_12.wav"):
        (tmp_path / "speech" / name).touch()
    return tmp_path


def test_images_and_clips_are_separate_items(folder):
    items = SpokenDigits(folder, split="all").items
    assert [(item.id, item.label) for item in items] == [
        ("mnist/00000", "seven"),
        ("mnist/00001", "one"),
        ("mnist/00002", "seven"),
        ("speech/0_theo_12.wav", "zero"),
        ("speech/7_lucas_0.wav", "seven"),
        ("speech/7_lucas_5.wav", "seven"),
    ]
    np.testing.assert_array_equal(items[1].source, np.repeat([[[6], [7], [8]], [[9], [10], [11]]], 3, axis=2))
    assert items[3].notes == {"speaker": "theo"}


def test_modality_split_classes_and_limit_are_selected(folder):
    def ids(**options):
        return [item.id for item in SpokenDigits(folder, **options).items]

    assert ids(modalities=["event", "image"]) == ["mnist/00000", "mnist/00001", "mnist/00002"]
    assert ids(modalities=["sound"]) == ["speech/7_lucas_0.wav"]
    assert ids(modalities=["sound"], split="train") == ["speech/0_theo_12.wav", "speech/7_lucas_5.wav"]
    assert ids(classes=["seven"], limit=1) == ["mnist/00000", "speech/7_lucas_0.wav"]
    assert SpokenDigits(folder, classes=["seven"]).classes == ["seven"]
    assert len(SpokenDigits(folder).all_classes) == 10


def test_invert_gives_dark_digits_on_white(folder):
    white = SpokenDigits(folder, modalities=["image"]).items[0].source
    np.testing.assert_array_equal(SpokenDigits(folder, modalities=["image"], invert=True).items[0].source, 255 - white)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (f"mnist/{IMAGES}.gz", b"no gzip", "cannot read"),
        (f"mnist/{IMAGES}.gz", gzip.compress(b"\0\0\10\3\0\0", mtime=0), "not an idx file of 3 axes"),
        (
            f"mnist/{IMAGES}.gz",
            gzip.compress(b"\0\0\10\3" + b"\xff" * 12, mtime=0),
            "expected an array of shape .* got 16 bytes",
        ),
        (f"mnist/{LABELS}", idx(np.array([7, 1], np.uint8)), "got 2 and 3"),
        (f"mnist/{LABELS}", idx(np.array([7, 1, 10], np.uint8)), "labels from 0 to 9"),
        ("speech/seven.wav", b"", r"seven\.wav: expected a name such as digit_speaker_index"),
    ],
)
def test_damaged_files_are_rejected(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(anybind.BadInput, match=f"not a complete copy of spoken-digits: .*{message}"):
        SpokenDigits(folder)


def test_damaged_gzip_is_rejected(folder):
    path = folder / "mnist" / f"{IMAGES}.gz"
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole[:12] + bytes(255 - each for each in whole[12:20]) + whole[20:]):
        path.write_bytes(damaged)
        with pytest.raises(anybind.BadInput, match="cannot read"):
            SpokenDigits(folder)


def test_missing_files_and_invalid_options_are_rejected(folder, tmp_path):
    with pytest.raises(BadOption, match="no split 'half'"):
        SpokenDigits(folder, split="half")
    for path in (folder / "speech").iterdir():
        path.unlink()
    with pytest.raises(anybind.BadInput, match="speech has no"):
        SpokenDigits(folder)
    (folder / "mnist" / LABELS).unlink()
    with pytest.raises(anybind.BadInput, match=rf"missing file mnist/{LABELS}\.gz; it is published at https://yann"):
        SpokenDigits(folder)


def test_real_digits_are_listed(test_data):
    items = SpokenDigits(test_data / "digits").items
    assert len(items) == 10_000 + 300
    assert items[0].source.shape == (28, 28, 3)
    assert items[0].label == "seven"  # as everyone's first test digit of MNIST
