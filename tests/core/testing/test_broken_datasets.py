"""Data sets and specs that are broken on purpose: the kit fails each by the rules that it breaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anybind import BadInput
from anybind.dataset import Dataset, Item
from anybind.spec import Spec
from anybind.testing import check_dataset, check_spec


class Listed(Dataset):
    name, licence, classes = "listed", "CC0-1.0", ("a", "b")

    def __init__(self, folder):
        if not folder.is_dir():
            raise BadInput(f"{folder} is no folder")
        self.items = [Item(path.name, path, path.name[0]) for path in sorted(folder.iterdir())]

    items = ()


class NoLicence(Listed):
    licence = ""


class OneId(Listed):
    def __init__(self, folder):
        super().__init__(folder)
        self.items = [replace(item, id="it") for item in self.items]


class LocalIds(Listed):
    def __init__(self, folder):
        super().__init__(folder)
        self.items = [replace(item, id=str(item.source)) for item in self.items]


class StrangeLabels(Listed):
    classes = ("a",)


class Shuffled(Listed):
    turn = 0

    def __init__(self, folder):
        super().__init__(folder)
        Shuffled.turn += 1
        self.items = self.items[:: (-1) ** Shuffled.turn]


class TakesMissing(Listed):
    def __init__(self, folder):
        self.items = [Item("a", np.zeros(3), "a")]


@pytest.mark.parametrize(
    ("dataset", "rules"),
    [
        (Listed, []),
        (NoLicence, ["name and licence"]),
        (OneId, ["ids"]),
        (LocalIds, ["ids"]),
        (StrangeLabels, ["labels are classes"]),
        (Shuffled, ["the same each time"]),
        (TakesMissing, ["refuses a missing folder"]),
    ],
)
def test_a_data_set_fails_by_the_rule_that_it_breaks(dataset, rules, tmp_path: Path, broken_rules):
    for name in ("a1", "a2", "b1"):
        (tmp_path / name).touch()
    assert broken_rules(check_dataset, dataset, tmp_path) == rules


GOOD_SPEC = {
    "name": "n",
    "summary": "s",
    "target": "anybind:Encoder",
    "consumes": ("numbers",),
    "weights_licence": "MIT",
}


@pytest.mark.parametrize(
    ("changed", "rules"),
    [
        ({}, []),
        ({"licence": ""}, ["licence of the code"]),
        ({"licence": "free to use"}, ["licence of the code"]),
        ({"licence": "MIT OR Apache-2.0"}, []),
        ({"weights_licence": ""}, ["licence of the weights"]),
        ({"weights_licence": "unknown"}, ["licence of the weights"]),
        ({"summary": ""}, ["summary"]),
        ({"name": "two words"}, ["name"]),
        ({"consumes": ()}, ["says what goes in"]),
        ({"target": "anybind:no_such_thing"}, ["target"]),
        ({"target": "anybind:no.toml"}, ["target"]),
    ],
)
def test_a_spec_fails_by_the_rule_that_it_breaks(changed, rules, broken_rules):
    assert broken_rules(check_spec, Spec(**(GOOD_SPEC | changed)), kind="encoder") == rules
