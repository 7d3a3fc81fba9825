"""Training runs: losses, frozen encoders, and outputs."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file

import anybind
from anybind.dataset import Item
from anybind_train import engine
from anybind_train import train as train_from_recipe
from anybind_train.devices import tuned_cpu
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
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["recipe_hash"] != ""
    assert result["settings"]["seed"] == 4
    assert result["versions"].keys() >= {"anybind", "python", "torch"}


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


def test_training_alone_has_no_denormal_numbers():
    def is_flushed() -> bool:
        return float(torch.tensor(1e-39) * 0.5) == 0

    before, optimiser = is_flushed(), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    with tuned_cpu(optimiser):
        assert is_flushed()
        with tuned_cpu(optimiser):
            assert is_flushed()
        assert is_flushed()
    assert is_flushed() == before
