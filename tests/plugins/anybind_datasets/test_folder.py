"""Datasets with one folder per class."""

from __future__ import annotations

import json

import pytest

import anybind
from anybind.errors import BadInput, BadOption, UnknownName
from anybind_datasets.folder import FolderDataset


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "data"
    for folder, count in (("big_one", 5), ("003 - Small", 1), ("Third", 3)):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            (root / folder / f"{number}.png").touch()
    (root / "Third" / "notes.txt").touch()
    (root / "loose.png").touch()
    return root


def items(dataset):
    return [(item.id, item.label) for item in dataset.items]


def test_files_of_class_folders_are_labelled(root):
    dataset = FolderDataset(root, modalities=["image"])
    assert dataset.classes == ["small", "third", "big one"]
    assert items(dataset)[:2] == [("003 - Small/0.png", "small"), ("Third/0.png", "third")]
    assert len(dataset.items) == 9


def test_limit_is_balanced_over_classes(root):
    labels = [item.label for item in FolderDataset(root, modalities=["image"], limit=6).items]
    assert {label: labels.count(label) for label in labels} == {"small": 1, "third": 3, "big one": 2}


def test_split_hash_depends_on_selection(root):
    whole = FolderDataset(root, modalities=["image"])
    assert whole.split_hash == FolderDataset(root, modalities=["image"]).split_hash
    assert whole.split_hash != FolderDataset(root, modalities=["image"], limit=8).split_hash
    assert whole.split_hash != FolderDataset(root, modalities=["image"], classes=["third"]).split_hash


def test_classes_are_selected_by_folder_or_class_name(root):
    dataset = FolderDataset(root, modalities=["image"], classes=["003 - Small", "big one"])
    assert dataset.classes == ["small", "big one"]
    assert dataset.all_classes == ["small", "third", "big one"]


def test_class_names_can_be_overridden(root, tmp_path):
    (tmp_path / "names.json").write_text(json.dumps({"Third": "a bronze medal"}))
    dataset = FolderDataset(root, modalities=["image"], names=tmp_path / "names.json")
    assert dataset.classes == ["small", "a bronze medal", "big one"]


def test_class_names_of_unknown_folders_are_rejected(root, tmp_path):
    (tmp_path / "names.json").write_text(json.dumps({"Thrid": "x"}))
    with pytest.raises(anybind.BadInput, match="unknown folder 'Thrid'; did you mean 'Third'"):
        FolderDataset(root, modalities=["image"], names=tmp_path / "names.json")


def test_duplicate_class_names_are_rejected(root):
    (root / "Big one").mkdir()
    (root / "Big one" / "x.png").touch()
    with pytest.raises(BadOption, match="two folders have the class name 'big one'"):
        FolderDataset(root, modalities=["image"])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"classes": ["thrid"]}, "no class 'thrid'; did you mean 'third'"), ({"limit": 0}, "at least 1")],
)
def test_invalid_options_are_rejected(root, options, message):
    with pytest.raises(BadOption, match=message):
        FolderDataset(root, modalities=["image"], **options)


def test_empty_class_folder_is_reported(root):
    (root / "empty").mkdir()
    with pytest.raises(anybind.BadInput, match="empty holds no samples"):
        FolderDataset(root, modalities=["image"])


def test_folder_without_class_folders_is_rejected(root, tmp_path):
    with pytest.raises(anybind.BadInput, match="expected one folder per class"):
        FolderDataset(root / "Third", modalities=["image"])
    with pytest.raises(anybind.BadInput, match="is not a folder"):
        FolderDataset(tmp_path / "absent", modalities=["image"])


def test_class_is_resolved_by_folder_name_or_similar_text(root, tmp_path):
    (tmp_path / "names.json").write_text(json.dumps({"big_one": "The Big One"}))
    dataset = FolderDataset(root, modalities=["image"], names=tmp_path / "names.json")
    assert [dataset.resolve_class_name(text) for text in ("big_one", "The Big One", "003 - Small", "a_duck")] == [
        "The Big One",
        "The Big One",
        "small",
        "a duck",
    ]


def test_all_readable_files_are_samples_by_default(root):
    (root / "Third" / "r.npz").touch()
    assert len(FolderDataset(root).items) == len(FolderDataset(root, modalities=["image"]).items) + 1


def test_a_text_is_one_modality_or_class(root):
    assert len(anybind.load_dataset("folder", root, modalities="image").items) == 9
    assert anybind.load_dataset("folder", root, classes="third").classes == ["third"]


def test_modalities_that_do_not_exist_or_have_no_files_are_named(root):
    with pytest.raises(UnknownName, match=r"there is no modality 'imag'.*'image'"):
        anybind.load_dataset("folder", root, modalities=["imag"])
    with pytest.raises(BadInput, match="class folders hold no text"):
        anybind.load_dataset("folder", root, modalities=["text"])
