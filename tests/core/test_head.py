"""Heads and what they are told: lengths that must agree, rows of windows, files that are of one head only."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import anybind
from anybind import BadInput, Embeddings, Space
from anybind.errors import BadOption, SpaceMismatch, UnknownName, WeightsMismatch
from anybind.head import Head, HeadInput, find_head
from anybind.spec import Spec


class Mean(Head):
    """Distance to the mean of what it was fitted on."""

    name = "mean"
    learns = "windows"

    def __init__(self, *, factor: float = 1.0) -> None:
        self.factor = factor
        super().__init__(needs=("smell",), settings={"factor": factor})

    def fit(self, sets, labels):
        rows = [held.embeddings["smell"] for held in sets]
        self.remember(rows[0])
        self.tensors = {"mean": np.concatenate([each.vectors for each in rows]).mean(axis=0)}
        return self

    def rate(self, windows):
        vectors = windows.embeddings["smell"].vectors
        return windows.largest("smell", self.factor * np.linalg.norm(vectors - self.tensors["mean"], axis=1))


@pytest.fixture
def mean(registry, add_plugin):
    add_plugin(registry, register_heads=[Spec(name="mean", summary="s", target=f"{__name__}:Mean")])
    return lambda **options: find_head("mean", **options)


def smells(count, seed=0, space="noses", encoder="one"):
    vectors = anybind.unit(np.random.default_rng(seed).normal(size=(count, 4)))
    return Embeddings(vectors, Space(space, 4), "smell", tuple(map(str, range(count))), encoder)


def windows(count, **options):
    return HeadInput({"smell": smells(count, **options)}, {"events": np.ones(count)})


def test_a_set_counts_its_windows_by_measures_or_by_rows():
    assert len(windows(3)) == 3
    assert len(HeadInput({"smell": smells(5)}, {})) == 5
    assert len(HeadInput({}, {"events": np.ones(2)})) == 2
    assert len(HeadInput({}, {})) == 0


def test_a_window_may_have_no_row_or_several():
    held = HeadInput({"smell": smells(3)}, {"events": np.ones(4)}, {"smell": np.array([0, 2, 2])})
    assert held.largest("smell", np.array([5.0, 1.0, 2.0])).tolist() == [5, 0, 2, 0]


@pytest.mark.parametrize("rows", [[0, 1], [0, 1, 4], [-1, 0, 1], [2, 1, 0]])
def test_rows_that_do_not_fit_the_windows_are_refused(rows):
    with pytest.raises(BadInput, match="3 rows of smell do not fit 4 windows"):
        HeadInput({"smell": smells(3)}, {"events": np.ones(4)}, {"smell": np.array(rows)})


def test_rows_without_numbers_must_be_one_for_each_window():
    with pytest.raises(BadInput, match="3 rows of smell do not fit 4 windows"):
        HeadInput({"smell": smells(3)}, {"events": np.ones(4)})


@pytest.mark.parametrize("values", [[1.0, np.nan], [1.0, 2.0, 3.0]])
def test_measures_that_are_not_finite_or_too_many_are_refused(values):
    with pytest.raises(BadInput, match="'frames' must be 2 finite numbers"):
        HeadInput({}, {"events": np.ones(2), "frames": np.array(values)})


def test_a_head_that_learns_says_so_before_it_is_fitted(mean):
    with pytest.raises(BadOption, match="knows nothing yet"):
        mean().score(windows(2))


def test_a_saved_head_gives_the_same_scores_and_has_the_same_identity(mean, tmp_path):
    fitted = mean(factor=2.0).fit([windows(20)], [np.zeros(20)])
    fitted.save(tmp_path / "head.safetensors")
    again = find_head(tmp_path / "head.safetensors")
    assert again.settings == {"factor": 2.0}
    assert again.identity == fitted.identity
    np.testing.assert_array_equal(again.score(windows(5, seed=1)), fitted.score(windows(5, seed=1)))


def test_the_identity_tells_options_and_what_was_learned_apart(mean):
    heads = [
        mean().fit([windows(20)], [np.zeros(20)]),
        mean(factor=2.0).fit([windows(20)], [np.zeros(20)]),
        mean().fit([windows(20, seed=1)], [np.zeros(20)]),
        mean().fit([windows(20, encoder="two")], [np.zeros(20)]),
    ]
    assert len({head.identity for head in heads}) == 4
    assert heads[0].identity == mean().fit([windows(20)], [np.zeros(20)]).identity


def test_windows_of_another_space_or_encoder_are_refused(mean):
    fitted = mean().fit([windows(20)], [np.zeros(20)])
    with pytest.raises(SpaceMismatch, match="use the head 'mean'"):
        fitted.score(windows(2, space="tongues"))
    with pytest.raises(WeightsMismatch, match="by one, and these are by two"):
        fitted.score(windows(2, encoder="two"))


def test_windows_without_what_a_head_needs_are_refused(mean):
    fitted = mean().fit([windows(20)], [np.zeros(20)])
    with pytest.raises(BadInput, match="needs smell"):
        fitted.score(HeadInput({}, {"events": np.ones(2)}))


def test_a_head_takes_only_files_of_its_own_options(mean, tmp_path):
    mean().fit([windows(20)], [np.zeros(20)]).save(tmp_path / "head.safetensors")
    with pytest.raises(WeightsMismatch, match=r"with the options .*'factor': 1.0"):
        mean(factor=3.0).load(tmp_path / "head.safetensors")
    with pytest.raises(BadOption, match="leave out factor"):
        find_head(tmp_path / "head.safetensors", factor=1.0)


def test_files_that_hold_no_head_are_refused(mean, tmp_path):
    (tmp_path / "text.safetensors").write_text("no")
    anybind.save_embeddings(tmp_path / "vectors.safetensors", [smells(2)])
    for name in ("text", "vectors", "none"):
        with pytest.raises(BadInput, match="holds no head"):
            find_head(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize("card", [{"settings": [1]}, {"made_for": []}, {"made_for": {}}, {"head": None}])
def test_files_whose_card_makes_no_sense_are_refused(mean, tmp_path, card):
    path = tmp_path / "head.safetensors"
    mean().fit([windows(3)], [np.zeros(3)]).save(path)
    tensors = load_file(path)
    with safe_open(path, framework="numpy") as file:
        held = json.loads(file.metadata()["anybind-head"])
    save_file(tensors, path, metadata={"anybind-head": json.dumps({**held, **card})})
    with pytest.raises(BadInput, match=r"head\.safetensors"):
        find_head(path)


def test_an_unknown_head_is_told_with_the_nearest(mean):
    with pytest.raises(UnknownName, match="'mean'"):
        find_head("meen")
