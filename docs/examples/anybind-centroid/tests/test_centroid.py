"""The head classifies, and the task trains it on samples that it does not evaluate."""

import anybind
import numpy as np
import pytest
from anybind.plugin import BadInput, BadOption, HeadInput, create_part
from anybind.testing import make_random_binder

from anybind_centroid.examples import Texts
from anybind_centroid.head import Centroid
from anybind_centroid.task import CentroidAccuracy


def inputs(vectors):
    ids = tuple(map(str, range(len(vectors))))
    return HeadInput(
        {"image": anybind.Embeddings(anybind.normalize(vectors), anybind.Space("s", 2), "image", ids, "e")}
    )


def test_a_sample_is_of_the_class_whose_mean_is_nearest():
    head = Centroid(modality="image").fit(inputs(np.eye(2)), [0, 1], ["right", "up"])
    scores = head.score(inputs(np.array([[3.0, 1.0], [1.0, 3.0]])))
    assert [head.classes[best] for best in scores.argmax(axis=1)] == ["right", "up"]


def test_shrinkage_moves_class_means_together():
    apart, near = (
        Centroid(modality="image", shrinkage=shrinkage).fit(inputs(np.eye(2)), [0, 1], ["a", "b"]).tensors["means"]
        for shrinkage in (0.0, 0.5)
    )
    assert apart[0] @ apart[1] == pytest.approx(0)
    assert near[0] @ near[1] > 0.5
    with pytest.raises(BadOption, match="shrinkage"):
        Centroid(modality="image", shrinkage=1.0)


def test_training_samples_are_not_evaluated_and_embeddings_without_meaning_give_chance():
    results = [
        CentroidAccuracy(shots=1).run(make_random_binder(), Texts(), modality="text", seed=seed) for seed in range(20)
    ]
    assert {result.n for result in results} == {8}
    assert np.mean([result.metrics["accuracy"] for result in results]) == pytest.approx(0.25, abs=0.12)


def test_a_class_with_too_few_samples_raises():
    with pytest.raises(BadInput, match="over 3 samples"):
        CentroidAccuracy(shots=3).run(make_random_binder(), Texts(), modality="text")


def test_activities_are_recognised_after_five_samples_of_each(tmp_path):
    data = create_part("dataset", "made-activities", tmp_path)
    result = CentroidAccuracy(shots=5).run(anybind.load("inertial"), data, modality="inertial")
    assert result.metrics["accuracy"] > 0.9
