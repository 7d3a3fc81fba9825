"""The tasks `few-shot` and `fine-tune`: training data, evaluation, resuming and errors."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

import anybind
from anybind.dataset import Dataset, Item
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_train.engine import TrainingRun
from anybind_train.examples import TwoClassImages
from anybind_train.fine_tune_tasks import FewShot, FineTune
from anybind_train.task_runs import select_training_data

pytestmark = pytest.mark.usefixtures("no_plots")
QUICK = {"epochs": 2, "lr": 1e-2, "batch_size": 8}
SHAPES = ["disc", "bar", "ring"]


class WithSplits(Dataset):
    """Images of some shapes: the first two of each are the test split, the others the training split."""

    name = "shapes"
    published = "nowhere"
    sample_modalities = ("image",)
    splits = {"train": None, "test": None}  # noqa: RUF012 (an interface attribute)
    split = "test"

    def class_names(self):
        return {name: name for name in SHAPES}

    def scan(self, splits):
        for label in SHAPES:
            for path in sorted((self.root / label).iterdir()):
                if ("test" if int(path.stem) < 2 else "train") in splits:
                    yield Item(self.make_id(path), path, label)


@pytest.fixture(scope="module")
def binder(world):
    return anybind.load(world.binding)


@pytest.fixture
def with_splits(world) -> WithSplits:
    return WithSplits(world.data / "images")


@pytest.fixture
def without_splits(world) -> Dataset:
    return create_part("dataset", "folder", world.data / "images", modalities=("image",), classes=SHAPES)


def test_few_shot_and_fine_tune_are_registered():
    assert isinstance(create_part("task", "few-shot", shots=2), FewShot)
    assert isinstance(create_part("task", "fine-tune", epochs=3), FineTune)


def test_the_encoder_is_fine_tuned_on_the_training_split_and_evaluated_on_the_test_split(binder, with_splits):
    before = binder.identity("event")
    result = FineTune(**QUICK).run(binder, with_splits, modality="event", seed=3)
    assert (result.task, result.dataset, result.seed, result.n) == ("fine-tune", "shapes", 3, 6)
    assert result.split_hash == with_splits.split_hash
    assert result.binding == binder.name
    assert result.details["settings"]["samples"] == 12
    assert result.details["settings"]["steps"] == 2  # of the 12, one batch of 8 an epoch
    assert result.details["left_out"] == 0
    assert binder.identity("event") == before != result.encoders["event"]
    low, high = result.intervals["top1"]
    assert low < result.metrics["top1"] < high or result.metrics["top1"] in (0, 1)


@pytest.mark.long
@pytest.mark.slow
def test_the_evaluation_uses_the_trained_encoder(binder, with_splits, tmp_path):
    """An overfitted encoder classifies copies of its training samples; an untrained one does not."""
    copies = WithSplits(shutil.copytree(with_splits.folder, tmp_path / "copies"), split="train")
    untrained = create_part("task", "zero-shot").run(binder, copies, modality="event")
    task = FineTune(epochs=30, lr=1e-2, batch_size=12)
    copies.with_split = lambda name: with_splits.with_split(name)
    trained = task.run(binder, copies, modality="event")
    assert trained.details["settings"]["samples"] == trained.n == 12
    assert untrained.metrics["top1"] < 0.6 < 0.8 < trained.metrics["top1"]


@pytest.mark.slow
def test_the_seed_determines_shots_and_result(binder, with_splits):
    runs = [FewShot(shots=2, **QUICK).run(binder, with_splits, modality="event", seed=seed) for seed in (1, 1, 2)]
    same, again, _ = (json.dumps(dataclasses.asdict(run)) for run in runs)
    assert same == again
    assert runs[0].details["settings"]["data"] != runs[2].details["settings"]["data"]
    assert runs[0].encoders != runs[2].encoders
    assert "/" not in json.dumps(runs[0].details)  # no paths


def test_shots_from_a_dataset_without_splits_are_excluded_from_the_evaluation(binder, without_splits):
    result = FewShot(shots=2, **QUICK).run(binder, without_splits, modality="event")
    assert result.details["settings"]["samples"] == 6
    assert result.n == result.details["left_out"] + 6 == 12
    assert result.split_hash == without_splits.split_hash


def test_the_batch_size_is_at_most_the_number_of_samples(binder, with_splits):
    result = FewShot(shots=1, epochs=2, batch_size=500).run(binder, with_splits, modality="event")
    assert result.details["settings"]["batch_size"] == 3
    assert result.details["settings"]["steps"] == 2


@pytest.mark.slow
def test_the_result_has_the_curve_of_the_run(binder, with_splits):
    result = FewShot(shots=2, every=1, **QUICK).run(binder, with_splits, modality="event")
    assert list(result.curves) == ["top1"]
    assert result.curves["top1"]["epoch"] == [0, 1, 2]
    assert result.curves["top1"]["top1"][-1] == result.metrics["top1"]
    assert FewShot(shots=2, **QUICK).run(binder, with_splits, modality="event").curves == {}


@pytest.mark.parametrize("method", ["lora", "prompts", "joint", "linear-probe"])
def test_each_method_trains_its_encoder(method, binder, with_splits):
    result = FewShot(shots=3, method=method, epochs=2, batch_size=9).run(binder, with_splits, modality="event")
    assert result.n == 6
    assert result.details["settings"]["method"] == method
    assert 0 <= result.metrics["top1"] <= 1
    trained = {"prompts": ["text"], "joint": ["event", "text"]}.get(method, ["event"])
    for modality in trained:
        assert (result.encoders[modality] == binder.identity(modality)) == (method == "linear-probe")


def test_a_classification_head_is_evaluated_by_its_name(binder, with_splits):
    result = FewShot(shots=3, method="prototypes", head_options={"scale": 5.0}).run(
        binder, with_splits, modality="event"
    )
    assert result.n == 6
    assert {"method": "prototypes", "scale": 5.0}.items() <= result.details["settings"].items()
    with pytest.raises(BadOption, match="head_options: expected a classification head"):
        FewShot(method="lora", head_options={"scale": 5.0})


def test_a_linear_probe_has_a_wilson_interval(binder, with_splits):
    result = FineTune(method="linear-probe").run(binder, with_splits, modality="event")
    low, high = result.intervals["top1"]
    hits, n, z = round(6 * result.metrics["top1"]), 6, 1.959964
    center, half_width = hits / n + z * z / (2 * n), z * np.sqrt(hits * (n - hits) / n + z * z / 4) / n
    expected = [(center + sign * half_width) / (1 + z * z / n) for sign in (-1, 1)]
    assert (low, high) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_candidate_labels_may_include_classes_without_training_samples(binder, with_splits):
    labels = [*SHAPES, "beam", "cross"]
    result = FewShot(shots=2, candidate_labels=labels, every=2, **QUICK).run(binder, with_splits, modality="event")
    assert result.gallery_size == 5
    subset = WithSplits(with_splits.folder, classes=["disc", "bar"])
    assert FewShot(shots=2, candidate_labels="all", **QUICK).run(binder, subset, modality="event").gallery_size == 3


@pytest.mark.slow
def test_recipe_keys_are_options_of_the_task(binder, with_splits):
    frozen = {"student": {"train": ["visual.ln_post"]}, "optimiser": {"schedule": "constant"}}
    result = FewShot(shots=2, **QUICK, **frozen).run(binder, with_splits, modality="event")
    assert result.details["settings"]["method"] == "full"
    plain = FewShot(shots=2, **QUICK).run(binder, with_splits, modality="event")
    assert result.details["settings"]["recipe"] != plain.details["settings"]["recipe"]


@pytest.mark.slow
def test_an_interrupted_run_with_an_output_folder_is_resumed(binder, with_splits, tmp_path, monkeypatch):
    uninterrupted = FewShot(shots=2, **QUICK).run(binder, with_splits, modality="event")
    steps, train_step = [], TrainingRun.train_step

    def failing(run, *arguments):
        if len(steps) == 1:
            raise KeyboardInterrupt
        steps.append(arguments)
        return train_step(run, *arguments)

    monkeypatch.setattr(TrainingRun, "train_step", failing)
    with pytest.raises(KeyboardInterrupt):
        FewShot(shots=2, output=str(tmp_path), **QUICK).run(binder, with_splits, modality="event")
    monkeypatch.setattr(
        TrainingRun, "train_step", lambda run, *arguments: (steps.append(arguments), train_step(run, *arguments))[1]
    )
    result = FewShot(shots=2, output=str(tmp_path), **QUICK).run(binder, with_splits, modality="event")
    assert len(steps) == 2  # one before, one after
    assert result.encoders == uninterrupted.encoders
    again = FewShot(shots=2, output=str(tmp_path), **QUICK).run(binder, with_splits, modality="event")
    assert len(steps) == 2
    assert again.metrics == uninterrupted.metrics


def test_a_run_without_an_output_folder_leaves_no_files(binder, with_splits, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    FewShot(shots=1, **QUICK).run(binder, with_splits, modality="event")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (lambda: FewShot(shots=0), "shots: expected a whole number above 0"),
        (lambda: FewShot(method="guessing"), "method: expected one of full, lora, linear-probe, prompts"),
    ],
)
def test_an_invalid_option_is_rejected(create, message):
    with pytest.raises(BadOption, match=message):
        create()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonsense": 1}, "unknown key 'nonsense'"),
        ({"data": []}, "few-shot: cannot set the option data, which the task sets"),
        ({"train": {"colour": "red"}}, "shapes takes no option"),
        ({"epochs": "many"}, "epochs"),
    ],
)
def test_an_invalid_recipe_option_is_rejected(options, message, binder, with_splits):
    with pytest.raises(BadOption, match=message):
        FewShot(**options).run(binder, with_splits, modality="event")


def test_an_unavailable_device_is_rejected(world, with_splits):
    binder = anybind.load(world.binding)
    for modality in ("event", "text"):
        binder.encoder(modality)
    binder.device = "abacus"
    with pytest.raises(BadOption, match="cannot train on abacus"):
        FewShot(**QUICK).run(binder, with_splits, modality="event")


def test_fine_tuning_needs_a_training_split(binder, without_splits):
    with pytest.raises(
        anybind.BadInput, match="has no training split: select other training data with the option train"
    ):
        FineTune(**QUICK).run(binder, without_splits, modality="event")


def test_options_of_the_training_split_need_a_dataset_in_a_folder(without_splits):
    assert len(select_training_data(without_splits, {"limit": 3}).items) == 3
    with pytest.raises(BadOption, match="expected a dataset in a folder"):
        select_training_data(TwoClassImages(), {"limit": 3})


def test_training_on_all_samples_is_rejected(binder, without_splits):
    with pytest.raises(anybind.BadInput, match="all labelled samples are training samples"):
        FewShot(shots=6).run(binder, without_splits, modality="event")


def test_the_training_split_is_selected_by_name_or_by_options(with_splits):
    assert (
        len(select_training_data(with_splits, None).items)
        == len(select_training_data(with_splits, "train").items)
        == 12
    )
    selected = select_training_data(with_splits, {"split": "train", "classes": ["disc"]})
    assert {item.label for item in selected.items} == {"disc"}
    assert isinstance(selected, WithSplits)
    assert selected.selected_modalities == with_splits.selected_modalities == ["image"]
