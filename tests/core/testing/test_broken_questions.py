"""Tasks and heads that are broken on purpose: the kit fails each by the rules that it breaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import anybind
from anybind.dataset import Dataset, Item
from anybind.head import Head
from anybind.registry import parts
from anybind.task import Task
from anybind.testing import check_head, check_task, stand_in_binder


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


class ForgetsSeed(Spread):
    def run(self, *arguments, **options):
        return replace(super().run(*arguments, **options), seed=7)


class NoMetric(Spread):
    main_metric = "median"


class Guesses(Spread):
    def run(self, *arguments, **options):
        return replace(super().run(*arguments, **options), metrics={"mean": np.random.rand()})


class ArrayDetails(Spread):
    def run(self, *arguments, **options):
        return replace(super().run(*arguments, **options), details={"all": np.zeros(3)})


class LeavesOutSilently(Spread):
    def run(self, binder, dataset, *, modality, seed=0, on_bad=None):
        return super().run(binder, dataset, modality=modality, seed=seed, on_bad=lambda *_: None)


class NamesNoEncoder(Spread):
    def run(self, *arguments, **options):
        return replace(super().run(*arguments, **options), encoders={})


@pytest.mark.parametrize(
    ("task", "rules"),
    [
        (Spread, []),
        (ForgetsSeed, ["says what was asked"]),
        (NoMetric, ["metrics"]),
        (Guesses, ["deterministic"]),
        (ArrayDetails, ["result is JSON-like"]),
        (LeavesOutSilently, ["says which sample is bad"]),
        (NamesNoEncoder, ["names the encoders"]),
    ],
)
def test_a_task_fails_by_the_rule_that_it_breaks(task, rules, broken_rules):
    assert broken_rules(check_task, task(), Texts(), modality="text") == rules


class FromMean(Head):
    """How far from the mean of normal windows."""

    name, learns = "from-mean", "windows"

    def __init__(self):
        super().__init__(needs=("event",), settings={})

    def fit(self, sets, labels):
        rows = [windows.embeddings["event"].vectors[known == 0] for windows, known in zip(sets, labels, strict=True)]
        for windows in sets:
            self.remember(windows.embeddings["event"])
        self.tensors = {"mean": np.concatenate(rows).mean(0)}
        return self

    def rate(self, windows):
        return windows.largest("event", 1 - windows.embeddings["event"].vectors @ self.tensors["mean"])


class BelowZero(FromMean):
    def rate(self, windows):
        return super().rate(windows) - 5 * (windows.measures["events"] > 0)


class ByTheSet(FromMean):
    def rate(self, windows):
        scores = super().rate(windows)
        return scores / scores.max()


class KeepsItBeside(FromMean):
    def fit(self, sets, labels):
        super().fit(sets, labels)
        self.beside, self.tensors = self.tensors["mean"], {"mean": np.zeros(1)}
        return self

    def rate(self, windows):
        return windows.largest("event", 1 - windows.embeddings["event"].vectors @ self.beside)


class Forgets(FromMean):
    def remember(self, embeddings):
        pass


class ScoresUnfitted(FromMean):
    def score(self, windows):
        return super().score(windows) if self.tensors else np.zeros(len(windows), np.float32)


class DrawsLots(FromMean):
    def fit(self, sets, labels):
        super().fit(sets, labels)
        self.tensors["mean"] = self.tensors["mean"] * np.random.rand()
        return self


@pytest.mark.parametrize(
    ("head", "rules"),
    [
        (FromMean, set()),
        (BelowZero, {"scores are finite and 0 or more", "nothing to see scores 0"}),
        (ByTheSet, {"windows are scored for themselves"}),
        (KeepsItBeside, {"identity", "saves and loads"}),
        (Forgets, {"refuses strange vectors", "saves and loads"}),
        (ScoresUnfitted, {"says that it is not fitted"}),
        (DrawsLots, {"fitting is deterministic"}),
    ],
)
def test_a_head_fails_by_the_rules_that_it_breaks(head, rules, broken_rules):
    assert set(broken_rules(check_head, head())) == rules


def test_the_stand_in_embeds_any_sample_the_same_each_time_and_tells_samples_apart():
    binder = stand_in_binder()
    assert set(binder.modalities) == {part.name for part in parts("modality")}
    vectors = binder.embed("text", ["a", "b", "a"])
    similarity = vectors @ vectors
    assert similarity[0, 2] > 0.9999
    assert abs(similarity[0, 1]) < 0.9
    pictures = [np.full((4, 4, 3), level, np.uint8) for level in (0, 0, 9)]
    similarity = binder.embed("image", pictures) @ vectors
    np.testing.assert_array_equal(similarity[0], similarity[1])
    assert not np.allclose(similarity[0], similarity[2])
