"""Runs: what they learn, what they leave alone, what they write, and how they fail."""

from __future__ import annotations

import json
import re
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file

import anybind
from anybind.dataset import Item
from anybind.errors import SpaceMismatch
from anybind_train import engine
from anybind_train import train as train_by_recipe
from anybind_train.checks import check_spaces
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.probe import probe_of, source_key
from anybind_train.student import student_binder

IMAGE = ("modality=image", "student.options={}")
AUGMENTED = (*IMAGE, 'augment.image={"crop":[0.5,1.0],"flip":true}')


@pytest.fixture
def own_data(world, tmp_path):
    """A copy of the data that a test may change."""
    return Path(shutil.copytree(world.data, tmp_path / "data"))


@pytest.fixture
def scripted_probe(monkeypatch):
    """A probe that gives these values, one a call, and does not ask the tower."""

    def script(*values):
        coming = iter(values)
        monkeypatch.setattr(engine, "ask_probe", lambda *arguments: {"top1": next(coming)})

    return script


@pytest.mark.slow
def test_the_contrastive_loss_falls_clearly(train):
    losses = train(
        "epochs=30",
        "batch_size=18",
        "cache_inputs=true",
        "probe.every=30",
        'losses=[{"use":"contrastive","temperature":0.2}]',
    ).losses()
    assert len(losses) == 30
    assert np.mean(losses[-3:]) < np.log(18) / 2 < np.log(18) < losses[0]


def test_what_is_learned_is_what_is_saved_and_what_the_binding_then_embeds(train, world):
    ran = train()
    learned = ran.run.student.module.state_dict()
    assert all(torch.equal(value, learned[name]) for name, value in ran.weights().items())
    loaded = student_binder(world.plan(f"student.weights={ran.output / 'last.safetensors'}"), "cpu").encoder("event")
    assert loaded.identity == ran.result["encoder"]
    untrained = student_binder(world.plan(), "cpu").encoder("event")
    assert loaded.identity != untrained.identity


