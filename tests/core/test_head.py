"""Heads and their input: lengths, rows and groups of samples, labels, files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import anybind
from anybind import BadInput, Embeddings, Space
from anybind.errors import BadOption, PluginError, SpaceMismatch, UnknownName, WeightsMismatch
from anybind.head import Head
from anybind.head_input import HeadInput
from anybind.spec import HeadSpec


class Mean(Head):
    """Distance to the mean of what it was fitted on."""

    name = "mean"
    predicts = "anomaly"
    learns = "samples"

    def __init__(self, *, factor: float = 1.0) -> None:
        self.factor = factor
        super().__init__(needs=("smell",), settings={"factor": factor})

    def fit_tensors(self, inputs, labels):
        return {"mean": inputs.embeddings["smell"].vectors.mean(axis=0)}

    def compute_scores(self, inputs, queries):
        vectors = inputs.embeddings["smell"].vectors
        return inputs.max_by_sample("smell", self.factor * np.linalg.norm(vectors - self.tensors["mean"], axis=1))


@pytest.fixture
def mean(registry, add_plugin):
    add_plugin(registry, HeadSpec(name="mean", summary="s", target=f"{__name__}:Mean", predicts="anomaly"))
    return lambda **options: Head.find("mean", **options)


def smells(count, seed=0, space="noses", encoder="one"):
    vectors = anybind.normalize(np.random.default_rng(seed).normal(size=(count, 4)))
    return Embeddings(vectors, Space(space, 4), "smell", tuple(map(str, range(count))), encoder)


def samples(count, **options):
    return HeadInput({"smell": smells(count, **options)}, {"events": np.ones(count)})


def test_an_input_counts_its_samples_by_groups_measures_or_rows():
    assert len(samples(3)) == 3
    assert len(HeadInput({"smell": smells(5)}, {})) == 5
    assert len(HeadInput({}, {"events": np.ones(2)})) == 2
    assert len(HeadInput({}, {})) == 0
    assert len(HeadInput({"smell": smells(2)}, rows={"smell": np.array([1, 4])})) == 5
    assert len(HeadInput({}, groups=np.array([0, 0, 1]))) == 3


def test_a_sample_may_have_no_row_or_several():
    inputs_with_rows = HeadInput({"smell": smells(3)}, {"events": np.ones(4)}, {"smell": np.array([0, 2, 2])})
    assert inputs_with_rows.max_by_sample("smell", np.array([5.0, 1.0, 2.0])).tolist() == [5, 0, 2, 0]


@pytest.mark.parametrize("rows", [[0, 1], [0, 1, 4], [-1, 0, 1], [2, 1, 0]])
def test_rows_that_disagree_with_the_samples_raise(rows):
    with pytest.raises(BadInput, match="3 rows of smell do not fit 4 samples"):
        HeadInput({"smell": smells(3)}, {"events": np.ones(4)}, {"smell": np.array(rows)})


def test_rows_without_numbers_must_be_one_per_sample():
    with pytest.raises(BadInput, match="3 rows of smell do not fit 4 samples"):
        HeadInput({"smell": smells(3)}, {"events": np.ones(4)})


@pytest.mark.parametrize("values", [[1.0, np.nan], [1.0, 2.0, 3.0]])
def test_measures_that_are_not_finite_or_too_many_raise(values):
    with pytest.raises(BadInput, match="'frames' must be 2 finite numbers"):
        HeadInput({}, {"events": np.ones(2), "frames": np.array(values)})


@pytest.mark.parametrize("groups", [[0], [0, -1], [[0, 0]]])
def test_group_ids_that_disagree_with_the_samples_raise(groups):
    with pytest.raises(BadInput, match="group ids"):
        HeadInput({"smell": smells(2)}, {"events": np.ones(2)}, groups=np.array(groups))


def test_concatenated_inputs_become_groups():
    first = HeadInput({"smell": smells(2)}, {"events": np.ones(3)}, {"smell": np.array([0, 2])})
    whole = HeadInput.concatenate([first, samples(2, seed=1)])
    assert whole.groups.tolist() == [0, 0, 0, 1, 1]
    assert whole.rows["smell"].tolist() == [0, 2, 3, 4]
    assert whole.measures["events"].tolist() == [1] * 5
    np.testing.assert_array_equal(whole.embeddings["smell"].vectors[2:], smells(2, seed=1).vectors)


def test_selected_samples_keep_their_rows_measures_and_groups():
    rows, groups = np.array([0, 2, 2]), np.array([5, 5, 6, 6])
    inputs = HeadInput({"smell": smells(3)}, {"events": np.arange(4.0)}, {"smell": rows}, groups)
    part = inputs.select(np.array([False, True, True, True]))
    assert (part.rows["smell"].tolist(), part.groups.tolist()) == ([1, 1], [5, 6, 6])
    assert part.measures["events"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(part.embeddings["smell"].vectors, smells(3).vectors[1:])
    assert len(inputs.select(np.zeros(4, bool)).embeddings["smell"]) == 0


def test_inputs_that_differ_are_not_concatenated():
    with pytest.raises(BadInput, match="got none"):
        HeadInput.concatenate([])
    with pytest.raises(BadInput, match="alike"):
        HeadInput.concatenate([samples(2), HeadInput({"smell": smells(2)})])
    with pytest.raises(SpaceMismatch):
        HeadInput.concatenate([samples(2), samples(2, space="tongues")])


class Grouped(Mean):
    """As `Mean`, learned from labels of groups."""

    learns = "groups"


class Nearest(Mean):
    """A classification head that keeps one sample of each class."""

    predicts = "classification"

    def fit_tensors(self, inputs, labels):
        firsts = [int(np.argmax(labels == number)) for number in range(len(self.classes))]
        return {"kept": inputs.embeddings["smell"].vectors[firsts]}

    def compute_scores(self, inputs, queries):
        return inputs.embeddings["smell"].vectors @ self.tensors["kept"].T


class Cosine(Head):
    """A ranking head."""

    name = "cosine"
    predicts = "ranking"

    def compute_scores(self, inputs, queries):
        return queries @ inputs.embeddings["smell"]


@pytest.mark.parametrize(
    ("make", "inputs", "labels", "names", "problem"),
    [
        (Mean, samples(3), [0, 0], (), "3 labels, one for each sample"),
        (Mean, samples(2), [0, 2], (), "0 \\(normal\\)"),
        (Mean, HeadInput({}, {"events": np.ones(2)}), [0, 1], (), "needs smell embeddings of the samples, got none"),
        (Grouped, HeadInput.concatenate([samples(2)] * 3), [0, 1], (), "3 labels, one for each group"),
        (Nearest, samples(2), [0, 0], ("a",), "two classes or more"),
        (Nearest, samples(2), [0, 1], ("a", "a"), "all different"),
        (Nearest, samples(2), [0, 2], ("a", "b"), "from -1 to 1"),
        (Nearest, samples(2), [0, -1], ("a", "b", "c"), "no labelled samples of b, c"),
    ],
)
def test_invalid_labels_raise(make, inputs, labels, names, problem):
    with pytest.raises(BadInput, match=problem):
        make().fit(inputs, labels, names)


def test_a_classification_head_saves_its_class_names(add_plugin, registry, tmp_path):
    spec = HeadSpec(name="mean", summary="s", target=f"{__name__}:Nearest", predicts="classification")
    add_plugin(registry, spec)
    Nearest().fit(samples(3), [1, 0, -1], ["a", "b"]).save(tmp_path / "head.safetensors")
    head = Head.find(tmp_path / "head.safetensors", predicts="classification")
    assert head.classes == ("a", "b")
    assert head.score(samples(3)).argmax(axis=1).tolist()[:2] == [1, 0]


def test_class_names_are_part_of_the_identity():
    heads = [Nearest().fit(samples(3), [1, 0, -1], names) for names in (["a", "b"], ["a", "c"])]
    assert heads[0].identity != heads[1].identity


def test_a_head_of_another_target_raises(mean):
    with pytest.raises(BadOption, match="expected a head for ranking, got 'mean', which is for anomaly"):
        Head.find("mean", predicts="ranking")


def test_a_ranking_head_scores_candidates_for_each_query():
    assert Cosine().score(samples(3), smells(2)).shape == (2, 3)
    with pytest.raises(BadInput, match="expected their embeddings"):
        Cosine().score(samples(3))
    with pytest.raises(SpaceMismatch):
        Cosine().score(samples(3), smells(2, space="tongues"))


def test_scoring_with_an_unfitted_head_raises(mean):
    with pytest.raises(BadOption, match="is not fitted"):
        mean().score(samples(2))


def test_a_saved_head_gives_the_same_scores_and_has_the_same_identity(mean, tmp_path):
    fitted = mean(factor=2.0).fit(samples(20), np.zeros(20))
    fitted.save(tmp_path / "head.safetensors")
    again = Head.find(tmp_path / "head.safetensors")
    assert again.settings == {"factor": 2.0}
    assert again.identity == fitted.identity
    np.testing.assert_array_equal(again.score(samples(5, seed=1)), fitted.score(samples(5, seed=1)))


def test_the_identity_depends_on_options_and_fitted_tensors(mean):
    heads = [
        mean().fit(samples(20), np.zeros(20)),
        mean(factor=2.0).fit(samples(20), np.zeros(20)),
        mean().fit(samples(20, seed=1), np.zeros(20)),
        mean().fit(samples(20, encoder="two"), np.zeros(20)),
    ]
    assert len({head.identity for head in heads}) == 4
    assert heads[0].identity == mean().fit(samples(20), np.zeros(20)).identity


def test_samples_of_another_space_or_encoder_raise(mean):
    fitted = mean().fit(samples(20), np.zeros(20))
    with pytest.raises(SpaceMismatch, match="use the head 'mean'"):
        fitted.score(samples(2, space="tongues"))
    with pytest.raises(WeightsMismatch, match="encoder one, got those of two"):
        fitted.score(samples(2, encoder="two"))


def test_samples_without_required_embeddings_raise(mean):
    fitted = mean().fit(samples(20), np.zeros(20))
    with pytest.raises(BadInput, match="needs smell"):
        fitted.score(HeadInput({}, {"events": np.ones(2)}))


def test_loading_a_file_with_other_options_raises(mean, tmp_path):
    mean().fit(samples(20), np.zeros(20)).save(tmp_path / "head.safetensors")
    with pytest.raises(WeightsMismatch, match=r"with the options .*'factor': 1.0"):
        mean(factor=3.0).load(tmp_path / "head.safetensors")
    with pytest.raises(BadOption, match="leave out factor"):
        Head.find(tmp_path / "head.safetensors", factor=1.0)


def test_files_without_a_head_raise(mean, tmp_path):
    (tmp_path / "text.safetensors").write_text("no")
    anybind.save_embeddings(tmp_path / "vectors.safetensors", [smells(2)])
    for name in ("text", "vectors", "none"):
        with pytest.raises(BadInput, match=rf"{name}\.safetensors"):
            Head.find(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    "card", [{"settings": [1]}, {"made_for": []}, {"made_for": {}}, {"head": None}, {"classes": None}]
)
def test_files_with_an_invalid_card_raise(mean, tmp_path, card):
    path = tmp_path / "head.safetensors"
    mean().fit(samples(3), np.zeros(3)).save(path)
    tensors = load_file(path)
    with safe_open(path, framework="numpy") as file:
        inputs_with_rows = json.loads(file.metadata()["anybind-head"])
    save_file(tensors, path, metadata={"anybind-head": json.dumps({**inputs_with_rows, **card})})
    with pytest.raises(BadInput, match=r"head\.safetensors"):
        Head.find(path)


def test_an_unknown_head_raises_with_the_nearest_name(mean):
    with pytest.raises(UnknownName, match="'mean'"):
        Head.find("meen")


@pytest.mark.parametrize("labels", [[0.5, 0, 1], [np.nan, 0, 1], ["a", "b", "a"], [None, 0, 1]])
def test_labels_that_are_no_whole_numbers_raise(mean, labels):
    with pytest.raises(BadInput, match="the head 'mean': expected labels of whole numbers"):
        mean().fit(samples(3), labels)
    assert mean().fit(samples(3), [0.0, 1.0, -1.0]).tensors


def test_scores_of_another_shape_or_not_finite_are_an_error_with_the_heads_name(mean, monkeypatch):
    head = mean().fit(samples(3), [0, 0, 1])
    for scores, message in ((np.zeros((3, 2)), r"shape \(3,\), got \(3, 2\)"), (np.full(3, np.nan), "expected finite")):
        monkeypatch.setattr(Mean, "compute_scores", lambda self, inputs, queries, scores=scores: scores)
        with pytest.raises(PluginError, match=f"the head 'mean': .*{message}"):
            head.score(samples(3))


def test_embeddings_under_the_name_of_another_modality_raise():
    with pytest.raises(BadInput, match="expected taste embeddings under 'taste', got smell"):
        HeadInput({"taste": smells(3)})


@pytest.mark.parametrize("names", [[0, 1], np.array([0, 1]), ["a", None], [b"a", b"b"]])
def test_class_names_that_are_no_texts_are_refused(names):
    with pytest.raises(BadInput, match="expected class names of texts, got"):
        Nearest().fit(samples(2), [0, 1], names)


def test_class_names_of_numpys_strings_become_texts_of_the_saved_head(add_plugin, registry, tmp_path):
    add_plugin(registry, HeadSpec(name="mean", summary="s", target=f"{__name__}:Nearest", predicts="classification"))
    head = Nearest().fit(samples(2), [0, 1], np.array(["a", "b"]))
    assert list(map(type, head.classes)) == [str, str]
    head.save(tmp_path / "head.safetensors")
    assert Head.find(tmp_path / "head.safetensors").classes == ("a", "b")


@pytest.mark.parametrize("values", [[0.5, 1], [np.nan, 1], ["0", "1"], ["a", "b"], [True, False], [None, 1]])
def test_rows_and_groups_that_are_no_whole_numbers_are_refused(values):
    with pytest.raises(BadInput, match="expected rows of smell of whole numbers, got"):
        HeadInput({"smell": smells(2)}, rows={"smell": values})
    with pytest.raises(BadInput, match="expected group ids of whole numbers, got"):
        HeadInput({"smell": smells(2)}, groups=values)


def test_lists_of_rows_groups_and_measures_become_arrays():
    rows, groups = {"smell": [0, 2.0, 2]}, [5, 5, 6, 6]
    inputs = HeadInput({"smell": smells(3)}, {"events": [0, 1, 2, 3]}, rows, groups)
    part = inputs.select(np.array([False, True, True, True]))
    assert (part.rows["smell"].tolist(), part.groups.tolist()) == ([1, 1], [5, 6, 6])
    assert part.measures["events"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("values", [["a", "b"], [[1], [1, 2]], [None, 1]])
def test_measures_that_are_no_numbers_are_refused(values):
    with pytest.raises(BadInput, match="the measure 'events' must be numbers, one for each sample"):
        HeadInput({"smell": smells(2)}, {"events": values})
