"""Datasets of files in one folder."""

from __future__ import annotations

import pytest

import anybind
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_datasets.files import FilesDataset

PATTERN = r"^n\d+_(.*)"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "samples"
    (root / "more").mkdir(parents=True)
    for name in (
        "n03_great_white.jpg",
        "n01_Tench.jpg",
        "n02_tench.png",
        "more/n09_hen.png",
        "notes.xyz",
        ".n01_x.png",
    ):
        (root / name).touch()
    return root


def items(dataset):
    return [(item.id, item.label) for item in dataset.items]


def test_files_are_listed_recursively_without_labels(root):
    dataset = FilesDataset(root)
    assert items(dataset) == [
        ("more/n09_hen.png", ""),
        ("n01_Tench.jpg", ""),
        ("n02_tench.png", ""),
        ("n03_great_white.jpg", ""),
    ]
    assert dataset.classes == []
    assert dataset.name == "samples"
    assert dataset.items[0].source == root / "more" / "n09_hen.png"


def test_pattern_extracts_class_from_file_name(root):
    dataset = FilesDataset(root, pattern=PATTERN)
    assert dict(items(dataset)) == {
        "more/n09_hen.png": "hen",
        "n01_Tench.jpg": "tench",
        "n02_tench.png": "tench",
        "n03_great_white.jpg": "great white",
    }
    assert dataset.classes == ["great white", "hen", "tench"]


def test_only_files_of_selected_modalities_are_samples(root):
    (root / "n05_hen.npz").touch()
    assert len(FilesDataset(root).items) == 5
    assert [item.id for item in FilesDataset(root, modalities=["event"]).items] == ["n05_hen.npz"]


def test_classes_are_selected_by_name_or_label(root):
    dataset = FilesDataset(root, pattern=PATTERN, classes=["Great_White", "hen"])
    assert items(dataset) == [("more/n09_hen.png", "hen"), ("n03_great_white.jpg", "great white")]
    assert dataset.classes == ["great white", "hen"]
    assert dataset.all_classes == ["great white", "hen", "tench"]


def test_limit_selects_first_files(root):
    assert [item.id for item in FilesDataset(root, limit=2).items] == ["more/n09_hen.png", "n01_Tench.jpg"]
    assert len(FilesDataset(root, limit=9).items) == 4


def test_file_name_without_match_is_reported(root):
    (root / "stray.png").touch()
    with pytest.raises(anybind.BadInput, match=r"stray\.png: the file name does not match the pattern '\^n"):
        FilesDataset(root, pattern=PATTERN)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "n("}, "pattern: 'n.' is not a regular expression"),
        ({"pattern": r"n\d+_"}, "pattern: expected one group"),
        ({"pattern": r"(n)\d+_(.*)"}, "pattern: expected one group"),
        ({"pattern": PATTERN, "classes": ["tench", "trench"]}, "has no class 'trench'"),
    ],
)
def test_invalid_options_are_rejected(root, options, message):
    with pytest.raises(BadOption, match=message):
        FilesDataset(root, **options)


def test_missing_or_empty_folder_is_rejected(root, tmp_path):
    with pytest.raises(anybind.BadInput, match="absent is not a folder"):
        FilesDataset(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(anybind.BadInput, match="empty holds no samples"):
        FilesDataset(tmp_path / "empty")


def test_split_hash_depends_on_selection(root):
    hashes = [
        FilesDataset(root, **options).split_hash
        for options in ({}, {"limit": 3}, {"pattern": PATTERN}, {"pattern": PATTERN, "classes": ["hen", "tench"]})
    ]
    assert len(set(hashes)) == 4
    assert hashes[0] == FilesDataset(root).split_hash


def test_dataset_is_registered(root):
    dataset = create_part("dataset", "files", root, modalities=("image",), pattern=PATTERN)
    assert isinstance(dataset, FilesDataset)
