"""Tasks and heads that are broken on purpose: each fails the right checks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import anybind
from anybind.dataset import Dataset, Item
from anybind.head import Head
from anybind.registry import list_parts
from anybind.task import Task
from anybind.testing import Example, make_random_binder


class Texts(Dataset):
    name, licence = "texts", "CC0-1.0"

    def __init__(self):
        self.set_items([Item(f"{number}", f"text number {number}") for number in range(4)])


class Spread(Task):
    """How far from each other the samples are."""

    name, main_metric = "spread", "mean"

    def run(self, binder, dataset, *, modality, seed=0, on_bad=None):
        vectors = binder.embed(modality, dataset.items, on_bad=on_bad)
        return anybind.Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders={modality: vectors.encoder},
            seed=seed,
            n=len(vectors),
            gallery_size=len(vectors),
            metrics={"mean": float((vectors @ vectors).mean())},
        )


def run_changed(**changes):
    """Run as the good one does, and change fields of its result, each by a function of nothing."""

    def run(self, *arguments, **options):
        return replace(Spread.run(self, *arguments, **options), **{name: make() for name, make in changes.items()})

    return {"run": run}


def leave_out_silently(self, binder, dataset, *, modality, seed=0, on_bad=None):
    return Spread.run(self, binder, dataset, modality=modality, seed=seed, on_bad=lambda *_: None)


@pytest.mark.parametrize(
    ("members", "failures"),
    [
        ({}, []),
        ({"name": " "}, ["check_name_and_main_metric"]),
        (run_changed(seed=lambda: 7), ["check_result_names_its_inputs"]),
        ({"main_metric": "median"}, ["check_metrics"]),
        (run_changed(metrics=lambda: {"mean": np.random.rand()}), ["check_deterministic"]),
        (run_changed(details=lambda: {"all": np.zeros(3)}), ["check_result_is_json"]),
        ({"run": leave_out_silently}, ["check_reports_invalid_samples"]),
        (run_changed(encoders=dict), ["check_result_names_the_encoders"]),
        ({"run": lambda self, *arguments, **options: {}}, ["check_returns_a_result"]),
    ],
)
def test_a_task_fails_the_check_of_what_it_breaks(members, failures, failed_checks):
    assert failed_checks(type("Broken", (Spread,), members)(), Example(dataset=Texts(), modality="text")) == failures


class FromMean(Head):
    """The distance from the mean of normal samples."""

    name, predicts, learns = "from-mean", "anomaly", "samples"

    def __init__(self):
        super().__init__(needs=("event",), settings={})

    def fit_tensors(self, inputs, labels):
        return {"mean": inputs.embeddings["event"].vectors[labels == 0].mean(0)}

    def compute_scores(self, inputs, queries):
        return inputs.max_by_sample("event", 1 - inputs.embeddings["event"].vectors @ self.tensors["mean"])


class KeepsItBeside(FromMean):
    def fit_tensors(self, inputs, labels):
        self.beside = super().fit_tensors(inputs, labels)["mean"]
        return {"mean": np.zeros(1)}

    def compute_scores(self, inputs, queries):
        return inputs.max_by_sample("event", 1 - inputs.embeddings["event"].vectors @ self.beside)


def score_unfitted(self, inputs, queries=None):
    return Head.score(self, inputs, queries) if self.tensors else np.zeros(len(inputs), np.float32)


def draw_lots(self, inputs, labels):
    return {"mean": FromMean.fit_tensors(self, inputs, labels)["mean"] * np.random.rand()}


class ClassMeans(Head):
    """The similarity to the mean of each class."""

    name, predicts, learns = "class-means", "classification", "samples"

    def __init__(self):
        super().__init__(needs=("image",))

    def fit_tensors(self, inputs, labels):
        vectors = inputs.embeddings["image"].vectors
        return {"means": np.stack([vectors[labels == number].mean(0) for number in range(len(self.classes))])}

    def compute_scores(self, inputs, queries):
        return inputs.embeddings["image"].vectors @ self.tensors["means"].T


class Similarity(Head):
    """The similarity of query and candidate."""

    name, predicts = "similarity", "ranking"

    def compute_scores(self, inputs, queries):
        (candidates,) = inputs.embeddings.values()
        return queries @ candidates


def compute_scores_after(base, change):
    """Rate as the good one does, and change its scores, (...,)."""
    return {"compute_scores": lambda self, inputs, queries: change(base.compute_scores(self, inputs, queries))}


@pytest.mark.parametrize(
    ("head", "members", "failures"),
    [
        (FromMean, {}, []),
        (
            FromMean,
            compute_scores_after(FromMean, lambda scores: scores - 5),
            ["check_score_range", "check_no_rows_score_zero"],
        ),
        (FromMean, compute_scores_after(FromMean, lambda scores: scores / scores.max()), ["check_batch_invariance"]),
        (KeepsItBeside, {}, ["check_identity", "check_save_and_load"]),
        (
            FromMean,
            {"record_encoder": lambda self, embeddings: None},
            ["check_save_and_load", "check_refuses_other_embeddings"],
        ),
        (FromMean, {"score": score_unfitted}, ["check_refuses_to_score_unfitted"]),
        (FromMean, {"fit_tensors": draw_lots}, ["check_fit_is_deterministic"]),
        (ClassMeans, {}, []),
        (ClassMeans, compute_scores_after(ClassMeans, lambda scores: scores[:, ::-1]), ["check_learns_the_classes"]),
        (
            ClassMeans,
            compute_scores_after(ClassMeans, lambda scores: scores[:, 1:]),
            ["check_score_shape", "check_learns_the_classes"],
        ),
        (Similarity, {}, []),
        (
            Similarity,
            compute_scores_after(Similarity, lambda scores: scores - scores.max(axis=0)),
            ["check_query_invariance"],
        ),
        (
            Similarity,
            compute_scores_after(Similarity, lambda scores: scores.T),
            ["check_score_shape", "check_query_invariance"],
        ),
    ],
)
def test_a_head_fails_the_checks_of_what_it_breaks(head, members, failures, failed_checks):
    assert failed_checks(type("Broken", (head,), members)()) == failures


def test_the_random_encoder_is_deterministic_and_distinguishes_samples():
    binder = make_random_binder()
    assert set(binder.modalities) == {part.name for part in list_parts("modality")}
    vectors = binder.embed("text", ["a", "b", "a"])
    similarity = vectors @ vectors
    assert similarity[0, 2] > 0.9999
    assert abs(similarity[0, 1]) < 0.9
    images = [np.full((4, 4, 3), level, np.uint8) for level in (0, 0, 9)]
    similarity = binder.embed("image", images) @ vectors
    np.testing.assert_array_equal(similarity[0], similarity[1])
    assert not np.allclose(similarity[0], similarity[2])
