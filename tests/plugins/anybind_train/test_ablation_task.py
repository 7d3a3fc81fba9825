"""The task `loss-ablation`: its arms, their curves, and classes that are never trained on."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

import anybind
from anybind.dataset import Dataset
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_train.ablation_task import LossAblation, build_arms
from anybind_train.data import TrainingSet
from anybind_train.losses.weighted_sum import WeightedSum

LOSSES = [{"use": "contrastive", "temperature": 0.2}, {"use": "zero-shot", "weight": 0.1}]
QUICK = {"epochs": 2, "lr": 1e-2, "batch_size": 6, "losses": LOSSES}


@pytest.fixture(autouse=True)
def nothing_drawn(monkeypatch):
    monkeypatch.setattr("anybind_train.engine.draw_curves", lambda *arguments: None)
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)


@pytest.fixture(scope="module")
def binder(world):
    return anybind.load(world.binding)


@pytest.fixture
def shapes(world) -> Dataset:
    return create_part("dataset", "folder", world.data / "pictures", modalities=("event", "image"))


def test_each_loss_is_left_out_in_turn(world):
    whole = world.plan()
    found = build_arms(whole)
    assert list(found) == ["all", "without contrastive", "without zero-shot"]
    assert found["all"].hash == whole.hash
    assert found["without contrastive"].losses == whole.losses[1:]
    assert found["without zero-shot"].losses == whole.losses[:1]


def test_a_preset_is_taken_apart_into_what_it_stands_for(world):
    found = build_arms(world.plan("losses=author-code"))
    assert list(found) == ["all", "without contrastive", "without zero-shot", "without kl"]
    preset, apart = (WeightedSum.from_recipe(losses).terms for losses in ("author-code", found["all"].losses))
    assert apart == preset


def test_two_losses_of_one_kind_are_told_apart(world):
    twice = json.dumps([{"use": "kl"}, {"use": "kl", "temperature": 2}])
    assert list(build_arms(world.plan(f"losses={twice}"))) == ["all", "without kl", "without kl 2"]


def test_one_loss_is_no_ablation(world):
    with pytest.raises(BadOption, match="needs two losses or more"):
        build_arms(world.plan('losses=[{"use":"kl"}]'))


@pytest.mark.slow
def test_every_arm_has_its_curve_and_its_figure(binder, shapes):
    result = LossAblation(unseen=["beam", "cross"], **QUICK).run(binder, shapes, modality="event", seed=1)
    assert (result.task, result.n, result.gallery_size) == ("loss-ablation", 6, 2)
    assert list(result.curves) == ["all", "without contrastive", "without zero-shot"]
    assert all(curve["epoch"] == [0, 1, 2] for curve in result.curves.values())
    ends = {arm: curve["top1"][-1] for arm, curve in result.curves.items()}
    assert result.metrics["top1"] == ends["all"]
    assert result.metrics["without_contrastive"] == ends["without contrastive"]
    assert result.metrics["without_zero_shot"] == ends["without zero-shot"]
    assert result.metrics["before"] == result.curves["all"]["top1"][0]
    assert set(result.intervals) == {"top1", "without_contrastive", "without_zero_shot"}
    json.dumps(asdict(result))


@pytest.mark.slow
def test_the_classes_asked_about_are_not_trained_on(binder, shapes, monkeypatch):
    seen, made = [], TrainingSet.__init__

    def init(self, *arguments):
        made(self, *arguments)
        seen.append(self.classes)

    monkeypatch.setattr(TrainingSet, "__init__", init)
    result = LossAblation(unseen=2, candidate_labels="all", **QUICK).run(binder, shapes, modality="event")
    asked = list(result.details["per_class"])
    assert asked == list(shapes.classes)[::2]
    assert seen == 3 * [[name for name in shapes.classes if name not in asked]]
    assert result.gallery_size == 5


def test_words_are_asked_of_samples_and_of_their_teacher():
    assert LossAblation().modalities("event") == ("event", "image")
    assert LossAblation(teacher="depth").modalities("sound") == ("sound", "depth")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"unseen": ["star"]}, "unseen: pictures has no class 'star'"),
        ({"unseen": ["disc", "bar", "ring", "beam", "cross"]}, "too few to train on some and ask about others"),
    ],
)
def test_classes_that_cannot_be_held_out_are_told(options, told, binder, shapes):
    with pytest.raises(anybind.AnybindError, match=told):
        LossAblation(**options).run(binder, shapes, modality="event")


def test_every_first_class_cannot_be_unseen():
    with pytest.raises(BadOption, match="at least 2 for every second one"):
        LossAblation(unseen=1)
