"""Datasets, specs and bindings that are broken on purpose: each fails the checks of what it breaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anybind import BadInput, Binding
from anybind.dataset import Dataset, Item
from anybind.spec import EncoderSpec
from anybind.testing import Example, NotConforming, check


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
    ("dataset", "failures"),
    [
        (Listed, []),
        (NoLicence, ["check_name_and_licence"]),
        (OneId, ["check_ids"]),
        (LocalIds, ["check_ids"]),
        (StrangeLabels, ["check_labels"]),
        (Shuffled, ["check_deterministic"]),
        (TakesMissing, ["check_refuses_a_missing_folder"]),
    ],
)
def test_a_dataset_fails_the_check_of_what_it_breaks(dataset, failures, tmp_path: Path, failed_checks):
    for name in ("a1", "a2", "b1"):
        (tmp_path / name).touch()
    assert failed_checks(dataset, Example(folder=tmp_path)) == failures


GOOD_SPEC = {
    "name": "n",
    "summary": "s",
    "target": "anybind.encoder:Encoder",
    "modality": "numbers",
    "weights_licence": "MIT",
}


@pytest.mark.parametrize(
    ("changed", "failures"),
    [
        ({}, []),
        ({"licence": ""}, ["check_code_licence"]),
        ({"licence": "free to use"}, ["check_code_licence"]),
        ({"licence": "MIT OR Apache-2.0"}, []),
        ({"weights_licence": ""}, ["check_weights_licence"]),
        ({"weights_licence": "unknown"}, ["check_weights_licence"]),
        ({"summary": ""}, ["check_summary"]),
        ({"name": "two words"}, ["check_name"]),
        ({"modality": ""}, ["check_modality"]),
        ({"target": "anybind:no_such_thing"}, ["check_target"]),
        ({"target": "anybind:no.toml"}, ["check_target"]),
    ],
)
def test_a_spec_fails_the_check_of_what_it_breaks(changed, failures, failed_checks):
    assert failed_checks(EncoderSpec(**(GOOD_SPEC | changed))) == failures


@pytest.mark.parametrize(
    ("binding", "failures"),
    [
        (Binding("b", {"text": Binding.use("mini-text")}, adapters=(Binding.use("mini-image-to-text"),)), []),
        (Binding("b", {"image": Binding.use("mini-text")}), ["check_parts_are_registered"]),
        (Binding("b", {"image": Binding.use("no-such-encoder")}), ["check_parts_are_registered"]),
    ],
)
def test_a_binding_fails_where_its_parts_are_not_registered_for_its_modalities(binding, failures, failed_checks):
    assert failed_checks(binding) == failures


def test_a_command_fails_where_its_help_does():
    def good() -> None:
        """Do nothing."""

    def bad(value: NoSuchType) -> None:  # noqa: F821
        """Fail when typer reads the annotation."""

    assert check(good, kind="command").failed == []
    with pytest.raises(NotConforming, match="check_help"):
        check(bad, kind="command")
