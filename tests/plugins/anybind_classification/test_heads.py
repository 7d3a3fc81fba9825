"""Classification heads on synthetic embeddings: references, several rows per sample, saved and corrupt files."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression

import anybind
from anybind import BadInput, Embeddings, Space
from anybind.errors import BadOption, SpaceMismatch, WeightsMismatch
from anybind.head import Head
from anybind.head_input import HeadInput

DIM, NAMES = 6, ("duck", "kettle", "rocket")


def make_embeddings(labels, seed=0, modality="image", encoder="one", space="synthetic", scale=None):
    random = np.random.default_rng(seed)
    vectors = anybind.normalize(np.eye(DIM)[labels] + 0.6 * random.normal(size=(len(labels), DIM)))
    return Embeddings(vectors, Space(space, DIM), modality, tuple(map(str, range(len(labels)))), encoder, scale)


def make_inputs(labels, **options):
    embeddings = make_embeddings(labels, **options)
    return HeadInput({embeddings.modality: embeddings})


LABELS = [0, 1, 2] * 8


@pytest.fixture(params=["prototypes", "linear-probe"])
def fitted_head(request):
    return Head.find(request.param, modality="image").fit(make_inputs(LABELS), LABELS, NAMES)


def test_prototypes_equal_cosines_with_class_means_in_float64():
    inputs, queries = make_inputs(LABELS, scale=20.0), make_embeddings([0, 1, 2], seed=5)
    vectors = inputs.embeddings["image"].vectors.astype(np.float64)
    means = np.stack([vectors[np.array(LABELS) == number].mean(axis=0) for number in range(3)])
    cosines = queries.vectors.astype(np.float64) @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    for options, scale in (({}, 20.0), ({"scale": 3.0}, 3.0)):
        head = Head.find("prototypes", modality="image", **options).fit(inputs, LABELS, NAMES)
        np.testing.assert_allclose(head.score(HeadInput({"image": queries})), scale * cosines, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_linear_probe_equals_scikit_learns_logistic_regression(classes):
    labels = list(range(classes)) * 8
    inputs, queries = make_inputs(labels), make_embeddings(labels, seed=5)
    head = Head.find("linear-probe", modality="image", inverse_penalty=2.0).fit(inputs, labels, NAMES[:classes])
    reference = LogisticRegression(C=2.0, max_iter=2000).fit(inputs.embeddings["image"].vectors, labels)
    logits = head.score(HeadInput({"image": queries})).astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, reference.predict_proba(queries.vectors), atol=1e-5)
    assert head.tensors["weight"].shape == (classes, DIM)


def test_samples_with_unknown_labels_are_not_fitted_on(fitted_head):
    more = HeadInput.concatenate([make_inputs(LABELS), make_inputs([0, 1, 2], seed=9)])
    loaded = Head.find(fitted_head.name, modality="image").fit(more, [*LABELS, -1, -1, -1], NAMES)
    assert loaded.identity == fitted_head.identity


def test_logits_are_the_mean_over_a_samples_rows_and_zero_without_rows(fitted_head):
    rows = make_embeddings([0, 1, 2], seed=5)
    alone = fitted_head.score(HeadInput({"image": rows}))
    together = fitted_head.score(HeadInput({"image": rows}, groups=np.zeros(3), rows={"image": np.array([0, 0, 2])}))
    np.testing.assert_allclose(together, [alone[:2].mean(axis=0), np.zeros(3), alone[2]], rtol=1e-5)


def test_a_saved_head_returns_the_same_scores(fitted_head, tmp_path):
    fitted_head.save(tmp_path / "head.safetensors")
    loaded = Head.find(tmp_path / "head.safetensors")
    assert (loaded.classes, loaded.identity) == (NAMES, fitted_head.identity)
    np.testing.assert_array_equal(
        loaded.score(make_inputs([0, 1, 2], seed=5)), fitted_head.score(make_inputs([0, 1, 2], seed=5))
    )


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"encoder": "two"}, WeightsMismatch, "fit it anew"),
        ({"space": "other"}, SpaceMismatch, "different spaces"),
        ({"modality": "event"}, BadInput, "needs image embeddings of the samples, got event"),
    ],
)
def test_embeddings_of_another_encoder_space_or_modality_are_an_error(fitted_head, changed, error, message):
    with pytest.raises(error, match=message):
        fitted_head.score(make_inputs([0, 1], **changed))


def test_a_class_without_embeddings_is_an_error(fitted_head):
    head = Head.find(fitted_head.name, modality="image")
    inputs = HeadInput({"image": make_embeddings([0, 1])}, {"size": np.ones(3)}, {"image": np.array([0, 1])})
    with pytest.raises(BadInput, match="no image embeddings of rocket"):
        head.fit(inputs, [0, 1, 2], NAMES)


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensors: {**tensors, "weight": tensors["weight"][:2]},
        lambda tensors: {**tensors, "bias": tensors["bias"] * np.nan},
        lambda tensors: {"weight": tensors["weight"]},
    ],
)
def test_corrupt_files_are_an_error(fitted_head, tmp_path, damage):
    path = tmp_path / "head.safetensors"
    fitted_head.save(path)
    with safe_open(path, framework="numpy") as file:
        card = file.metadata()
    save_file(damage(load_file(path)), path, metadata=card)
    with pytest.raises(BadInput, match=r"head\.safetensors(: expected finite| is damaged)"):
        Head.find(path)


@pytest.mark.parametrize(("name", "options"), [("prototypes", {"scale": 0}), ("linear-probe", {"inverse_penalty": -1})])
def test_options_out_of_range_are_an_error(name, options):
    with pytest.raises(BadOption):
        Head.find(name, **options)


@pytest.mark.parametrize(("name", "option"), [("prototypes", "scale"), ("linear-probe", "inverse_penalty")])
def test_numbers_of_numpy_are_options_and_booleans_are_not(name, option):
    head = Head.find(name, **{option: np.float32(5)})
    assert (head.settings[option], type(head.settings[option])) == (5, float)
    for value in (True, 0, "5"):
        with pytest.raises(BadOption, match=f"{option}: expected a finite number above 0, got"):
            Head.find(name, **{option: value})
