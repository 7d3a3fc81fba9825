"""Classification heads on made embeddings: against references, several rows a sample, saved and damaged files."""

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


def samples(labels, seed=0, modality="image", encoder="one", space="made", scale=None):
    random = np.random.default_rng(seed)
    vectors = anybind.normalize(np.eye(DIM)[labels] + 0.6 * random.normal(size=(len(labels), DIM)))
    return Embeddings(vectors, Space(space, DIM), modality, tuple(map(str, range(len(labels)))), encoder, scale)


def given(labels, **options):
    held = samples(labels, **options)
    return HeadInput({held.modality: held})


LABELS = [0, 1, 2] * 8


@pytest.fixture(params=["prototypes", "linear-probe"])
def fitted(request):
    return Head.find(request.param, modality="image").fit(given(LABELS), LABELS, NAMES)


def test_prototypes_equal_cosines_with_class_means_in_float64():
    inputs, asked = given(LABELS, scale=20.0), samples([0, 1, 2], seed=5)
    vectors = inputs.embeddings["image"].vectors.astype(np.float64)
    means = np.stack([vectors[np.array(LABELS) == number].mean(axis=0) for number in range(3)])
    cosines = asked.vectors.astype(np.float64) @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    for options, scale in (({}, 20.0), ({"scale": 3.0}, 3.0)):
        head = Head.find("prototypes", modality="image", **options).fit(inputs, LABELS, NAMES)
        np.testing.assert_allclose(head.score(HeadInput({"image": asked})), scale * cosines, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_linear_probe_equals_scikit_learns_logistic_regression(classes):
    labels = list(range(classes)) * 8
    inputs, asked = given(labels), samples(labels, seed=5)
    head = Head.find("linear-probe", modality="image", inverse_penalty=2.0).fit(inputs, labels, NAMES[:classes])
    reference = LogisticRegression(C=2.0, max_iter=2000).fit(inputs.embeddings["image"].vectors, labels)
    logits = head.score(HeadInput({"image": asked})).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, reference.predict_proba(asked.vectors), atol=1e-5)
    assert head.tensors["weight"].shape == (classes, DIM)


def test_unknown_labels_are_not_learned_from(fitted):
    more = HeadInput.concatenate([given(LABELS), given([0, 1, 2], seed=9)])
    again = Head.find(fitted.name, modality="image").fit(more, [*LABELS, -1, -1, -1], NAMES)
    assert again.identity == fitted.identity


def test_a_sample_of_several_rows_has_their_mean_logits_and_one_without_zeros(fitted):
    rows = samples([0, 1, 2], seed=5)
    alone = fitted.score(HeadInput({"image": rows}))
    together = fitted.score(HeadInput({"image": rows}, groups=np.zeros(3), rows={"image": np.array([0, 0, 2])}))
    np.testing.assert_allclose(together, [alone[:2].mean(axis=0), np.zeros(3), alone[2]], rtol=1e-5)


def test_a_saved_head_classifies_alike(fitted, tmp_path):
    fitted.save(tmp_path / "head.safetensors")
    again = Head.find(tmp_path / "head.safetensors")
    assert (again.classes, again.identity) == (NAMES, fitted.identity)
    np.testing.assert_array_equal(again.score(given([0, 1, 2], seed=5)), fitted.score(given([0, 1, 2], seed=5)))


@pytest.mark.parametrize(
    ("changed", "error", "problem"),
    [
        ({"encoder": "two"}, WeightsMismatch, "fit it anew"),
        ({"space": "other"}, SpaceMismatch, "different spaces"),
        ({"modality": "event"}, BadInput, "needs image embeddings of the samples, got event"),
    ],
)
def test_embeddings_of_another_encoder_space_or_modality_are_refused(fitted, changed, error, problem):
    with pytest.raises(error, match=problem):
        fitted.score(given([0, 1], **changed))


def test_a_class_whose_samples_have_no_embeddings_is_named(fitted):
    head = Head.find(fitted.name, modality="image")
    inputs = HeadInput({"image": samples([0, 1])}, {"size": np.ones(3)}, {"image": np.array([0, 1])})
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
def test_damaged_files_are_refused(fitted, tmp_path, damage):
    path = tmp_path / "head.safetensors"
    fitted.save(path)
    with safe_open(path, framework="numpy") as file:
        card = file.metadata()
    save_file(damage(load_file(path)), path, metadata=card)
    with pytest.raises(BadInput, match=r"head\.safetensors is damaged"):
        Head.find(path)


@pytest.mark.parametrize(("name", "options"), [("prototypes", {"scale": 0}), ("linear-probe", {"inverse_penalty": -1})])
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(BadOption):
        Head.find(name, **options)
