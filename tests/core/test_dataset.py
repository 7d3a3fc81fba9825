"""Datasets: folders, selected classes, limits, splits, and errors of missing data."""

from __future__ import annotations

import pytest

from anybind import BadInput
from anybind.dataset import Dataset, Item
from anybind.errors import BadOption


class Letters(Dataset):
    """Files that are named after a label and a number."""

    name = "letters"
    published = "https://example.org"
    sample_modalities = ("letters", "numbers")
    options = ("labelled",)
    labelled = True

    def class_names(self):
        return {"a": "alpha", "b": "beta", "c": "gamma"} if self.labelled else {}

    def scan(self, splits):
        for path in sorted(self.root.iterdir()):
            yield Item(self.make_id(path), path, self.class_by_label.get(path.name[0], ""))


class LettersInSplits(Dataset):
    """Files in two splits, with labels as classes, in the inner folder of an archive."""

    name = "letters"
    published = "https://example.org"
    sample_modalities = ("letters",)
    splits = {"train": None, "test": None}  # noqa: RUF012 (an interface attribute)
    split = "test"
    inner = "letters"

    def list_required_paths(self, splits):
        return splits

    def scan(self, splits):
        for split in splits:
            for path in sorted((self.root / split).iterdir()):
                yield Item(self.make_id(path), path, path.name[0])


class Thirds(Dataset):
    """Three samples in memory."""

    name, licence = "thirds", "CC0-1.0"

    def __init__(self):
        self.set_items(
            [Item(str(number), number, "odd" if number % 2 else "even") for number in range(3)], ["even", "odd"]
        )


@pytest.fixture
def folder(tmp_path):
    for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
        (tmp_path / name).touch()
    return tmp_path


def ids(dataset):
    return [item.id for item in dataset.items]


def test_all_samples_are_listed_by_default(folder):
    dataset = Letters(folder)
    assert ids(dataset) == ["a1", "a2", "a3", "b1", "b2", "c1"]
    assert dataset.classes == dataset.all_classes == ["alpha", "beta", "gamma"]
    assert dataset.selected_modalities == ["letters", "numbers"]


def test_classes_are_selected_by_label_or_name_in_class_order(folder):
    dataset = Letters(folder, classes=["gamma", "a"])
    assert ids(dataset) == ["a1", "a2", "a3", "c1"]
    assert dataset.classes == ["alpha", "gamma"]
    assert dataset.all_classes == ["alpha", "beta", "gamma"]
    assert (dataset.resolve_class_name("b"), dataset.resolve_class_name("else")) == ("beta", "else")


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, ["a1"]), (3, ["a1", "b1", "c1"]), (4, ["a1", "a2", "b1", "c1"]), (99, None)]
)
def test_a_limit_selects_the_first_samples_of_each_label_in_order(folder, limit, expected):
    assert ids(Letters(folder, limit=limit)) == (expected or ids(Letters(folder)))
    assert ids(Letters(folder, limit=2, labelled=False)) == ["a1", "a2"]


def test_invalid_arguments_raise(folder, tmp_path_factory):
    with pytest.raises(BadOption, match="no class 'alpa'; did you mean 'alpha'"):
        Letters(folder, classes=["alpa"])
    with pytest.raises(BadOption, match="limit must be at least 1, got 0"):
        Letters(folder, limit=0)
    with pytest.raises(BadOption, match=r"no option 'labeled' .options: .*, limit, labelled"):
        Letters(folder, labeled=False)
    with pytest.raises(BadOption, match="no option 'split'"):
        Letters(folder, split="train")
    with pytest.raises(BadInput, match="letters holds samples of letters, numbers, not of sounds"):
        Letters(folder, modalities=["sounds"])
    with pytest.raises(BadInput, match=r"is not a folder; letters is published at https://example\.org"):
        Letters(folder / "absent")
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(BadInput, match="not a complete copy of letters: it has no samples"):
        Letters(empty)


@pytest.fixture
def split_folder(tmp_path):
    for name in ("letters/train/a1", "letters/train/b1", "letters/test/b2", "letters/test/b3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_the_root_is_the_inner_folder_of_the_archive(split_folder):
    assert (
        ids(LettersInSplits(split_folder)) == ids(LettersInSplits(split_folder / "letters")) == ["test/b2", "test/b3"]
    )


def test_classes_default_to_the_labels_of_the_samples(split_folder):
    assert LettersInSplits(split_folder, split="all").classes == ["a", "b"]
    assert LettersInSplits(split_folder, split="all", classes=["a"]).all_classes == ["a", "b"]


def test_another_split_has_the_same_options_otherwise(split_folder):
    dataset = LettersInSplits(split_folder, classes=["b"])
    assert ids(dataset.with_split("train")) == ["train/b1"]
    with pytest.raises(BadOption, match="there is no split 'tests'; did you mean 'test'"):
        dataset.with_split("tests")


def test_a_dataset_without_splits_has_no_other_split(folder):
    with pytest.raises(BadInput, match="published in one part"):
        Letters(folder).with_split("train")


def test_other_options_replace_all_but_the_modalities(folder):
    again = Letters(folder, limit=1, modalities=["numbers"]).with_options(classes=["a"])
    assert (ids(again), again.selected_modalities) == (["a1", "a2", "a3"], ["numbers"])


def test_missing_required_paths_raise(split_folder):
    (split_folder / "letters" / "test" / "b2").unlink()
    (split_folder / "letters" / "test" / "b3").unlink()
    (split_folder / "letters" / "test").rmdir()
    with pytest.raises(
        BadInput, match=r"not a complete copy of letters: .*letters lacks test; it is published at https://"
    ):
        LettersInSplits(split_folder, split="all")


def test_samples_in_memory_need_no_folder():
    dataset = Thirds()
    assert ids(dataset) == ["0", "1", "2"]
    assert dataset.classes == dataset.all_classes == ["even", "odd"]
    assert dataset.resolve_class_name("odd") == "odd"
    with pytest.raises(BadOption, match="thirds in memory"):
        dataset.with_options(limit=1)


def test_the_split_of_a_sample_is_test_by_default():
    assert (Item("a", 0).split, Item("a", 0, notes={"split": "train"}).split) == ("test", "train")
