"""Training runs that fail: invalid options and data, losses and weights that are not finite, full disks."""

from __future__ import annotations

import re
import resource
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file

import anybind
from anybind.errors import SpaceMismatch
from anybind_train import engine
from anybind_train.checks import check_spaces
from anybind_train.data import shuffle_epoch
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.metrics_log import read_log

IMAGE = ("modality=image", "student.options={}")
AUGMENTED = (*IMAGE, 'augment.image={"crop":[0.5,1.0],"flip":true}')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["epoch=3"], "unknown key 'epoch'; did you mean 'epochs'"),
        (["--set", "nonsense"], "--set: expected KEY=VALUE, got 'nonsense'"),
        (["losses=papre"], "losses: unknown preset 'papre'; did you mean 'paper'"),
        (['losses=[{"use":"contrastve"}]'], "there is no loss 'contrastve'; did you mean 'contrastive'"),
        (['losses=[{"use":"contrastive","temprature":1}]'], "1 \\(contrastive\\): .*temprature.*temperature"),
        (["binding=clip-vit-b-23"], "there is no binding 'clip-vit-b-23'; did you mean 'clip-vit-b-32'"),
        (["modality=evnt"], "has no encoder for 'evnt'; did you mean 'event'"),
        (["teacher=imgae"], "has no encoder for 'imgae'; did you mean 'image'"),
        (["data.0.dataset=foldr"], "there is no dataset 'foldr'; did you mean 'folder'"),
        (["data.0.path=pictrues"], "pictrues"),
        (['data.0.classes=["disk"]'], "has no class 'disk'; did you mean 'disc'"),
        (["probe.task=zero-shto"], "there is no task 'zero-shto'; did you mean 'zero-shot'"),
        (["probe.metric=top2"], "has no metric 'top2'; did you mean 'top5' or 'top1'"),
        (["probe.metric=event_to_image_median_rank"], "expected a metric whose higher values are better, got"),
        (["student.options.representation=papper"], "there is no representation 'papper'; did you mean 'paper'"),
        (["student.weights=absent.safetensors"], "cannot read absent.safetensors"),
        (["student.ema_decay=1"], "student.ema_decay: expected a number from 0 to below 1"),
        (["precision=33-true"], "cannot train on cpu"),
        (["augment.image.flop=true"], "augment.image: .*flop"),
        (["templates=[]"], "give at least one template"),
        (['templates=["a photo"]'], "needs {} where the class name goes"),
        (["teacher="], "a loss of the recipe needs a teacher: set"),
        (["batch_size=1"], "batch_size: expected at least 2, since a loss compares the samples of a batch; got 1"),
        (["batch_size=19"], "expected at least one batch of 19 training samples, got 18"),
        (["data.0.shots=7"], "images: expected at least 7 samples of class 'bar', got 6"),
        (['data.0.classes=["disc"]'], "a loss needs texts: expected at least two classes, got 1"),
        (['losses=[{"use":"prediction"}]', 'data.0.classes=["disc"]'], "a loss needs labels and texts: expected at least two classes, got 1"),
        (['probe.classes=["disc","cross"]'], r"probe: 6 samples are also training samples \(disc/0.png, ...\)"),
        (["--strategy", "nonsense"], r"cannot train on cpu \(strategy nonsense"),
        (["--device", "abacus"], "cannot train on abacus"),
    ],
)  # fmt: skip
def test_an_invalid_run_is_one_line_before_the_first_step(command, tmp_path, arguments, message):
    assert re.search(message, command(*arguments).error())
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_unpaired_samples_are_named(command, own_data, tmp_path):
    for number in range(6):
        image = anybind.read(own_data / "images" / "disc" / f"{number}.png")
        anybind.write(anybind.derive("event", image), own_data / "images" / "disc" / f"{number}.npz")
        (own_data / "images" / "disc" / f"{number}.png").unlink()
    message = command(data=own_data).error()
    assert "images/disc/0.npz: expected a paired image for the teacher, got event alone" in message


def test_a_damaged_file_is_named(command, own_data):
    path = own_data / "images" / "disc" / "0.png"
    path.write_bytes(path.read_bytes()[:100])
    message = command("teacher=", 'losses=[{"use":"prediction"}]', data=own_data).error()
    assert "images/disc/0.png" in message


