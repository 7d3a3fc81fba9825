"""Datasets, specs and bindings that are broken on purpose: each fails the right checks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anybind import BadInput, Binding
from anybind.dataset import Dataset, Item
from anybind.spec import EncoderSpec
from anybind.testing import ConformanceError, Example, check


class Listed(Dataset):
    name, licence, classes = "listed", "CC0-1.0", ("a", "b")

    def __init__(self, folder):
        if not folder.is_dir():
            raise BadInput(f"{folder} is not a folder")
        self.items = [Item(path.name, path, path.name[0]) for path in sorted(folder.iterdir())]

    items = ()


def list_changed(change):
    """List the samples of the folder, each changed."""

    def make(self, folder):
        Listed.__init__(self, folder)
        self.items = [change(item) for item in self.items]

    return {"__init__": make}


TURNS = itertools.cycle((1, -1))


def shuffle(self, folder):
    Listed.__init__(self, folder)
    self.items = self.items[:: next(TURNS)]


def take_missing(self, folder):
    self.items = [Item("a", np.zeros(3), "a")]


@pytest.mark.parametrize(
    ("members", "failures"),
    [
        ({}, []),
        ({"licence": ""}, ["check_name_and_licence"]),
        (list_changed(lambda item: replace(item, id="it")), ["check_ids"]),
        (list_changed(lambda item: replace(item, id=str(item.source))), ["check_ids"]),
        ({"classes": ("a",)}, ["check_labels"]),
        ({"__init__": shuffle}, ["check_deterministic"]),
        ({"__init__": take_missing}, ["check_refuses_a_missing_folder"]),
    ],
)
def test_a_dataset_fails_the_check_of_what_it_breaks(members, failures, tmp_path: Path, failed_checks):
    for name in ("a1", "a2", "b1"):
        (tmp_path / name).touch()
    assert failed_checks(type("Broken", (Listed,), members), Example(folder=tmp_path)) == failures


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
        (
            Binding("b", {"text": Binding.configure("mini-text")}, adapters=(Binding.configure("mini-image-to-text"),)),
            [],
        ),
        (Binding("b", {"image": Binding.configure("mini-text")}), ["check_parts_are_registered"]),
        (Binding("b", {"image": Binding.configure("no-such-encoder")}), ["check_parts_are_registered"]),
    ],
)
def test_a_binding_fails_if_its_parts_are_not_registered_for_its_modalities(binding, failures, failed_checks):
    assert failed_checks(binding) == failures


def test_a_command_fails_if_its_help_does():
    def good() -> None:
        """Do nothing."""

    def bad(value: NoSuchType) -> None:  # noqa: F821
        """Fail when typer reads the annotation."""

    assert check(good, kind="command").failed == []
    with pytest.raises(ConformanceError, match="check_help"):
        check(bad, kind="command")
