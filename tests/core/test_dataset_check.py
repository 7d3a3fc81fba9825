"""Checks of a dataset's folder: counts by split and class, missing data, and empty files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anybind import BadInput
from anybind.completeness import SplitContents
from anybind.dataset import Dataset, Item
from anybind.errors import BadOption
from anybind.registry import Registry
from anybind.spec import DatasetSpec


class Letters(Dataset):
    """Files in folders of splits, named after a letter and a number, with partners in the folder `twins`."""

    name = "letters"
    licence = "CC0-1.0"
    size = "5 letters"
    published = "https://example.org/letters"
    sample_modalities = ("letters",)
    splits = {"train": 3, "test": 2}  # noqa: RUF012 (an interface attribute)
    split = "test"

    def class_names(self):
        return {"a": "alpha", "b": "beta"}

    def scan(self, splits):
        for home in (self.root / split for split in splits):
            if not home.is_dir():
                raise self.missing(f"there is no folder {home.name}")
            for label in self.selected_labels:
                files = sorted(home.glob(f"{label}*"))
                if not files:
                    yield self.missing(f"there is no {label} in {home.name}")
                for path in files:
                    twin = self.root / "twins" / path.name
                    partners = {"letters": Item("", twin, options={"size": 1})} if twin.exists() else {}
                    yield Item(self.make_id(path), path, self.class_by_label[label], partners=partners)


class Plain(Dataset):
    """A dataset with its own `__init__`, without `scan`."""

    name = "plain"

    def __init__(self, folder, *, modalities=None):
        paths = sorted(Path(folder).iterdir())
        if not paths:
            raise BadInput(f"{folder} holds no samples")
        self._items = [Item(path.name, path) for path in paths]

    @property
    def items(self):
        return self._items

    @property
    def classes(self):
        return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train/a1", "train/a2", "train/b1", "test/a3", "test/b2"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("letter")
    return tmp_path / "data"


def test_a_complete_copy_is_counted_by_split_and_class(folder):
    train, test = Letters.check(folder)
    assert train == SplitContents("train", 3, 3, {"alpha": 2, "beta": 1}, (), ())
    assert test == SplitContents("test", 2, 2, {"alpha": 1, "beta": 1}, (), ())
    assert train.complete
    assert test.complete


def test_check_lists_all_missing_data(folder):
    for name in ("train/a1", "train/a2", "train/b1"):
        (folder / name).unlink()
    train, test = Letters.check(folder)
    assert train.missing == (
        "there is no a in train",
        "there is no b in train",
        "it has no samples of the selection",
    )
    assert (train.n_found, train.n_missing, train.empty_classes, train.complete) == (0, 3, ("alpha", "beta"), False)
    assert test.complete


def test_a_missing_split_is_listed_without_its_source(folder):
    for path in (folder / "test").iterdir():
        path.unlink()
    (folder / "test").rmdir()
    train, test = Letters.check(folder)
    assert train.complete
    assert test == SplitContents("test", 0, 2, {}, ("there is no folder test",), ())


def test_opening_an_incomplete_dataset_after_a_check_raises(folder):
    (folder / "test" / "a3").unlink()
    Letters.check(folder)
    with pytest.raises(BadInput, match=r"not a complete copy of letters: there is no a in test; it is published at"):
        Letters(folder)


def test_fewer_than_published_is_incomplete_and_more_is_not(folder):
    (folder / "train" / "a1").unlink()
    (folder / "test" / "a9").write_text("letter")
    train, test = Letters.check(folder)
    assert (train.n_found, train.n_missing, train.missing, train.complete) == (2, 1, (), False)
    assert (test.n_found, test.n_missing, test.complete) == (3, 0, True)


def test_empty_files_are_listed_including_those_of_partners(folder):
    (folder / "twins").mkdir()
    (folder / "twins" / "a1").touch()
    (folder / "train" / "b1").write_text("")
    train, test = Letters.check(folder)
    assert train.empty_files == ("train/a1", "train/b1")
    assert not train.complete
    assert test.complete


def test_missing_data_that_is_not_needed_is_listed_by_check_only(folder):
    class Counted(Letters):
        def scan(self, splits):
            yield self.missing("a letter is worn", needed=False)
            yield self.missing("a letter to train with is worn", needed=False, split="train")
            yield from super().scan(splits)

    assert [part.missing for part in Counted.check(folder)] == [
        ("a letter is worn", "a letter to train with is worn"),
        ("a letter is worn",),
    ]
    assert len(Counted(folder).items) == 2


def test_a_single_split_is_checked(folder):
    (only,) = Letters.check(folder, split="train")
    assert (only.name, only.published, only.complete) == ("train", 3, True)


def test_with_other_options_the_published_numbers_are_not_compared(folder):
    train, test = Letters.check(folder, classes=["alpha"])
    assert (train.n_found, train.published, train.complete) == (2, None, True)
    assert test.classes == {"alpha": 1}


def test_invalid_options_of_check_raise(folder):
    with pytest.raises(BadOption, match="no class 'omega'"):
        Letters.check(folder, classes=["omega"])
    with pytest.raises(BadInput, match="is not a folder"):
        Letters.check(folder / "none")


def test_a_dataset_without_scan_is_counted_too(folder, tmp_path):
    assert Plain.check(folder / "train") == (SplitContents("all", 3, None, {}, (), ()),)
    (tmp_path / "bare").mkdir()
    (contents,) = Plain.check(tmp_path / "bare")
    assert (contents.n_found, contents.complete, contents.missing) == (
        0,
        False,
        (f"{tmp_path / 'bare'} holds no samples",),
    )


def test_a_partner_may_have_reader_options(folder):
    item = Item(
        "id", folder / "a", "alpha", {"x": 1}, {"one": folder / "b", "two": Item("", folder / "c", options={"y": 2})}
    )
    assert item.partner("one") == Item("id", folder / "b", "alpha")
    assert item.partner("two") == Item("id", folder / "c", "alpha", {"y": 2})


@pytest.fixture
def installed(registry: Registry, add_plugin, make_module) -> Registry:
    targets = {"letters": "letters_here:Letters", "plain": "letters_here:Plain"}
    broken = {"lacking": "letters_lacking:Letters", "failing": "letters_failing:Letters"}
    specs = [
        DatasetSpec(
            name=name, summary="s", target=target, modality="letters", extra="more" if name == "lacking" else ""
        )
        for name, target in {**targets, **broken}.items()
    ]
    add_plugin(registry, *specs)
    make_module("letters_here", Letters=Letters, Plain=Plain)
    make_module("letters_failing", "raise RuntimeError('oh')")
    make_module("letters_lacking", "import no_such_package_at_all")
    return registry


@pytest.fixture
def make_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "modules")
    (tmp_path / "modules").mkdir()

    def make(name: str, source: str = "", **contents: object) -> None:
        (tmp_path / "modules" / f"{name}.py").write_text(source)
        if contents:
            import importlib

            vars(importlib.import_module(name)).update(contents)

    return make


def test_datasets_are_listed_including_broken_ones(installed, cli):
    printed = {row["name"]: row for row in json.loads(cli("datasets", "--json").out)["datasets"]}
    assert printed["letters"] == {
        "name": "letters",
        "summary": "s",
        "modalities": ["letters"],
        "licence": "CC0-1.0",
        "size": "5 letters",
        "published": "https://example.org/letters",
        "splits": {"train": 3, "test": 2},
        "plugin": "test",
        "problem": "",
    }
    assert (printed["plain"]["size"], printed["plain"]["published"]) == ("as you have it", "your own folder")
    assert "pip install 'test-dist[more]'" in printed["lacking"]["problem"]
    assert "RuntimeError: oh" in printed["failing"]["problem"]
    result = cli("datasets")
    assert result.code == 0
    assert "CC0-1.0" in result.out
    assert "failing cannot be used" in result.err


def test_the_command_exits_with_0_for_a_complete_copy_and_1_otherwise(installed, cli, folder):
    assert cli("datasets", "check", "letters", folder).code == 0
    (folder / "train" / "a1").unlink()
    result = cli("datasets", "check", "letters", folder)
    assert result.code == 1
    assert "train: 1 of 3 samples are missing" in result.out
    assert "it is published at https://example.org/letters" in result.out
    printed = json.loads(cli("datasets", "check", "letters", folder, "--json").out)
    assert (printed["complete"], printed["published"]) == (False, "https://example.org/letters")
    assert printed["splits"][0] == {
        "name": "train",
        "n_found": 2,
        "published": 3,
        "classes": {"alpha": 1, "beta": 1},
        "missing": [],
        "empty_files": [],
        "n_missing": 1,
        "empty_classes": [],
        "complete": False,
    }


def test_the_first_missing_files_are_listed_and_the_others_counted(installed, cli, folder):
    for number in range(2, 9):
        (folder / "train" / f"b{number}").touch()
    result = cli("datasets", "check", "letters", folder)
    assert [line for line in result.out.splitlines() if line.startswith("train: ")] == [
        *(f"train: train/b{number} is empty" for number in range(2, 7)),
        "train: and 2 more",
    ]


def test_the_command_takes_dataset_options(installed, cli, folder):
    result = cli("datasets", "check", "letters", folder, "--dataset-option", "split=test", "--json")
    assert [part["name"] for part in json.loads(result.out)["splits"]] == ["test"]
    assert "no option 'colour'" in cli("datasets", "check", "letters", folder, "--dataset-option", "colour=1").error()


def test_a_users_own_folder_has_no_published_numbers(installed, cli, folder):
    result = cli("datasets", "check", "plain", folder / "train")
    assert result.code == 0
    assert "no published numbers to compare with" in result.out


def test_errors_of_the_command_are_one_line(installed, cli, folder):
    assert "is not a folder" in cli("datasets", "check", "letters", folder / "none").error()
    assert "did you mean 'letters'" in cli("datasets", "check", "leters", folder).error()
    assert "did you mean 'check'" in cli("datasets", "chek").error()
    assert "pip install" in cli("datasets", "check", "lacking", folder).error()