def test_a_loss_that_is_not_finite_names_its_batch_and_keeps_the_last_state(command, tmp_path, monkeypatch):
    train_step = engine.TrainingRun.train_step

    def inject_nan(self, module, optimiser, numbers, inputs, epoch, step, lr):
        return train_step(self, module, optimiser, numbers, inputs * (np.nan if step == 4 else 1), epoch, step, lr)

    monkeypatch.setattr(engine.TrainingRun, "train_step", inject_nan)
    message = command(*IMAGE, "checkpoint_steps=1").error()
    order = shuffle_epoch(18, 0, 1)[6:9]
    names = [f"images/{shape}/{number}.png" for shape in ("bar", "disc", "ring") for number in range(6)]
    assert f"the loss is nan at epoch 1, batch 1 ({', '.join(names[number] for number in order)}, ...)" in message
    assert f"{tmp_path / 'run' / 'state.safetensors'} is the last good state" in message
    state = load_file(tmp_path / "run" / "state.safetensors")
    assert all(value.isfinite().all() for value in state.values())
    assert [line["step"] for line in read_log(tmp_path / "run") if line["kind"] == "step"] == [0, 1, 2, 3]
    monkeypatch.setattr(engine.TrainingRun, "train_step", train_step)
    assert command(*IMAGE, "checkpoint_steps=1", "--resume").code == 0


@pytest.mark.parametrize("clip", [0, 1])
def test_divergence_is_one_line_and_keeps_finite_weights(command, tmp_path, clip):
    message = command(*AUGMENTED, "optimiser.lr=1e30", "epochs=4", f"optimiser.clip={clip}").error()
    assert "is nan" in message or "is inf" in message or "is not finite" in message
    for name in ("state", "last", "best"):
        path = tmp_path / "run" / f"{name}.safetensors"
        assert not path.exists() or all(value.isfinite().all() for value in load_file(path).values())


def test_a_gradient_that_is_not_finite_is_an_error(command, tmp_path, monkeypatch):
    sum_terms = engine.WeightedSum.sum_terms

    def add_root(self, values):
        return sum_terms(self, values) + (0 * values["contrastive"]).sqrt()  # finite; its gradient is not

    monkeypatch.setattr(engine.WeightedSum, "sum_terms", add_root)
    message = command(*IMAGE, "optimiser.clip=1").error()
    assert "the gradient norm is nan at epoch 0, batch 0" in message


def test_divergence_before_the_first_state_says_so(command, monkeypatch):
    monkeypatch.setattr(engine.WeightedSum, "sum_terms", lambda self, values: torch.tensor(float("inf")))
    assert "the loss is inf at epoch 0, batch 0" in (message := command(*IMAGE).error())
    assert "no state was saved yet" in message


def test_weights_that_are_not_finite_are_not_saved(command, tmp_path, monkeypatch):
    """The weights become NaN after the last step of an epoch, so that no loss of that epoch is NaN."""
    update = engine.WeightAverage.update

    def inject_nan(self, step):
        update(self, step)
        if step == 5:
            next(self.module.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(engine.WeightAverage, "update", inject_nan)
    assert "is not finite after epoch 2, batch 0" in command(*IMAGE).error()
    for name in ("last", "state"):
        assert all(value.isfinite().all() for value in load_file(tmp_path / "run" / f"{name}.safetensors").values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::anybind.AnybindWarning")  # the store warns, and is then unused
def test_a_run_ended_by_a_full_disk_can_be_resumed(command, tmp_path, world, train):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, hard))
        message = command("checkpoint_steps=1").error()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write" in message
    assert "state.safetensors" in message
    assert not list((tmp_path / "run").glob(".anybind-*"))
    assert command("checkpoint_steps=1").code == 0
    assert [line["step"] for line in read_log(tmp_path / "run")] == [-1, 0, 1, 2, 2, 3, 4, 5, 5]


def test_an_output_that_is_a_file_is_rejected(command, tmp_path):
    (tmp_path / "run").touch()
    assert re.search("run: cannot create the folder", command().error())


def test_a_uniform_image_without_events_is_named(command, own_data):
    PIL.Image.new("RGB", (40, 40)).save(own_data / "images" / "disc" / "0.png")
    assert "images/disc/0.png: the recording is empty" in command("cache_inputs=true", data=own_data).error()


def test_a_teacher_in_another_space_needs_the_common_space(world):
    class TwoSpaces:
        def encoder(self, modality):
            return SimpleNamespace(space=anybind.Space(modality, 4, "none"))

    own, common = ({"use": "cosine", "space": space} for space in ("own", "common"))
    check_spaces(TwoSpaces(), world.parse_recipe(), WeightedSum.from_recipe([common]))
    check_spaces(TwoSpaces(), world.parse_recipe("teacher=event"), WeightedSum.from_recipe([own]))
    with pytest.raises(SpaceMismatch, match=r"the student is in .*event.*, its teacher in .*image"):
        check_spaces(TwoSpaces(), world.parse_recipe(), WeightedSum.from_recipe([common, own]))
