"""Training runs: losses, frozen encoders, outputs, and errors."""

from __future__ import annotations

import json
import re
import resource
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
from anybind_train import train as train_from_recipe
from anybind_train.checks import check_spaces
from anybind_train.data import shuffle_epoch
from anybind_train.devices import tuned_cpu
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.metrics_log import read_log
from anybind_train.probe import build_probe, get_source_key
from anybind_train.student import load_student_binder

IMAGE = ("modality=image", "student.options={}")
AUGMENTED = (*IMAGE, 'augment.image={"crop":[0.5,1.0],"flip":true}')


@pytest.mark.slow
def test_the_contrastive_loss_decreases(train):
    losses = train(
        "epochs=30",
        "batch_size=18",
        "cache_inputs=true",
        "probe.every=30",
        'losses=[{"use":"contrastive","temperature":0.2}]',
    ).read_losses()
    assert len(losses) == 30
    assert np.mean(losses[-3:]) < np.log(18) / 2 < np.log(18) < losses[0]


def test_the_saved_weights_are_the_trained_ones(train, world):
    finished = train()
    trained = finished.run.student.module.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in finished.load_weights().items())
    loaded = load_student_binder(
        world.parse_recipe(f"student.weights={finished.output / 'last.safetensors'}"), "cpu"
    ).encoder("event")
    assert loaded.identity == finished.result["encoder"]
    untrained = load_student_binder(world.parse_recipe(), "cpu").encoder("event")
    assert loaded.identity != untrained.identity


def test_every_step_logs_losses_learning_rate_and_epoch(train):
    finished = train("optimiser.warmup_epochs=1")
    lines = finished.read_log()
    assert [(line["step"], line["epoch"]) for line in lines] == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]
    assert [line["lr"] for line in lines[:4]] == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2, 1e-2])
    for line in lines:
        assert line["loss"] == pytest.approx(line["contrastive"] + 0.1 * line["zero-shot"], rel=1e-6)
    assert [(line["epoch"], line["step"]) for line in finished.read_log("probe")] == [(0, -1), (1, 2), (2, 5)]


