"""Interrupted runs that are resumed end like uninterrupted ones, bit-exactly."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.forkserver
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn import functional

from anybind.cli import main
from anybind.torch_encoder import TorchEncoder
from anybind_train import engine
from anybind_train.metrics_log import MetricsLog, read_log
from anybind_train.student import StudentModule

IMAGE = ("modality=image", "student.options={}", "probe.every=8")
# Each of these has randomness or state that a resumed run must restore.
RUNS = {
    "plain": (*IMAGE, "cache_inputs=true"),
    "augmented each epoch, averaged": (*IMAGE, 'augment.image={"crop":[0.5,1.0],"flip":true}', "student.ema_decay=0.9"),
    "versions, averaged": (
        "variants=2",
        'augment.image={"crop":[0.6,0.9]}',
        "augment.event.shift=3",
        "student.ema_decay=0.9",
    ),
    "lora": (*IMAGE, 'augment.image={"crop":[0.5,1.0]}', "student.method=lora", "student.rank=2"),
    "some layers": (*IMAGE, 'student.train=["visual.ln_post","visual.proj"]', "optimiser.warmup_epochs=1"),
    "learned temperatures": (
        *IMAGE,
        'augment_input={"crop":[0.5,1.0],"flip":true}',
        'losses=[{"use":"contrastive","temperature":0.2,"learn_temperature":true},'
        '{"use":"zero-shot","target":"label","learn_temperature":true}]',
    ),
    "authors' code, mended": (*IMAGE, "losses=author-code-mended", "optimiser.base_batch=256"),
    "momentum target": (*IMAGE, "optimiser.momentum_target=0.5", "optimiser.lr=1.0"),
    "prompts": (*IMAGE, "student.method=prompts", 'losses=[{"use":"prediction"}]', "teacher="),
    "weights and prompts": (
        *IMAGE,
        "student.method=joint",
        'student.train=["visual.proj"]',
        'losses=[{"use":"prediction"}]',
        "teacher=",
    ),
}
PRELOADED = [
    "anybind.cli",
    "anybind_events.encoder",
    "anybind_openclip.encoders",
    "anybind_classification.zero_shot",
    "anybind_train.train_command",
    "matplotlib.pyplot",
    "torch.utils.tensorboard",
]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Interruption(BaseException):
    """An exception that no handler catches."""


def read_output(output: Path) -> dict[str, Any]:
    """Read all files of a run, without paths and times, which differ between runs."""
    result = json.loads((output / "result.json").read_text())
    with safe_open(output / "state.safetensors", framework="pt") as file:
        progress = json.loads((file.metadata() or {})["anybind"])
    return {
        "files": {path.name: path.read_bytes() for path in output.glob("*.safetensors") if path.name != engine.STATE},
        "temporary": [path.name for path in output.rglob(".*")],
        "state": load_file(output / engine.STATE),
        "progress": progress,
        "lines": [{key: value for key, value in line.items() if key != "seconds"} for line in read_log(output)],
        "result": {key: value for key, value in result.items() if key != "weights"},
    }


def assert_same_output(resumed: Path, uninterrupted: Path) -> None:
    output, expected = read_output(resumed), read_output(uninterrupted)
    assert output["lines"] == expected["lines"]
    assert output["files"].keys() == expected["files"].keys() >= {engine.LAST}
    assert output["temporary"] == []
    for name, content in expected["files"].items():
        assert output["files"][name] == content, name
    assert output["state"].keys() == expected["state"].keys()
    assert all(torch.equal(value, output["state"][name]) for name, value in expected["state"].items())
    assert output["progress"] == expected["progress"]
    assert output["result"] == expected["result"]


@pytest.fixture
def interrupt_after(monkeypatch):
    """Interrupt a run after n calls that step, log, or save weights or a state; never for 0."""
    remaining = [0]

    def count_down(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            remaining[0] -= 1
            if remaining[0] == 0:
                raise Interruption
            return result

        return call

    monkeypatch.setattr(engine.TrainingRun, "train_step", count_down(engine.TrainingRun.train_step))
    monkeypatch.setattr(MetricsLog, "write", count_down(MetricsLog.write))
    monkeypatch.setattr(TorchEncoder, "save_weights", count_down(TorchEncoder.save_weights))
    monkeypatch.setattr(engine, "save_state", count_down(engine.save_state))
    return lambda calls: remaining.__setitem__(0, calls)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_repeated_interruptions_do_not_change_the_result(train, interrupt_after, tmp_path, kind):
    overrides = ("probe.every=1", *(override for override in RUNS[kind] if not override.startswith("probe")))
    interrupt_after(0)
    train(*overrides, output=tmp_path / "uninterrupted")
    generator, interruptions = random.Random(kind), 0
    while True:
        interrupt_after(generator.randint(4, 12))
        resume = (tmp_path / "run" / engine.STATE).is_file()
        try:
            train(*overrides, output=tmp_path / "run", resume=resume)
            break
        except Interruption:
            interruptions += 1
            assert interruptions < 60
    assert interruptions >= 2
    assert_same_output(tmp_path / "run", tmp_path / "uninterrupted")


@pytest.mark.slow
def test_dropout_is_reproduced_after_resuming(train, interrupt_after, tmp_path, monkeypatch):
    forward = StudentModule.forward

    def add_dropout(self: StudentModule, batch: Any) -> torch.Tensor:
        return functional.normalize(functional.dropout(forward(self, batch), 0.3, self.training), dim=1)

    interrupt_after(0)
    without = train(*RUNS["plain"], output=tmp_path / "without")
    monkeypatch.setattr(StudentModule, "forward", add_dropout)
    uninterrupted = train(*RUNS["plain"], output=tmp_path / "uninterrupted")
    assert uninterrupted.read_losses() != without.read_losses()
    interrupt_after(8)
    with pytest.raises(Interruption):
        train(*RUNS["plain"])
    interrupt_after(0)
    train(*RUNS["plain"], resume=True)
    assert_same_output(tmp_path / "run", tmp_path / "uninterrupted")


@pytest.mark.long
@pytest.mark.slow
def test_an_interruption_at_any_point_does_not_change_the_result(train, interrupt_after, tmp_path):
    overrides = (*RUNS["plain"], "probe.every=1", "checkpoint_steps=1", "batch_size=9", "student.ema_decay=0.5")
    interrupt_after(0)
    train(*overrides, output=tmp_path / "uninterrupted", teacher_cache=tmp_path / "cache")
    for calls in range(1, 200):
        interrupt_after(calls)
        try:
            train(*overrides, output=tmp_path / "run", teacher_cache=tmp_path / "cache")
            break
        except Interruption:
            interrupt_after(0)
            resume = (tmp_path / "run" / engine.STATE).is_file()
            train(*overrides, output=tmp_path / "run", teacher_cache=tmp_path / "cache", resume=resume)
        assert_same_output(tmp_path / "run", tmp_path / "uninterrupted")
        shutil.rmtree(tmp_path / "run")
    assert calls > 15


@pytest.fixture(scope="module")
def make_process() -> Any:
    """Make a process of the command, forked from a server with its modules loaded, so that it starts fast."""
    environment = dict(os.environ)
    os.environ.update(ONE_THREAD)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    multiprocessing.forkserver.ensure_running()
    os.environ.clear()
    os.environ.update(environment)
    return lambda: context.Process(target=main)


def kill_after(n_lines: int, output: Path, is_alive: Callable[[], bool], kill: Callable[[], Any], delay: float) -> bool:
    """Kill a run after a number of log lines, once it has saved a state; return whether it was still alive."""
    log = output / "metrics.jsonl"
    while is_alive():
        if (output / engine.STATE).is_file() and log.read_bytes().count(b"\n") >= n_lines:
            time.sleep(delay)
            kill()
            return True
        time.sleep(0.001)
    return False


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["augmented each epoch, averaged", "versions, averaged"])
def test_a_killed_run_resumes_bit_exactly(train, world, tmp_path, monkeypatch, make_process, kind):
    epochs = 30 if kind.startswith("augmented") else 8
    overrides = [*RUNS[kind], f"epochs={epochs}", "probe.every=6"]
    train(*overrides, output=tmp_path / "uninterrupted")
    output, generator, kills = tmp_path / "run", random.Random(kind), 0
    command = ["anybind", "train", world.recipe, "--data", world.data, "-o", output, "--json"]
    command += [argument for override in overrides for argument in ("--set", override)]
    for fraction in (0.1, 0.3, 0.5, 0.7, 2.0):
        resume = ["--resume"] if kills else []
        monkeypatch.setattr(sys, "argv", [*map(str, command), *resume])
        process = make_process()
        process.start()
        n_lines, delay = round(3 * epochs * fraction), generator.uniform(0, 0.03)
        kills += kill_after(n_lines, output, process.is_alive, process.kill, delay)
        process.join()
        assert process.exitcode in (0, -9)
        if process.exitcode == 0:
            break
    assert process.exitcode == 0
    assert kills >= 2
    assert_same_output(output, tmp_path / "uninterrupted")


@pytest.mark.slow
def test_a_killed_command_can_be_resumed(train, command, world, tmp_path):
    overrides = [*RUNS["plain"], "epochs=24"]
    train(*overrides, output=tmp_path / "uninterrupted")
    output = tmp_path / "run"
    arguments = [sys.executable, "-m", "anybind", "train", world.recipe, "--data", world.data, "-o", output]
    arguments += [argument for override in overrides for argument in ("--set", override)]
    environment = {**os.environ, **ONE_THREAD}
    with subprocess.Popen(
        [*map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert kill_after(20, output, lambda: process.poll() is None, process.kill, 0)
        assert process.communicate()[0] == b""  # no progress bar in a pipe
    assert process.returncode == -9
    resumed = command(*overrides, "--resume")
    assert (resumed.code, resumed.err) == (0, "")
    assert_same_output(output, tmp_path / "uninterrupted")


def test_resuming_a_finished_run_gives_the_same_result(command, tmp_path):
    first = command(*IMAGE, "--json")
    before = read_output(tmp_path / "run")
    again = command(*IMAGE, "--json", "--resume")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out) == json.loads(first.out)
    assert read_output(tmp_path / "run")["lines"] == before["lines"]
    assert read_output(tmp_path / "run")["files"] == before["files"]


@pytest.mark.slow
def test_a_run_without_its_cache_can_be_resumed(train, interrupt_after, tmp_path):
    interrupt_after(0)
    train(*RUNS["plain"], output=tmp_path / "uninterrupted")
    interrupt_after(9)
    with pytest.raises(Interruption):
        train(*RUNS["plain"])
    interrupt_after(0)
    shutil.rmtree(tmp_path / "run" / "cache")
    train(*RUNS["plain"], resume=True)
    assert_same_output(tmp_path / "run", tmp_path / "uninterrupted")


def test_an_interrupted_command_says_how_to_go_on(command, tmp_path, monkeypatch):
    def raise_interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("anybind_train.training.make_fabric", raise_interrupt)
    ended = command(*IMAGE)
    assert (ended.code, ended.out, ended.err.strip()) == (
        130,
        "",
        f"interrupted: {tmp_path / 'run'}: no state was saved yet",
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "state.safetensors").touch()
    assert command(*IMAGE, "--resume").err.strip().endswith("run: repeat the command with --resume to resume it")


@pytest.mark.slow
def test_a_run_that_cannot_be_resumed_is_one_line_and_unchanged(command, world, tmp_path):
    assert "run: no run to resume (state.safetensors is missing)" in command(*IMAGE, "--resume").error()
    assert command(*IMAGE).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert "contains a run; resume it with --resume" in command(*IMAGE).error()
    other = command(*IMAGE, "optimiser.lr=2e-2", "losses.1.weight=0.2", "--resume").error()
    assert "another recipe: optimiser.lr (0.01, now 0.02), losses.1.weight (0.1, now 0.2); resume with" in other
    assert "started with another recipe: seed (0, now 5);" in command(*IMAGE, "--seed", "5", "--resume").error()
    fewer = Path(shutil.copytree(world.data, tmp_path / "fewer"))
    (fewer / "images" / "disc" / "0.png").unlink()
    assert "started with other data" in command(*IMAGE, "--resume", data=fewer).error()
    assert {path: path.read_bytes() for path in before} == before
    renamed = command(*IMAGE, "name=another name", "checkpoint_steps=1", "--resume")
    assert renamed.code == 0


def test_a_damaged_state_is_one_line(command, tmp_path):
    assert command(*IMAGE).code == 0
    state = tmp_path / "run" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-50])
    assert "state.safetensors: not a " in command(*IMAGE, "--resume").error()
