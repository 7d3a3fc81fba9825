"""The tasks `few-shot` and `fine-tune`: what they learn from, what they ask about, and what they leave as it was."""

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

QUICK = {"epochs": 2, "lr": 1e-2, "batch_size": 8}
SHAPES = ["disc", "bar", "ring"]


@pytest.fixture(autouse=True)
def nothing_drawn(monkeypatch):
    """A picture and TensorBoard's file of a run take longer than the run."""
    monkeypatch.setattr("anybind_train.engine.draw_curves", lambda *arguments: None)
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)


class Parted(Dataset):
    """The pictures of some shapes, the first two of each to be asked about and the others to learn from."""

    name = "parted"
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
def parted(world) -> Parted:
    return Parted(world.data / "pictures")


@pytest.fixture
def in_one_part(world) -> Dataset:
    return create_part("dataset", "folder", world.data / "pictures", modalities=("image",), classes=SHAPES)


def test_both_are_registered():
    assert isinstance(create_part("task", "few-shot", shots=2), FewShot)
    assert isinstance(create_part("task", "fine-tune", epochs=3), FineTune)


def test_an_encoder_is_fine_tuned_on_the_training_part_and_asked_about_the_other(binder, parted):
    before = binder.identity("event")
    result = FineTune(**QUICK).run(binder, parted, modality="event", seed=3)
    assert (result.task, result.dataset, result.seed, result.n) == ("fine-tune", "parted", 3, 6)
    assert result.split_hash == parted.split_hash
    assert result.binding == binder.name
    assert result.details["settings"]["samples"] == 12
    assert result.details["settings"]["steps"] == 2  # of the 12, one batch of 8 an epoch
    assert result.details["left_out"] == 0
    assert binder.identity("event") == before != result.encoders["event"]
    low, high = result.intervals["top1"]
    assert low < result.metrics["top1"] < high or result.metrics["top1"] in (0, 1)


