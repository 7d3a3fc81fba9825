"""The identity of an adapter must follow every array, tensor and constant that shapes its output."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from anybind import Space
from anybind.adapter import Adapter
from anybind.registry import create_part
from anybind.testing import ConformanceError, check
from anybind.testing.perturbation import perturb_state

FACTOR = 2.0
"""A module constant that `map` reads."""


def hash_of(*values: object) -> str:
    digest = hashlib.sha256()
    for value in values:
        array = np.asarray(value)
        digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:12]


class Good(Adapter):
    source, target, scale = Space("here", 4), Space("there", 2), 3.0

    def __init__(self):
        random = np.random.default_rng(0)
        self.tables = {"map": random.standard_normal((4, 2)), "layers": (torch.randn(2),)}
        self.shift = 0.5

    @functools.cached_property
    def identity(self):
        return hash_of(self.tables["map"], self.tables["layers"][0], self.shift, self.scale, FACTOR)

    def map(self, vectors):
        mapped = vectors @ self.tables["map"] + self.tables["layers"][0].numpy() + self.shift
        return FACTOR * self.scale * mapped


def hash_parts(*names, **changes):
    """Make an identity that hashes only these parts of the state, some of them changed."""

    def identity(self):
        layer = self.tables["layers"][0]
        state = {"map": self.tables["map"], "layer": layer, "shift": self.shift, "scale": self.scale, "factor": FACTOR}
        return hash_of(*(changes.get(name, np.asarray)(state[name]) for name in names or state))

    return property(identity)


class HashesAtFirst(Good):
    def __init__(self):
        super().__init__()
        self.first = Good.identity.func(self)

    @property
    def identity(self):
        return self.first


class KeepsNotes(Good):
    """State that does not shape the output need not be hashed."""

    def __init__(self):
        super().__init__()
        self.losses, self.epochs = np.array([0.3, 0.2]), [0.1]


@pytest.mark.parametrize(
    ("identity", "unseen"),
    [
        (hash_parts(map=lambda table: np.round(table.sum(), 3)), "tables['map']"),
        (hash_parts("map", "shift", "scale", "factor"), "tables['layers'][0]"),
        (hash_parts("map", "layer", "scale", "factor"), "shift"),
        (hash_parts("map", "layer", "shift", "factor"), "Good.scale"),
        (hash_parts("map", "layer", "shift", "scale"), "FACTOR"),
        (HashesAtFirst.identity, "tables['map']"),
    ],
)
def test_an_adapter_fails_whose_identity_does_not_follow_its_state(identity, unseen):
    with pytest.raises(ConformanceError) as caught:
        check(type("Broken", (HashesAtFirst,), {"identity": identity})(), only="check_identity_follows_state")
    assert f"with {unseen} changed, `identity` stays the same" in str(caught.value)


@pytest.mark.parametrize("adapter", [Good, KeepsNotes])
def test_an_adapter_passes_whose_identity_follows_all_that_shapes_its_output(adapter):
    assert check(adapter()).failed == []
    assert FACTOR == 2.0
    assert Good.scale == 3.0


def test_state_is_restored_after_each_perturbation():
    adapter = Good()
    before = adapter.tables["map"].copy(), adapter.tables["layers"][0].clone()
    names = list(perturb_state(adapter, Adapter))
    assert names.count("tables['map']") == names.count("tables['layers'][0]") == 2
    np.testing.assert_array_equal(adapter.tables["map"], before[0])
    assert torch.equal(adapter.tables["layers"][0], before[1])
    assert adapter.shift == 0.5


@dataclass(frozen=True)
class Layer:
    weight: np.ndarray


def test_frozen_and_read_only_state_is_perturbed():
    table = np.arange(4.0)
    table.flags.writeable = False
    adapter = Good()
    adapter.tables, adapter.layer = {}, Layer(table)
    values = [adapter.layer.weight.tolist() for name in perturb_state(adapter, Adapter) if name == "layer.weight"]
    assert values[0] == [3.0, 0.0, 1.0, 2.0]
    assert len(values) == 2


def test_swapping_two_rows_of_a_table_changes_the_identity_of_minis_adapter():
    adapter = create_part("adapter", "mini-image-to-text")
    before = adapter.identity
    adapter.weights["ridge"][[0, 1]] = adapter.weights["ridge"][[1, 0]]
    del adapter._weights_hash
    assert adapter.identity != before
