"""Two data sets side by side: which classes mean the same, and which samples are partners."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_datasets.paired_by_class import PairedByClass

ONE = {"dataset": "folder", "path": "one"}
OTHER = {"dataset": "folder", "path": "other"}
SAME = {"dog": "hound", "cat": "cat"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the one: 5 dogs, 2 cats, a bird; of the other: 2 hounds, 3 cats, a siren."""
    counts = {"one": {"dog": 5, "cat": 2, "bird": 1}, "other": {"hound": 2, "cat": 3, "siren": 1}}
    random = np.random.default_rng(0)
    for side, classes in counts.items():
        for label, count in classes.items():
            (tmp_path / side / label).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                PIL.Image.fromarray(pixels).save(tmp_path / side / label / f"{number}.png")
    return tmp_path


def test_samples_of_both_are_listed_under_the_ones_classes(folder):
    dataset = PairedByClass(folder, one=ONE, other=OTHER, classes=SAME)
    assert list(dataset.classes) == ["cat", "dog"]  # in the order of the one's
    assert Counter(item.label for item in dataset.items) == {"dog": 5 + 2, "cat": 2 + 3}
    assert len({item.id for item in dataset.items}) == 12
    assert dataset.items[0].id.startswith("one/")
    assert dataset.name == "one and other"
    assert create_part("dataset", "paired-by-class", folder, one=ONE, other=OTHER).classes == ["cat"]


def test_partners_are_of_one_class_and_none_comes_twice_before_all_have_come(folder, monkeypatch):
    monkeypatch.setattr("anybind_datasets.folder.FolderDataset.kinds", ("image",), raising=False)
    made = [PairedByClass(folder, one=ONE, other=OTHER, classes=SAME, pairs=True, seed=seed) for seed in (0, 0, 1)]
    assert [len(each.items) for each in made] == [7, 7, 7]
    partners = [[(item.id, item.partner("image").source) for item in each.items] for each in made]
    assert partners[0] == partners[1] != partners[2]
    for item in made[0].items:
        assert item.partner("image").source.parent.name == SAME[item.label]
    hounds = Counter(item.partner("image").source for item in made[0].items if item.label == "dog")
    assert sorted(hounds.values()) == [2, 3]


def test_words_of_the_class_can_be_the_partner(folder):
    dataset = PairedByClass(folder, one=ONE, sentence="a photo of a {}")
    assert list(dataset.classes) == ["bird", "cat", "dog"]
    assert {(item.label, item.partners["text"]) for item in dataset.items} == {
        (name, f"a photo of a {name}") for name in ("bird", "cat", "dog")
    }


def test_fewer_are_kept_of_each(folder):
    dataset = PairedByClass(folder, one=ONE, other=OTHER, classes=SAME, limit=2)
    assert Counter(item.id.split("/")[0] for item in dataset.items) == {"one": 2, "other": 2}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "needs other, or sentence"),
        ({"other": OTHER, "sentence": "a {}"}, "not both"),
        ({"sentence": "a photo"}, "with {} for the class name"),
        ({"other": {"path": "other"}}, "dataset"),
        ({"other": {**OTHER, "colour": "red"}}, "colour"),
        ({"other": OTHER, "classes": {"dog": "houd"}}, "other has no class 'houd'; did you mean 'hound'"),
        ({"other": OTHER, "classes": {"bat": "cat"}}, "one has no class 'bat'"),
        ({"other": OTHER, "classes": {"dog": "cat", "cat": "cat"}}, "each may stand for one other only"),
        ({"other": OTHER, "classes": SAME, "pairs": True}, "does not say of which modality"),
    ],
)
def test_what_makes_no_sense_is_refused(options, told, folder):
    with pytest.raises(BadOption, match=told):
        PairedByClass(folder, one=ONE, **options)


def test_a_folder_that_is_not_there_is_told(folder):
    with pytest.raises(anybind.BadInput, match="nowhere"):
        PairedByClass(folder, one=ONE, other={**OTHER, "path": "nowhere"})
