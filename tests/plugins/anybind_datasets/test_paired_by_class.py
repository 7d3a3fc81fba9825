"""Two datasets paired by class: matched classes and partners."""

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

FIRST = {"dataset": "folder", "path": "first"}
SECOND = {"dataset": "folder", "path": "second"}
SAME = {"dog": "hound", "cat": "cat"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """First: 5 dogs, 2 cats, a bird; second: 2 hounds, 3 cats, a siren."""
    counts = {"first": {"dog": 5, "cat": 2, "bird": 1}, "second": {"hound": 2, "cat": 3, "siren": 1}}
    random = np.random.default_rng(0)
    for name, classes in counts.items():
        for label, count in classes.items():
            (tmp_path / name / label).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                PIL.Image.fromarray(pixels).save(tmp_path / name / label / f"{number}.png")
    return tmp_path


def test_samples_of_both_have_classes_of_the_first(folder):
    dataset = PairedByClass(folder, first=FIRST, second=SECOND, classes=SAME)
    assert list(dataset.classes) == ["cat", "dog"]  # in the order of the first
    assert Counter(item.label for item in dataset.items) == {"dog": 5 + 2, "cat": 2 + 3}
    assert len({item.id for item in dataset.items}) == 12
    assert dataset.items[0].id.startswith("first/")
    assert dataset.name == "first and second"
    assert create_part("dataset", "paired-by-class", folder, first=FIRST, second=SECOND).classes == ["cat"]


def test_partners_share_the_class_and_repeat_only_after_all_are_used(folder, monkeypatch):
    monkeypatch.setattr("anybind_datasets.folder.FolderDataset.sample_modalities", ("image",))
    datasets = [
        PairedByClass(folder, first=FIRST, second=SECOND, classes=SAME, pairs=True, seed=seed) for seed in (0, 0, 1)
    ]
    assert [len(each.items) for each in datasets] == [7, 7, 7]
    partners = [[(item.id, item.partner("image").source) for item in each.items] for each in datasets]
    assert partners[0] == partners[1] != partners[2]
    for item in datasets[0].items:
        assert item.partner("image").source.parent.name == SAME[item.label]
    hounds = Counter(item.partner("image").source for item in datasets[0].items if item.label == "dog")
    assert sorted(hounds.values()) == [2, 3]


def test_template_text_is_the_partner(folder):
    dataset = PairedByClass(folder, first=FIRST, template="a photo of a {}")
    assert list(dataset.classes) == ["bird", "cat", "dog"]
    assert {(item.label, item.partners["text"]) for item in dataset.items} == {
        (name, f"a photo of a {name}") for name in ("bird", "cat", "dog")
    }


def test_limit_applies_to_both_datasets(folder):
    dataset = PairedByClass(folder, first=FIRST, second=SECOND, classes=SAME, limit=2)
    assert Counter(item.id.split("/")[0] for item in dataset.items) == {"first": 2, "second": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected either second, or template"),
        ({"second": SECOND, "template": "a {}"}, "expected either second, or template"),
        ({"template": "a photo"}, "with {} for the class name"),
        ({"second": {"path": "second"}}, "dataset"),
        ({"second": {**SECOND, "colour": "red"}}, "colour"),
        ({"second": SECOND, "classes": {"dog": "houd"}}, "second has no class 'houd'; did you mean 'hound'"),
        ({"second": SECOND, "classes": {"bat": "cat"}}, "first has no class 'bat'"),
        ({"second": SECOND, "classes": {"dog": "cat", "cat": "cat"}}, "each matched to one other class"),
        ({"second": SECOND, "classes": SAME, "pairs": True}, "the modality of second is unknown"),
    ],
)
def test_invalid_options_are_rejected(options, message, folder):
    with pytest.raises(BadOption, match=message):
        PairedByClass(folder, first=FIRST, **options)


def test_missing_folder_is_rejected(folder):
    with pytest.raises(anybind.BadInput, match="nowhere"):
        PairedByClass(folder, first=FIRST, second={**SECOND, "path": "nowhere"})
