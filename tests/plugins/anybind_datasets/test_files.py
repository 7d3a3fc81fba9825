"""Data sets that are files in one folder."""

from __future__ import annotations

import re

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


def test_every_file_in_and_below_the_folder_is_a_sample_without_label(root):
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


def test_a_pattern_finds_the_class_in_a_files_name(root):
    dataset = FilesDataset(root, pattern=PATTERN)
    assert dict(items(dataset)) == {
        "more/n09_hen.png": "hen",
        "n01_Tench.jpg": "tench",
        "n02_tench.png": "tench",
        "n03_great_white.jpg": "great white",
    }
    assert dataset.classes == ["great white", "hen", "tench"]


def test_only_files_of_the_modalities_asked_for_are_samples(root):
    (root / "n05_hen.npz").touch()
    assert len(FilesDataset(root).items) == 5
    assert [item.id for item in FilesDataset(root, modalities=["event"]).items] == ["n05_hen.npz"]


def test_some_classes_can_be_kept_as_people_write_them(root):
    dataset = FilesDataset(root, pattern=PATTERN, classes=["Great_White", "hen"])
    assert items(dataset) == [("more/n09_hen.png", "hen"), ("n03_great_white.jpg", "great white")]
    assert dataset.classes == ["great white", "hen"]
    assert dataset.all_classes == ["great white", "hen", "tench"]


def test_the_first_files_are_kept_up_to_a_limit(root):
    assert [item.id for item in FilesDataset(root, limit=2).items] == ["more/n09_hen.png", "n01_Tench.jpg"]
    assert len(FilesDataset(root, limit=9).items) == 4


def test_a_class_that_no_file_is_of_is_named(root):
    with pytest.raises(BadOption, match="has no class 'trench'"):
        FilesDataset(root, pattern=PATTERN, classes=["tench", "trench"])


def test_a_name_that_does_not_fit_the_pattern_is_told_with_its_file(root):
    (root / "stray.png").touch()
    with pytest.raises(anybind.BadInput, match=r"stray\.png: its name does not fit the pattern '\^n"):
        FilesDataset(root, pattern=PATTERN)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [("n(", "is no regular expression"), (r"n\d+_", "must have one group"), (r"(n)\d+_(.*)", "must have one group")],
)
def test_a_pattern_that_finds_no_class_is_refused(root, pattern, problem):
    with pytest.raises(BadOption, match=rf"the pattern {re.escape(repr(pattern))} {problem}"):
        FilesDataset(root, pattern=pattern)


def test_a_folder_that_is_missing_or_empty_is_named(root, tmp_path):
    with pytest.raises(anybind.BadInput, match="absent is no folder"):
        FilesDataset(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(anybind.BadInput, match="empty holds no samples"):
        FilesDataset(tmp_path / "empty")


def test_the_split_hash_tells_two_questions_apart(root):
    hashes = [
        FilesDataset(root, **options).split_hash
        for options in ({}, {"limit": 3}, {"pattern": PATTERN}, {"pattern": PATTERN, "classes": ["hen", "tench"]})
    ]
    assert len(set(hashes)) == 4
    assert hashes[0] == FilesDataset(root).split_hash


def test_it_is_a_data_set_that_can_be_asked_for_by_name(root):
    dataset = create_part("dataset", "files", root, modalities=("image",), pattern=PATTERN)
    assert isinstance(dataset, FilesDataset)
