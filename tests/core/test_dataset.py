"""What published data sets share: a folder, classes that are kept, a limit, and what is said of what is missing."""

from __future__ import annotations

import pytest

import anybind
from anybind import BadInput
from anybind.dataset import Item
from anybind.errors import BadOption
from anybind_datasets.local_dataset import LocalDataset, spread


class Letters(LocalDataset):
    """Files that are named after a label and a number."""

    name = "letters"
    published = "https://example.org"
    kinds = ("letters", "numbers")

    def __init__(self, folder, modalities=None, classes=None, limit=None, labelled=True):
        super().__init__(folder, modalities)
        if labelled:
            self.keep_classes({"a": "alpha", "b": "beta", "c": "gamma"}, classes)
        files = sorted(self.root.iterdir())
        self.hold((Item(self.id_of(path), path, self.names.get(path.name[0], "")) for path in files), limit)


@pytest.fixture
def folder(tmp_path):
    for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
        (tmp_path / name).touch()
    return tmp_path


def ids(dataset):
    return [item.id for item in dataset.items]


def test_all_is_kept_by_default(folder):
    dataset = Letters(folder)
    assert ids(dataset) == ["a1", "a2", "a3", "b1", "b2", "c1"]
    assert dataset.classes == dataset.all_classes == ["alpha", "beta", "gamma"]
    assert dataset.asked == ["letters", "numbers"]


def test_classes_are_kept_by_label_or_name_and_in_their_own_order(folder):
    dataset = Letters(folder, classes=["gamma", "a"])
    assert ids(dataset) == ["a1", "a2", "a3", "c1"]
    assert dataset.classes == ["alpha", "gamma"]
    assert dataset.all_classes == ["alpha", "beta", "gamma"]
    assert (dataset.class_named("b"), dataset.class_named("else")) == ("beta", "else")


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, ["a1"]), (3, ["a1", "b1", "c1"]), (4, ["a1", "a2", "b1", "c1"]), (99, None)]
)
def test_a_limit_takes_the_first_of_each_label_and_keeps_the_order(folder, limit, expected):
    assert ids(Letters(folder, limit=limit)) == (expected or ids(Letters(folder)))
    assert ids(Letters(folder, limit=2, labelled=False)) == ["a1", "a2"]


def test_what_makes_no_sense_is_refused_and_told(folder, tmp_path_factory):
    with pytest.raises(BadOption, match="no class 'alpa'; did you mean 'alpha'"):
        Letters(folder, classes=["alpa"])
    with pytest.raises(BadOption, match="limit must be at least 1, got 0"):
        spread([], 0)
    with pytest.raises(BadInput, match="letters holds samples of letters, numbers, not of sounds"):
        Letters(folder, modalities=["sounds"])
    with pytest.raises(BadInput, match=r"is no folder; letters is published at https://example\.org"):
        Letters(folder / "absent")
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(BadInput, match="no complete copy of letters: it holds no samples"):
        Letters(empty)


def test_they_are_public():
    assert {"LocalDataset", "spread"} <= set(anybind.__all__)
