"""The task `loss-ablation`: its arms, their curves, and its unseen classes."""

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

pytestmark = pytest.mark.usefixtures("no_plots")
LOSSES = [{"use": "contrastive", "temperature": 0.2}, {"use": "zero-shot", "weight": 0.1}]
QUICK = {"epochs": 2, "lr": 1e-2, "batch_size": 6, "losses": LOSSES}


@pytest.fixture(scope="module")
def binder(world):
    return anybind.load(world.binding)


@pytest.fixture
def shapes(world) -> Dataset:
    return create_part("dataset", "folder", world.data / "images", modalities=("event", "image"))


def test_each_arm_lacks_one_loss_or_has_the_other_target(world):
    whole = world.parse_recipe()
    arms = build_arms(whole)
    assert list(arms) == ["all", "zero-shot to label", "without contrastive", "without zero-shot"]
    assert arms["zero-shot to label"].losses == (whole.losses[0], {**whole.losses[1], "target": "label"})
    assert arms["all"].hash == whole.hash
    assert arms["without contrastive"].losses == whole.losses[1:]
    assert arms["without zero-shot"].losses == whole.losses[:1]


def test_a_preset_is_expanded_into_its_losses(world):
    arms = build_arms(world.parse_recipe("losses=paper"))
    assert list(arms) == ["all", "zero-shot to teacher", "without contrastive", "without zero-shot", "without kl"]
    for preset, arm in (("paper", "all"), ("paper-zscl", "zero-shot to teacher")):
        terms, expanded = (WeightedSum.from_recipe(losses) for losses in (preset, arms[arm].losses))
        assert [term.use for term in expanded.terms] == [term.use for term in terms.terms]
        assert expanded.losses["zero-shot"].target == terms.losses["zero-shot"].target
    author = build_arms(world.parse_recipe("losses=author-code-mended"))
    names = ("contrastive", "zero-shot", "kl")
    assert list(author) == ["all", *(f"without author-{name}" for name in names)]


def test_repeated_losses_are_numbered(world):
    losses = json.dumps([{"use": "kl"}, {"use": "kl", "temperature": 2}])
    assert list(build_arms(world.parse_recipe(f"losses={losses}"))) == ["all", "without kl", "without kl 2"]


def test_an_ablation_needs_two_losses(world):
    with pytest.raises(BadOption, match="losses: expected at least two for an ablation"):
        build_arms(world.parse_recipe('losses=[{"use":"kl"}]'))


@pytest.mark.slow
def test_every_arm_has_a_curve_and_a_metric(binder, shapes):
    result = LossAblation(unseen=["beam", "cross"], **QUICK).run(binder, shapes, modality="event", seed=1)
    assert (result.task, result.n, result.gallery_size) == ("loss-ablation", 6, 2)
    assert list(result.curves) == ["all", "zero-shot to label", "without contrastive", "without zero-shot"]
    assert all(curve["epoch"] == [0, 1, 2] for curve in result.curves.values())
    ends = {arm: curve["top1"][-1] for arm, curve in result.curves.items()}
    assert result.metrics["top1"] == ends["all"]
    assert result.metrics["without_contrastive"] == ends["without contrastive"]
    assert result.metrics["without_zero_shot"] == ends["without zero-shot"]
    assert result.metrics["zero_shot_to_label"] == ends["zero-shot to label"]
    assert result.metrics["before"] == result.curves["all"]["top1"][0]
    assert set(result.intervals) == {"top1", "zero_shot_to_label", "without_contrastive", "without_zero_shot"}
    json.dumps(asdict(result))


@pytest.mark.long
@pytest.mark.slow
def test_unseen_classes_are_not_trained_on(binder, shapes, monkeypatch):
    seen, init_training_set = [], TrainingSet.__init__

    def init(self, *arguments):
        init_training_set(self, *arguments)
        seen.append(self.classes)

    monkeypatch.setattr(TrainingSet, "__init__", init)
    result = LossAblation(unseen=2, candidate_labels="all", **QUICK).run(binder, shapes, modality="event")
    unseen = list(result.details["per_class"])
    assert unseen == list(shapes.classes)[::2]
    assert seen == 4 * [[name for name in shapes.classes if name not in unseen]]
    assert result.gallery_size == 5


def test_the_task_needs_the_modalities_of_student_and_teacher():
    assert LossAblation().modalities("event") == ("event", "image")
    assert LossAblation(teacher="depth").modalities("sound") == ("sound", "depth")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unseen": ["star"]}, "unseen: images has no class 'star'"),
        ({"unseen": ["disc", "bar", "ring", "beam", "cross"]}, "expected seen and unseen classes, got 0 seen of 5"),
    ],
)
def test_invalid_unseen_classes_are_rejected(options, message, binder, shapes):
    with pytest.raises(anybind.AnybindError, match=message):
        LossAblation(**options).run(binder, shapes, modality="event")


def test_unseen_is_at_least_every_second_class():
    with pytest.raises(BadOption, match="a number n of at least 2, got 1"):
        LossAblation(unseen=1)