def test_every_step_tells_its_losses_rate_and_epoch(train):
    ran = train("optimiser.warmup_epochs=1")
    lines = ran.lines()
    assert [(line["step"], line["epoch"]) for line in lines] == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]
    assert [line["lr"] for line in lines[:4]] == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2, 1e-2])
    for line in lines:
        assert line["loss"] == pytest.approx(line["contrastive"] + 0.1 * line["zero-shot"], rel=1e-6)
    assert [(line["epoch"], line["step"]) for line in ran.lines("probe")] == [(0, -1), (1, 2), (2, 5)]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_does_not(train, tmp_path):
    first, again, other = (
        train(*AUGMENTED, f"seed={seed}", output=tmp_path / name) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first.losses() == again.losses()
    assert all(torch.equal(value, again.weights()[name]) for name, value in first.weights().items())
    assert first.losses() != other.losses()


def test_the_teacher_is_never_changed(train, world):
    ran = train()
    fresh = anybind.load(world.binding)
    for modality in ("image", "text"):
        assert ran.run.binder.encoder(modality).weights_hash == fresh.encoder(modality).weights_hash


@pytest.mark.slow
def test_the_teacher_is_computed_once_and_another_run_reads_it(train, tmp_path, monkeypatch):
    from anybind_openclip.encoders import OpenClipImageEncoder

    calls, encode = [], OpenClipImageEncoder.encode
    monkeypatch.setattr(OpenClipImageEncoder, "encode", lambda self, inputs: calls.append(len(inputs)) or encode(self, inputs))
    first = train("epochs=3", output=tmp_path / "a", cache=tmp_path / "cache")
    assert calls == [18]
    again = train("epochs=3", output=tmp_path / "b", cache=tmp_path / "cache")
    assert calls == [18]
    assert first.losses() == again.losses()
    assert not (tmp_path / "a" / "cache").exists()


@pytest.mark.slow
def test_a_teacher_computed_at_every_step_gives_the_same_losses(train, tmp_path):
    changes = ("variants=2", 'augment.image={"crop":[0.6,0.9]}')
    kept, made = (train(*changes, output=tmp_path / str(keep), cache_teacher=keep) for keep in (True, False))
    assert made.losses() == pytest.approx(kept.losses(), rel=1e-4)
    assert not list((tmp_path / "False").rglob("teacher-*"))


def test_a_tower_that_teaches_itself_stays_the_teacher_that_it_was(train, tmp_path):
    """The binding's tower of the modality takes over what is learned; its vectors as a teacher must not."""
    kept, made = (
        train(*AUGMENTED, "epochs=3", output=tmp_path / str(keep), cache_teacher=keep) for keep in (True, False)
    )
    assert made.losses() == pytest.approx(kept.losses(), rel=1e-4)


@pytest.mark.slow
def test_kept_inputs_give_nearly_the_same_losses(train, tmp_path):
    kept, made = (train(f"cache_inputs={keep}", output=tmp_path / keep) for keep in ("true", "false"))
    assert kept.losses() == pytest.approx(made.losses(), rel=2e-2)
    assert kept.losses() != made.losses()


def test_the_best_epoch_by_the_probe_is_kept_beside_the_last(train, scripted_probe, monkeypatch):
    scripted_probe(0.9, 0.2, 0.6, 0.6, 0.4)  # epoch 0, the untrained tower, is never the best
    of_epoch = {}
    ask = engine.Run._ask

    def remember(self, epoch, records):
        ask(self, epoch, records)
        if epoch:
            of_epoch[epoch] = load_file(self.output / "last.safetensors")

    monkeypatch.setattr(engine.Run, "_ask", remember)
    ran = train(*IMAGE, "epochs=4")
    assert ran.run.place.best == 0.6
    same = [
        epoch
        for epoch, state in of_epoch.items()
        if all(torch.equal(state[name], each) for name, each in ran.weights("best").items())
    ]
    assert same == [2]
    assert [probe["top1"] for probe in ran.result["probes"]] == [0.9, 0.2, 0.6, 0.6, 0.4]


def test_the_probe_is_asked_as_often_as_the_recipe_says_and_at_the_end(train):
    ran = train(*IMAGE, "epochs=5", "probe.every=2")
    assert [probe["epoch"] for probe in ran.result["probes"]] == [0, 2, 4, 5]


def test_a_run_without_a_probe_keeps_the_last_epoch(train):
    ran = train(*IMAGE, probe=False)
    assert ran.result["probes"] == []
    assert sorted(path.name for path in ran.output.glob("*.safetensors")) == ["last.safetensors", "state.safetensors"]


def test_the_average_of_the_weights_is_what_is_saved_and_asked(train):
    ran = train(*AUGMENTED, "student.average=0.9")
    mean, own = ran.run.average.state, ran.run.student.module.state_dict()
    saved = ran.weights()
    assert all(torch.equal(value, mean[name]) for name, value in saved.items() if name in mean)
    assert not all(torch.equal(value, own[name]) for name, value in saved.items())


def test_a_loss_by_words_alone_needs_no_teacher(train):
    ran = train(
        *IMAGE, "teacher=", 'losses=[{"use":"prediction"}]', "optimiser.lr=1e-3", "epochs=6", "optimiser.clip=1"
    )
    losses = ran.losses()
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert not (ran.output / "cache").exists()


def test_samples_without_labels_can_be_learned_from(train):
    data = 'data=[{"dataset":"files","path":"pictures"}]'
    ran = train(data, "batch_size=8", "epochs=5", 'losses=[{"use":"cosine"}]', "cache_inputs=true", probe=False)
    assert ran.result["samples"] == 24
    assert np.mean(ran.losses()[-3:]) < np.mean(ran.losses()[:3])


def test_in_half_precision_a_run_goes_through(train):
    ran = train(*AUGMENTED, "precision=bf16-mixed", "student.average=0.5")
    assert np.isfinite(ran.losses()).all()
    assert all(value.dtype == torch.float32 for value in ran.weights().values())


def test_in_pure_half_precision_with_an_average_a_run_goes_through(train):
    ran = train(*AUGMENTED, "precision=bf16-true", "student.average=0.5")
    assert np.isfinite(ran.losses()).all()


@pytest.mark.slow
def test_the_function_gives_what_the_command_prints(command, world, tmp_path):
    printed = json.loads(command("--json", "epochs=1", "--seed", "3").out)
    result = train_by_recipe(world.recipe, world.data, tmp_path / "mine", changes=["epochs=1"], seed=3)
    own = {"weights": str(tmp_path / "mine" / "last.safetensors")}
    assert {**result.record, **own} == {**printed, **own}
    assert (result.weights, result.encoder) == (tmp_path / "mine" / "last.safetensors", printed["encoder"])
    assert result.metrics[result.main_metric] == printed["probes"][-1][result.main_metric]


@pytest.mark.slow
def test_a_run_by_the_command_leaves_all_that_it_should(command, tmp_path):
    ended = command("--json", "probe.every=1")
    assert (ended.code, ended.err) == (0, "")
    result = json.loads(ended.out)
    output = tmp_path / "run"
    assert result == json.loads((output / "result.json").read_text())
    assert (result["samples"], result["classes"], result["epochs"], result["steps"]) == (18, 3, 2, 6)
    assert [probe["epoch"] for probe in result["probes"]] == [0, 1, 2]
    assert result["weights"] == str(output / "last.safetensors")
    names = {path.name for path in output.iterdir() if not path.name.startswith("best")}
    assert names == {
        "cache",
        "last.safetensors",
        "metrics.jsonl",
        "result.json",
        "state.safetensors",
        "tensorboard",
        "training.png",
    }
    assert (output / "best.safetensors").is_file()
    kinds = [json.loads(line)["kind"] for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert kinds == ["probe", *["step"] * 3, "probe", *["step"] * 3, "probe"]
    with PIL.Image.open(output / "training.png") as picture:
        assert picture.format == "PNG"


def test_the_command_says_in_words_what_came_out(command, tmp_path):
    ended = command(*IMAGE, "--seed", "4", "name=my run")
    assert (ended.code, ended.err) == (0, "")
    assert "my run: 6 steps" in ended.out
    assert "probe: top1" in ended.out
    assert f"{tmp_path / 'run'}: weights, metrics.jsonl, training.png" in ended.out.replace("\n", "")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["recipe_hash"] != ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (["epoch=3"], "unknown key 'epoch'; did you mean 'epochs'"),
        (["--set", "nonsense"], "a change is given as KEY=VALUE, got 'nonsense'"),
        (["losses=papre"], "there is no preset of losses 'papre'; did you mean 'paper'"),
        (['losses=[{"use":"contrastve"}]'], "there is no loss 'contrastve'; did you mean 'contrastive'"),
        (['losses=[{"use":"contrastive","temprature":1}]'], "1 \\(contrastive\\): .*temprature.*temperature"),
        (["binding=clip-vit-b-23"], "there is no binding 'clip-vit-b-23'; did you mean 'clip-vit-b-32'"),
        (["modality=evnt"], "has no encoder for 'evnt'; did you mean 'event'"),
        (["teacher=imgae"], "has no encoder for 'imgae'; did you mean 'image'"),
        (["data.0.dataset=foldr"], "there is no dataset 'foldr'; did you mean 'folder'"),
        (["data.0.path=pictrues"], "pictrues is no folder"),
        (['data.0.classes=["disk"]'], "has no class 'disk'; did you mean 'disc'"),
        (["probe.task=zero-shto"], "there is no task 'zero-shto'; did you mean 'zero-shot'"),
        (["probe.metric=top2"], "gives no 'top2'; did you mean 'top5' or 'top1'"),
        (["student.options.representation=papper"], "there is no representation 'papper'; did you mean 'paper'"),
        (["student.weights=absent.safetensors"], "cannot read absent.safetensors"),
        (["student.average=1"], "student.average must be from 0 to below 1"),
        (["precision=33-true"], "cannot train on cpu"),
        (["augment.image.flop=true"], "augment.image: .*flop"),
        (["templates=[]"], "give at least one template"),
        (['templates=["a photo"]'], "needs {} where the class name goes"),
        (["teacher="], "a loss of the recipe needs a teacher: name one"),
        (["batch_size=1"], "batch_size is 1, but a loss of the recipe compares the samples of a batch"),
        (["batch_size=19"], "there are 18 samples to train on, fewer than a batch of 19"),
        (["data.0.shots=7"], "the class 'bar' has 6 samples, fewer than 7 shots"),
        (['data.0.classes=["disc"]'], "fewer than two classes; a loss that compares with words needs them"),
        (['losses=[{"use":"prediction"}]', 'data.0.classes=["disc"]'], "has 1 classes; a loss by labels needs at least two"),
        (['probe.classes=["disc","cross"]'], r"the probe asks about 6 samples that are trained on \(disc/0.png, ...\)"),
        (["--strategy", "nonsense"], "cannot train on cpu with the strategy nonsense"),
        (["--device", "abacus"], "cannot train on abacus"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_before_the_first_step(command, tmp_path, changes, problem):
    assert re.search(problem, command(*changes).error())
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_samples_that_do_not_pair_are_named(command, own_data, tmp_path):
    for number in range(6):
        picture = anybind.read(own_data / "pictures" / "disc" / f"{number}.png")
        anybind.write(anybind.derive("event", picture), own_data / "pictures" / "disc" / f"{number}.npz")
        (own_data / "pictures" / "disc" / f"{number}.png").unlink()
    said = command(data=own_data).error()
    assert "pictures/disc/0.npz does not pair: it is event and has no image beside it for the teacher" in said


def test_a_damaged_file_is_named_when_its_batch_comes(command, own_data):
    path = own_data / "pictures" / "disc" / "0.png"
    path.write_bytes(path.read_bytes()[:100])
    said = command("teacher=", 'losses=[{"use":"prediction"}]', data=own_data).error()
    assert "pictures/disc/0.png is no complete picture" in said


def test_a_loss_that_is_no_number_names_its_batch_and_keeps_the_last_good_state(command, tmp_path, monkeypatch):
    step = engine.Run.step

    def spoil(self, module, optimiser, numbers, inputs, epoch, number, rate):
        return step(
            self, module, optimiser, numbers, inputs * (float("nan") if number == 4 else 1), epoch, number, rate
        )

    monkeypatch.setattr(engine.Run, "step", spoil)
    said = command(*IMAGE, "checkpoint_steps=1").error()
    order = engine.epoch_order(18, 0, 1)[6:9]
    names = [f"pictures/{shape}/{number}.png" for shape in ("bar", "disc", "ring") for number in range(6)]
    assert f"the loss is nan at epoch 1, batch 1 ({', '.join(names[number] for number in order)}, ...)" in said
    assert f"{tmp_path / 'run' / 'state.safetensors'} is the last good state" in said
    state = load_file(tmp_path / "run" / "state.safetensors")
    assert all(value.isfinite().all() for value in state.values())
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "step"] == [0, 1, 2, 3]
    monkeypatch.setattr(engine.Run, "step", step)
    assert command(*IMAGE, "checkpoint_steps=1", "--resume").code == 0


@pytest.mark.parametrize("clip", [0, 1])
def test_a_rate_far_too_high_ends_in_one_line_with_what_was_good_kept(command, tmp_path, clip):
    said = command(*AUGMENTED, "optimiser.lr=1e30", "epochs=4", f"optimiser.clip={clip}").error()
    assert "is nan" in said or "is inf" in said or "is not finite" in said
    for name in ("state", "last", "best"):
        path = tmp_path / "run" / f"{name}.safetensors"
        assert not path.exists() or all(value.isfinite().all() for value in load_file(path).values())


def test_a_gradient_that_is_no_number_is_not_clipped_but_told(command, tmp_path, monkeypatch):
    total = engine.WeightedSum.total

    def steep(self, values):
        return total(self, values) + (0 * values["contrastive"]).sqrt()  # finite, and without a slope

    monkeypatch.setattr(engine.WeightedSum, "total", steep)
    said = command(*IMAGE, "optimiser.clip=1").error()
    assert "the gradient's norm is nan at epoch 0, batch 0" in said


def test_before_the_first_state_it_is_said_that_there_is_none(command, monkeypatch):
    monkeypatch.setattr(engine.WeightedSum, "total", lambda self, values: torch.tensor(float("inf")))
    assert "the loss is inf at epoch 0, batch 0" in (said := command(*IMAGE).error())
    assert "no state was kept yet" in said


def test_weights_that_are_no_numbers_replace_no_good_ones(command, tmp_path, monkeypatch):
    """The last step of an epoch spoils the weights: no batch of that epoch shows it."""
    update = engine.Average.update

    def spoil(self, step):
        update(self, step)
        if step == 5:
            next(self.module.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(engine.Average, "update", spoil)
    assert "is not finite after epoch 2, batch 0" in command(*IMAGE).error()
    for name in ("last", "state"):
        assert all(value.isfinite().all() for value in load_file(tmp_path / "run" / f"{name}.safetensors").values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::anybind.AnybindWarning")  # of the store, which goes on without
def test_a_full_disk_ends_the_run_in_one_line_and_it_can_go_on(command, tmp_path, world, train):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, hard))
        said = command("checkpoint_steps=1").error()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write" in said
    assert "state.safetensors" in said
    assert not list((tmp_path / "run").glob(".anybind-*"))
    assert command("checkpoint_steps=1").code == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [-1, 0, 1, 2, 2, 3, 4, 5, 5]


def test_an_output_that_is_a_file_is_named(command, tmp_path):
    (tmp_path / "run").touch()
    assert re.search("cannot make the folder .*run", command().error())


def test_an_even_picture_of_which_no_events_come_is_named(command, own_data):
    PIL.Image.new("RGB", (40, 40)).save(own_data / "pictures" / "disc" / "0.png")
    assert "pictures/disc/0.png: the recording is empty" in command("cache_inputs=true", data=own_data).error()


def test_the_probe_may_hold_out_what_is_trained_on(world):
    plan = world.plan('probe.classes=["disc","bar"]', "probe.held_out=true", "data.0.shots=2")
    pictures = [world.data / "pictures" / "disc" / f"{number}.png" for number in range(2)]
    trained = {source_key(Item(path.name, path)) for path in pictures}
    question = probe_of(plan, world.data, trained)
    assert [item.id for item in question.dataset.items if item.label == "disc"] == [
        f"disc/{number}.png" for number in range(2, 6)
    ]
    assert question.dataset.classes == ["bar", "disc"]


def test_the_probe_may_ask_among_all_classes_or_some(world):
    among = [
        probe_of(world.plan(*change), world.data, set()).task.among
        for change in ([], ["probe.among=all"], ['probe.among=["beam","Cross","ring"]'])
    ]
    assert among == [None, ["bar", "beam", "cross", "disc", "ring"], ["beam", "cross", "ring"]]


def test_a_teacher_in_another_space_is_compared_in_the_common_one_only(world):
    class Two:
        def encoder(self, modality):
            return SimpleNamespace(space=anybind.Space(modality, 4, "none"))

    own, common = ({"use": "cosine", "space": space} for space in ("own", "common"))
    check_spaces(Two(), world.plan(), WeightedSum.from_recipe([common]))
    check_spaces(Two(), world.plan("teacher=event"), WeightedSum.from_recipe([own]))
    with pytest.raises(SpaceMismatch, match=r"the student is in .*event.*, its teacher in .*image"):
        check_spaces(Two(), world.plan(), WeightedSum.from_recipe([common, own]))