@pytest.mark.slow
def test_the_seed_determines_the_run(train, tmp_path):
    first, again, other = (
        train(*AUGMENTED, f"seed={seed}", output=tmp_path / name) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first.read_losses() == again.read_losses()
    assert all(torch.equal(value, again.load_weights()[name]) for name, value in first.load_weights().items())
    assert first.read_losses() != other.read_losses()


def test_teacher_and_text_encoder_are_frozen(train, world):
    finished = train()
    fresh = anybind.load(world.binding)
    for modality in ("image", "text"):
        assert finished.run.binder.encoder(modality).weights_hash == fresh.encoder(modality).weights_hash


@pytest.mark.slow
def test_a_second_run_reads_the_teacher_cache(train, tmp_path, monkeypatch):
    from anybind_openclip.encoders import OpenClipImageEncoder as ImageEncoder

    calls, encode = [], ImageEncoder.encode
    monkeypatch.setattr(ImageEncoder, "encode", lambda self, inputs: calls.append(len(inputs)) or encode(self, inputs))
    first = train("epochs=3", output=tmp_path / "a", teacher_cache=tmp_path / "cache")
    assert calls == [18]
    again = train("epochs=3", output=tmp_path / "b", teacher_cache=tmp_path / "cache")
    assert calls == [18]
    assert first.read_losses() == again.read_losses()
    assert not (tmp_path / "a" / "cache").exists()


@pytest.mark.slow
def test_a_teacher_without_cache_gives_the_same_losses(train, tmp_path):
    changes = ("variants=2", 'augment.image={"crop":[0.6,0.9]}')
    cached, fresh = (train(*changes, output=tmp_path / str(cache), cache_teacher=cache) for cache in (True, False))
    assert fresh.read_losses() == pytest.approx(cached.read_losses(), rel=1e-4)
    assert not list((tmp_path / "False").rglob("teacher-*"))


def test_a_student_of_its_own_teacher_leaves_the_teacher_frozen(train, tmp_path):
    """The trained weights are loaded into the binding's encoder; the teacher of that modality is a copy."""
    cached, fresh = (
        train(*AUGMENTED, "epochs=3", output=tmp_path / str(cache), cache_teacher=cache) for cache in (True, False)
    )
    assert fresh.read_losses() == pytest.approx(cached.read_losses(), rel=1e-4)


@pytest.mark.slow
def test_cached_inputs_give_nearly_the_same_losses(train, tmp_path):
    cached, fresh = (train(f"cache_inputs={cache}", output=tmp_path / cache) for cache in ("true", "false"))
    assert cached.read_losses() == pytest.approx(fresh.read_losses(), rel=2e-2)
    assert cached.read_losses() != fresh.read_losses()


def test_the_best_and_the_last_epoch_are_saved(train, monkeypatch):
    scores = iter((0.9, 0.2, 0.6, 0.6, 0.4))  # epoch 0, the untrained encoder, is never the best
    monkeypatch.setattr(engine, "run_probe", lambda *arguments: {"top1": next(scores)})
    states = {}
    end_epoch = engine.TrainingRun._end_epoch

    def record_state(self, epoch, log):
        end_epoch(self, epoch, log)
        if epoch:
            states[epoch] = load_file(self.output / "last.safetensors")

    monkeypatch.setattr(engine.TrainingRun, "_end_epoch", record_state)
    finished = train(*IMAGE, "epochs=4")
    assert finished.run.progress.best == 0.6
    best = finished.load_weights("best")
    assert [n for n, state in states.items() if all(torch.equal(state[name], best[name]) for name in best)] == [2]
    assert [probe["top1"] for probe in finished.result["probes"]] == [0.9, 0.2, 0.6, 0.6, 0.4]


def test_the_probe_runs_every_n_epochs_and_at_the_end(train):
    finished = train(*IMAGE, "epochs=5", "probe.every=2")
    assert [probe["epoch"] for probe in finished.result["probes"]] == [0, 2, 4, 5]


def test_a_run_without_a_probe_saves_the_last_epoch(train):
    finished = train(*IMAGE, probe=False)
    assert finished.result["probes"] == []
    assert sorted(path.name for path in finished.output.glob("*.safetensors")) == [
        "last.safetensors",
        "state.safetensors",
    ]


def test_the_weight_average_is_saved(train):
    finished = train(*AUGMENTED, "student.ema_decay=0.9")
    mean, own = finished.run.weight_average.state, finished.run.student.module.state_dict()
    saved = finished.load_weights()
    assert all(torch.equal(value, mean[name]) for name, value in saved.items() if name in mean)
    assert not all(torch.equal(value, own[name]) for name, value in saved.items())


def test_a_loss_on_texts_needs_no_teacher(train):
    finished = train(
        *IMAGE, "teacher=", 'losses=[{"use":"prediction"}]', "optimiser.lr=1e-3", "epochs=6", "optimiser.clip=1"
    )
    losses = finished.read_losses()
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert not (finished.output / "cache").exists()


def test_samples_without_labels_can_be_trained_on(train):
    data = 'data=[{"dataset":"files","path":"images"}]'
    finished = train(data, "batch_size=8", "epochs=5", 'losses=[{"use":"cosine"}]', "cache_inputs=true", probe=False)
    assert finished.result["samples"] == 24
    assert np.mean(finished.read_losses()[-3:]) < np.mean(finished.read_losses()[:3])


def test_mixed_precision_trains(train):
    finished = train(*AUGMENTED, "precision=bf16-mixed", "student.ema_decay=0.5")
    assert np.isfinite(finished.read_losses()).all()
    assert all(value.dtype == torch.float32 for value in finished.load_weights().values())


def test_pure_half_precision_with_an_average_trains(train):
    finished = train(*AUGMENTED, "precision=bf16-true", "student.ema_decay=0.5")
    assert np.isfinite(finished.read_losses()).all()


@pytest.mark.slow
def test_the_function_gives_what_the_command_prints(command, world, tmp_path):
    printed = json.loads(command("--json", "epochs=1", "--seed", "3").out)
    result = train_from_recipe(world.recipe, world.data, tmp_path / "mine", overrides=["epochs=1"], seed=3)
    own = {"weights": str(tmp_path / "mine" / "last.safetensors")}
    assert {**result.record, **own} == {**printed, **own}
    assert (result.weights, result.encoder) == (tmp_path / "mine" / "last.safetensors", printed["encoder"])
    assert result.metrics[result.main_metric] == printed["probes"][-1][result.main_metric]


@pytest.mark.slow
def test_the_command_writes_weights_state_logs_and_result(command, tmp_path):
    outcome = command("--json", "probe.every=1")
    assert (outcome.code, outcome.err) == (0, "")
    result = json.loads(outcome.out)
    output = tmp_path / "run"
    assert result == json.loads((output / "result.json").read_text())
    assert (result["samples"], result["classes"], result["epochs"], result["steps"]) == (18, 3, 2, 6)
    assert [probe["epoch"] for probe in result["probes"]] == [0, 1, 2]
    assert result["weights"] == str(output / "last.safetensors")
    names = {path.name for path in output.iterdir() if not path.name.startswith("best")}
    assert names == {
        "binding.toml",
        "cache",
        "last.safetensors",
        "metrics.jsonl",
        "result.json",
        "state.safetensors",
        "tensorboard",
        "training.png",
    }
    assert (output / "best.safetensors").is_file()
    assert [line["kind"] for line in read_log(output)] == ["probe", *["step"] * 3, "probe", *["step"] * 3, "probe"]
    with PIL.Image.open(output / "training.png") as image:
        assert image.format == "PNG"


def test_the_command_prints_probes_and_files(command, tmp_path):
    outcome = command(*IMAGE, "--seed", "4", "name=my run")
    assert (outcome.code, outcome.err) == (0, "")
    assert "my run: 6 steps" in outcome.out
    assert "probe: top1" in outcome.out
    assert f"{tmp_path / 'run'}: weights, metrics.jsonl, training.png" in outcome.out.replace("\n", "")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["recipe_hash"] != ""


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


def test_the_probe_may_exclude_training_samples(world):
    recipe = world.parse_recipe('probe.classes=["disc","bar"]', "probe.held_out=true", "data.0.shots=2")
    paths = [world.data / "images" / "disc" / f"{number}.png" for number in range(2)]
    dataset = build_probe(recipe, world.data, {get_source_key(Item(path.name, path)) for path in paths}).dataset
    assert [item.id for item in dataset.items if item.label == "disc"] == [f"disc/{n}.png" for n in range(2, 6)]
    assert dataset.classes == ["bar", "disc"]


def test_the_probe_may_have_candidate_labels(world):
    labels = [
        build_probe(world.parse_recipe(*override), world.data, set()).task.candidate_labels
        for override in ([], ["probe.candidate_labels=all"], ['probe.candidate_labels=["beam","Cross","ring"]'])
    ]
    assert labels == [None, ["bar", "beam", "cross", "disc", "ring"], ["beam", "cross", "ring"]]


def test_a_teacher_in_another_space_needs_the_common_space(world):
    class TwoSpaces:
        def encoder(self, modality):
            return SimpleNamespace(space=anybind.Space(modality, 4, "none"))

    own, common = ({"use": "cosine", "space": space} for space in ("own", "common"))
    check_spaces(TwoSpaces(), world.parse_recipe(), WeightedSum.from_recipe([common]))
    check_spaces(TwoSpaces(), world.parse_recipe("teacher=event"), WeightedSum.from_recipe([own]))
    with pytest.raises(SpaceMismatch, match=r"the student is in .*event.*, its teacher in .*image"):
        check_spaces(TwoSpaces(), world.parse_recipe(), WeightedSum.from_recipe([common, own]))


def test_training_alone_has_no_denormal_numbers():
    def is_flushed() -> bool:
        return float(torch.tensor(1e-39) * 0.5) == 0

    before = is_flushed()
    with tuned_cpu():
        assert is_flushed()
        with tuned_cpu():
            assert is_flushed()
        assert is_flushed()
    assert is_flushed() == before
