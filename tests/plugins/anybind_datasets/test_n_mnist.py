"""N-MNIST by local folder, and common behaviour of published datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import anybind
from anybind import BadInput
from anybind.dataset import Dataset
from anybind.errors import BadOption
from anybind.registry import create_part

FILES = [f"{part}/{digit}/{number:05}.bin" for part in ("Train", "Test") for digit in range(10) for number in (7, 2, 4)]


def dataset(folder: Path, **options: object) -> Dataset:
    return create_part("dataset", "n-mnist", folder, **options)


def test_test_recordings_are_listed_by_digit(touch: Callable[..., Path]) -> None:
    data = dataset(touch(*FILES))
    assert [(item.id, item.label) for item in data.items[:4]] == [
        ("Test/0/00002.bin", "0"),
        ("Test/0/00004.bin", "0"),
        ("Test/0/00007.bin", "0"),
        ("Test/1/00002.bin", "1"),
    ]
    assert len(data.items) == 30
    assert list(data.classes) == list("0123456789")
    assert (data.name, bool(data.licence)) == ("N-MNIST", True)


def test_recordings_are_readable_with_item_options(fill: Callable[..., Path]) -> None:
    for item in dataset(fill(*FILES[:30:3], *FILES[30::3])).items:
        stream = anybind.read(item.source, **item.options)
        assert (stream.width, stream.height, len(stream)) == (34, 34, 20)


@pytest.mark.parametrize(("split", "count"), [("train", 30), ("test", 30), ("all", 60)])
def test_splits_have_published_sizes(touch: Callable[..., Path], split: str, count: int) -> None:
    items = dataset(touch(*FILES), split=split).items
    assert len(items) == count
    if split != "all":
        assert {Path(item.id).parts[0] for item in items} == {split.capitalize()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tst"}, "no split 'tst'; did you mean 'test'"),
        ({"classes": ["ten"]}, "N-MNIST has no class 'ten'"),
        ({"limit": 0}, "at least 1"),
    ],
)
def test_invalid_options_are_rejected(touch: Callable[..., Path], options: dict[str, object], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        dataset(touch(*FILES), **options)


def test_parent_folder_is_accepted(touch: Callable[..., Path]) -> None:
    direct = dataset(touch(*FILES))
    in_parent = dataset(touch(*(f"N-MNIST/{name}" for name in FILES), root="parent"))
    assert direct.split_hash == in_parent.split_hash


def test_classes_are_selected_by_name(touch: Callable[..., Path]) -> None:
    data = dataset(touch(*FILES), classes=["7", "3"])
    assert list(data.classes) == ["3", "7"]
    assert list(data.all_classes) == list("0123456789")
    assert {item.label for item in data.items} == {"3", "7"}


def test_limit_is_balanced_over_classes(touch: Callable[..., Path]) -> None:
    items = dataset(touch(*FILES), limit=13).items
    counts = [sum(item.label == digit for item in items) for digit in "0123456789"]
    assert counts == [2, 2, 2, 1, 1, 1, 1, 1, 1, 1]
    assert items[0].id == "Test/0/00002.bin"


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("Test/", r"complete copy of N-MNIST: .* lacks Test; it is published at https://"),
        ("Test/4/", r"missing folder .*Test/4"),
    ],
)
def test_missing_folders_are_reported_with_download_page(touch: Callable[..., Path], folder: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        dataset(touch(*(name for name in FILES if not name.startswith(folder))))


def test_empty_class_folder_is_reported(touch: Callable[..., Path]) -> None:
    folder = touch(*FILES)
    for path in (folder / "Test" / "4").iterdir():
        path.unlink()
    with pytest.raises(BadInput, match=r"Test/4 has no \.bin files"):
        dataset(folder)


def test_missing_folder_is_reported_with_download_page(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a folder; N-MNIST is published at https://"):
        dataset(tmp_path / "none")


def test_other_and_hidden_files_are_ignored(touch: Callable[..., Path]) -> None:
    folder = touch(*FILES)
    (folder / "Test" / "0" / "readme.txt").touch()
    (folder / "Test" / "0" / ".00001.bin").touch()
    assert len(dataset(folder).items) == 30


def test_event_modality_is_required(touch: Callable[..., Path]) -> None:
    folder = touch(*FILES)
    assert len(dataset(folder, modalities=("event", "image")).items) == 30
    with pytest.raises(BadInput, match="N-MNIST holds samples of event, not of image"):
        dataset(folder, modalities=("image",))