@pytest.mark.slow
def test_what_was_learned_is_what_is_asked(binder, parted, tmp_path):
    """Of pictures that were learned by heart, copies are known; untrained they are not."""
    copies = Parted(shutil.copytree(parted.folder, tmp_path / "copies"), split="train")
    untrained = create_part("task", "zero-shot").run(binder, copies, modality="event")
    task = FineTune(epochs=30, lr=1e-2, batch_size=12)
    copies.with_split = lambda name: parted.with_split(name)
    learned = task.run(binder, copies, modality="event")
    assert learned.details["settings"]["samples"] == learned.n == 12
    assert untrained.metrics["top1"] < 0.6 < 0.8 < learned.metrics["top1"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result_and_another_other_shots(binder, parted):
    runs = [FewShot(shots=2, **QUICK).run(binder, parted, modality="event", seed=seed) for seed in (1, 1, 2)]
    same, again, _ = (json.dumps(dataclasses.asdict(run)) for run in runs)
    assert same == again
    assert runs[0].details["settings"]["data"] != runs[2].details["settings"]["data"]
    assert runs[0].encoders != runs[2].encoders
    assert "/" not in json.dumps(runs[0].details)  # no paths


def test_shots_of_data_in_one_part_are_drawn_from_it_and_not_asked_about(binder, in_one_part):
    result = FewShot(shots=2, **QUICK).run(binder, in_one_part, modality="event")
    assert result.details["settings"]["samples"] == 6
    assert result.n == result.details["left_out"] + 6 == 12
    assert result.split_hash == in_one_part.split_hash


def test_a_batch_is_no_larger_than_the_samples(binder, parted):
    result = FewShot(shots=1, epochs=2, batch_size=500).run(binder, parted, modality="event")
    assert result.details["settings"]["batch_size"] == 3
    assert result.details["settings"]["steps"] == 2


@pytest.mark.slow
def test_the_curve_of_a_run_is_told(binder, parted):
    result = FewShot(shots=2, every=1, **QUICK).run(binder, parted, modality="event")
    assert list(result.curves) == ["top1"]
    assert result.curves["top1"]["epoch"] == [0, 1, 2]
    assert result.curves["top1"]["top1"][-1] == result.metrics["top1"]
    assert FewShot(shots=2, **QUICK).run(binder, parted, modality="event").curves == {}


@pytest.mark.parametrize("method", ["lora", "prompts", "linear-probe"])
def test_the_other_methods_learn_too(method, binder, parted):
    result = FewShot(shots=3, method=method, epochs=2, batch_size=9).run(binder, parted, modality="event")
    assert result.n == 6
    assert result.details["settings"]["method"] == method
    assert 0 <= result.metrics["top1"] <= 1
    learns = "text" if method == "prompts" else "event"
    assert (result.encoders[learns] == binder.identity(learns)) == (method == "linear-probe")


def test_a_classification_head_is_evaluated_by_its_name(binder, parted):
    result = FewShot(shots=3, method="prototypes", head_options={"scale": 5.0}).run(binder, parted, modality="event")
    assert result.n == 6
    assert {"method": "prototypes", "scale": 5.0}.items() <= result.details["settings"].items()
    with pytest.raises(BadOption, match="head_options are for a classification head"):
        FewShot(method="lora", head_options={"scale": 5.0})


def test_a_linear_probe_tells_the_interval_of_its_share(binder, parted):
    result = FineTune(method="linear-probe").run(binder, parted, modality="event")
    low, high = result.intervals["top1"]
    hits, n, z = round(6 * result.metrics["top1"]), 6, 1.959964
    middle, spread = hits / n + z * z / (2 * n), z * np.sqrt(hits * (n - hits) / n + z * z / 4) / n
    expected = [(middle + way * spread) / (1 + z * z / n) for way in (-1, 1)]
    assert (low, high) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_class_names_beyond_those_learned_can_be_asked_for(binder, parted):
    among = [*SHAPES, "beam", "cross"]
    result = FewShot(shots=2, among=among, every=2, **QUICK).run(binder, parted, modality="event")
    assert result.gallery_size == 5
    some = Parted(parted.folder, classes=["disc", "bar"])
    assert FewShot(shots=2, among="all", **QUICK).run(binder, some, modality="event").gallery_size == 3


@pytest.mark.slow
def test_further_keys_of_a_recipe_are_laid_over(binder, parted):
    frozen = {"student": {"train": ["visual.ln_post"]}, "optimiser": {"schedule": "constant"}}
    result = FewShot(shots=2, **QUICK, **frozen).run(binder, parted, modality="event")
    assert result.details["settings"]["method"] == "full"
    plain = FewShot(shots=2, **QUICK).run(binder, parted, modality="event")
    assert result.details["settings"]["recipe"] != plain.details["settings"]["recipe"]


@pytest.mark.slow
def test_a_kept_run_that_was_interrupted_goes_on(binder, parted, tmp_path, monkeypatch):
    whole = FewShot(shots=2, **QUICK).run(binder, parted, modality="event")
    steps, step = [], TrainingRun.train_step

    def failing(run, *arguments):
        if len(steps) == 1:
            raise KeyboardInterrupt
        steps.append(arguments)
        return step(run, *arguments)

    monkeypatch.setattr(TrainingRun, "train_step", failing)
    with pytest.raises(KeyboardInterrupt):
        FewShot(shots=2, keep=str(tmp_path), **QUICK).run(binder, parted, modality="event")
    monkeypatch.setattr(
        TrainingRun, "train_step", lambda run, *arguments: (steps.append(arguments), step(run, *arguments))[1]
    )
    result = FewShot(shots=2, keep=str(tmp_path), **QUICK).run(binder, parted, modality="event")
    assert len(steps) == 2  # one before, one after
    assert result.encoders == whole.encoders
    again = FewShot(shots=2, keep=str(tmp_path), **QUICK).run(binder, parted, modality="event")
    assert len(steps) == 2
    assert again.metrics == whole.metrics


def test_nothing_is_left_behind_unless_it_is_kept(binder, parted, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    FewShot(shots=1, **QUICK).run(binder, parted, modality="event")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: FewShot(shots=0), "shots must be a whole number above 0"),
        (lambda: FewShot(method="guessing"), "method must be one of full, lora, linear-probe, prompts"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, told):
    with pytest.raises(BadOption, match=told):
        make()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"nonsense": 1}, "unknown key 'nonsense'|nonsense"),
        ({"data": []}, "the option data is no one's to give"),
        ({"train": {"colour": "red"}}, "parted takes no option"),
        ({"epochs": "many"}, "epochs"),
    ],
)
def test_options_that_no_recipe_takes_are_refused(options, told, binder, parted):
    with pytest.raises(BadOption, match=told):
        FewShot(**options).run(binder, parted, modality="event")


def test_a_device_that_is_not_there_is_refused(world, parted):
    binder = anybind.load(world.binding)
    for of in ("event", "text"):
        binder.encoder(of)
    binder.device = "abacus"
    with pytest.raises(BadOption, match="cannot train on abacus"):
        FewShot(**QUICK).run(binder, parted, modality="event")


def test_data_in_one_part_cannot_be_fine_tuned_on_whole(binder, in_one_part):
    with pytest.raises(anybind.BadInput, match="is published in one part: say with train"):
        FineTune(**QUICK).run(binder, in_one_part, modality="event")


def test_options_of_a_training_part_are_for_data_in_a_folder(in_one_part):
    assert len(select_training_data(in_one_part, {"limit": 3}).items) == 3
    with pytest.raises(BadOption, match="options are for datasets in folders"):
        select_training_data(TwoClassImages(), {"limit": 3})


def test_all_samples_learned_from_leave_nothing_to_ask(binder, in_one_part):
    with pytest.raises(anybind.BadInput, match="none is left to ask about"):
        FewShot(shots=6).run(binder, in_one_part, modality="event")


def test_a_part_is_named_or_made_with_other_options(parted):
    assert len(select_training_data(parted, None).items) == len(select_training_data(parted, "train").items) == 12
    made = select_training_data(parted, {"split": "train", "classes": ["disc"]})
    assert {item.label for item in made.items} == {"disc"}
    assert isinstance(made, Parted)
    assert made.selected_modalities == parted.asked == ["image"]
