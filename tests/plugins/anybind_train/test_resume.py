"""A run that dies, of whatever and wherever, and goes on, ends as one that was left alone: to the bit."""

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
from anybind_train.records import Records
from anybind_train.student import StudentModule

IMAGE = ("modality=image", "student.options={}", "probe.every=8")
# Each of these draws or keeps something that a run which goes on has to get back.
RUNS = {
    "plain": (*IMAGE, "cache_inputs=true"),
    "drawn anew, averaged": (*IMAGE, 'augment.image={"crop":[0.5,1.0],"flip":true}', "student.average=0.9"),
    "versions, averaged": (
        "variants=2",
        'augment.image={"crop":[0.6,0.9]}',
        "augment.event.shift=3",
        "student.average=0.9",
    ),
    "lora": (*IMAGE, 'augment.image={"crop":[0.5,1.0]}', "student.method=lora", "student.rank=2"),
    "some layers": (*IMAGE, 'student.train=["visual.ln_post","visual.proj"]', "optimiser.warmup_epochs=1"),
    "prompts": (*IMAGE, "student.method=prompts", 'losses=[{"use":"prediction"}]', "teacher="),
}
PRELOADED = [
    "anybind.cli",
    "anybind_events.encoder",
    "anybind_openclip.towers",
    "anybind_classification.zero_shot",
    "anybind_train.train_command",
    "matplotlib.pyplot",
    "torch.utils.tensorboard",
]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Death(BaseException):
    """What no handler catches."""


def ended(output: Path) -> dict[str, Any]:
    """All that a run leaves, less what differs between any two: paths and times."""
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((output / "result.json").read_text())
    with safe_open(output / "state.safetensors", framework="pt") as file:
        place = json.loads((file.metadata() or {})["anybind"])
    return {
        "files": {path.name: path.read_bytes() for path in output.glob("*.safetensors") if path.name != engine.STATE},
        "left behind": [path.name for path in output.rglob(".*")],
        "state": load_file(output / engine.STATE),
        "place": place,
        "lines": [{key: value for key, value in line.items() if key != "seconds"} for line in lines],
        "result": {key: value for key, value in result.items() if key != "weights"},
    }


def assert_same(left: Path, alone: Path) -> None:
    found, expected = ended(left), ended(alone)
    assert found["lines"] == expected["lines"]
    assert found["files"].keys() == expected["files"].keys() >= {engine.LAST}
    assert found["left behind"] == []
    for name, held in expected["files"].items():
        assert found["files"][name] == held, name
    assert found["state"].keys() == expected["state"].keys()
    assert all(torch.equal(value, found["state"][name]) for name, value in expected["state"].items())
    assert found["place"] == expected["place"]
    assert found["result"] == expected["result"]


@pytest.fixture
def mortal(monkeypatch):
    """Let a run die at its n-th moment from now: behind a step, a line, a file of weights, a state."""
    left = [0]

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            left[0] -= 1
            if left[0] == 0:
                raise Death
            return result

        return call

    monkeypatch.setattr(engine.Run, "step", dying(engine.Run.step))
    monkeypatch.setattr(Records, "write", dying(Records.write))
    monkeypatch.setattr(TorchEncoder, "save_weights", dying(TorchEncoder.save_weights))
    monkeypatch.setattr(engine, "save_state", dying(engine.save_state))
    return lambda moments: left.__setitem__(0, moments)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_that_dies_again_and_again_ends_as_one_that_does_not(train, mortal, tmp_path, kind):
    changes = ("probe.every=1", *(change for change in RUNS[kind] if not change.startswith("probe")))
    mortal(0)
    train(*changes, output=tmp_path / "alone")
    draw, deaths = random.Random(kind), 0
    while True:
        mortal(draw.randint(4, 12))
        resume = (tmp_path / "run" / engine.STATE).is_file()
        try:
            train(*changes, output=tmp_path / "run", resume=resume)
            break
        except Death:
            deaths += 1
            assert deaths < 60
    assert deaths >= 2
    assert_same(tmp_path / "run", tmp_path / "alone")


@pytest.mark.slow
def test_what_layers_draw_is_drawn_again(train, mortal, tmp_path, monkeypatch):
    forward = StudentModule.forward

    def dropping(self: StudentModule, batch: Any) -> torch.Tensor:
        return functional.normalize(functional.dropout(forward(self, batch), 0.3, self.training), dim=1)

    mortal(0)
    without = train(*RUNS["plain"], output=tmp_path / "without")
    monkeypatch.setattr(StudentModule, "forward", dropping)
    alone = train(*RUNS["plain"], output=tmp_path / "alone")
    assert alone.losses() != without.losses()
    mortal(8)
    with pytest.raises(Death):
        train(*RUNS["plain"])
    mortal(0)
    train(*RUNS["plain"], resume=True)
    assert_same(tmp_path / "run", tmp_path / "alone")


@pytest.mark.slow
def test_every_moment_to_die_is_as_good_as_another(train, mortal, tmp_path):
    changes = (*RUNS["plain"], "probe.every=1", "checkpoint_steps=1", "batch_size=9", "student.average=0.5")
    mortal(0)
    train(*changes, output=tmp_path / "alone", cache=tmp_path / "cache")
    for moment in range(1, 200):
        mortal(moment)
        try:
            train(*changes, output=tmp_path / "run", cache=tmp_path / "cache")
            break
        except Death:
            mortal(0)
            resume = (tmp_path / "run" / engine.STATE).is_file()
            train(*changes, output=tmp_path / "run", cache=tmp_path / "cache", resume=resume)
        assert_same(tmp_path / "run", tmp_path / "alone")
        shutil.rmtree(tmp_path / "run")
    assert moment > 15


@pytest.fixture(scope="module")
def started() -> Any:
    """Start the command in a process of its own, which has its modules at once: it is forked where they are loaded."""
    before = dict(os.environ)
    os.environ.update(ONE_THREAD)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    multiprocessing.forkserver.ensure_running()
    os.environ.clear()
    os.environ.update(before)
    return lambda: context.Process(target=main)


def lines_of(output: Path) -> int:
    path = output / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def kill_after(lines: int, output: Path, alive: Callable[[], bool], kill: Callable[[], Any], delay: float) -> bool:
    """Kill once so many lines are written and a state is there; whether it was still alive then."""
    while alive():
        if lines_of(output) >= lines and (output / engine.STATE).is_file():
            time.sleep(delay)
            kill()
            return True
        time.sleep(0.001)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["drawn anew, averaged", "versions, averaged"])
def test_a_run_that_is_killed_and_resumed_ends_as_one_that_is_not(train, world, tmp_path, monkeypatch, started, kind):
    epochs = 30 if kind.startswith("drawn") else 8
    changes = [*RUNS[kind], f"epochs={epochs}", "probe.every=6"]
    train(*changes, output=tmp_path / "alone")
    output, draw, kills = tmp_path / "run", random.Random(kind), 0
    command = ["anybind", "train", world.recipe, "--data", world.data, "-o", output, "--json"]
    command += [word for change in changes for word in ("--set", change)]
    for share in (0.1, 0.3, 0.5, 0.7, 2.0):
        resume = ["--resume"] if kills else []
        monkeypatch.setattr(sys, "argv", [*map(str, command), *resume])
        process = started()
        process.start()
        lines, delay = round(3 * epochs * share), draw.uniform(0, 0.03)
        kills += kill_after(lines, output, process.is_alive, process.kill, delay)
        process.join()
        assert process.exitcode in (0, -9)
        if process.exitcode == 0:
            break
    assert process.exitcode == 0
    assert kills >= 2
    assert_same(output, tmp_path / "alone")


@pytest.mark.slow
def test_a_command_killed_in_its_shell_can_be_resumed_by_another(train, command, world, tmp_path):
    changes = [*RUNS["plain"], "epochs=24"]
    train(*changes, output=tmp_path / "alone")
    output = tmp_path / "run"
    given = [sys.executable, "-m", "anybind", "train", world.recipe, "--data", world.data, "-o", output]
    given += [word for change in changes for word in ("--set", change)]
    environment = {**os.environ, **ONE_THREAD}
    with subprocess.Popen(
        [*map(str, given)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert kill_after(20, output, lambda: process.poll() is None, process.kill, 0)
        assert process.communicate()[0] == b""  # in a pipe it is silent
    assert process.returncode == -9
    resumed = command(*changes, "--resume")
    assert (resumed.code, resumed.err) == (0, "")
    assert_same(output, tmp_path / "alone")


def test_a_finished_run_that_is_resumed_says_the_same_again(command, tmp_path):
    first = command(*IMAGE, "--json")
    before = ended(tmp_path / "run")
    again = command(*IMAGE, "--json", "--resume")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out) == json.loads(first.out)
    assert ended(tmp_path / "run")["lines"] == before["lines"]
    assert ended(tmp_path / "run")["files"] == before["files"]


@pytest.mark.slow
def test_a_run_without_its_cache_goes_on_all_the_same(train, mortal, tmp_path):
    mortal(0)
    train(*RUNS["plain"], output=tmp_path / "alone")
    mortal(9)
    with pytest.raises(Death):
        train(*RUNS["plain"])
    mortal(0)
    shutil.rmtree(tmp_path / "run" / "cache")
    train(*RUNS["plain"], resume=True)
    assert_same(tmp_path / "run", tmp_path / "alone")


@pytest.mark.slow
def test_what_cannot_go_on_is_one_line_and_the_run_stays_as_it_was(command, world, tmp_path):
    assert "holds no run to go on with (state.safetensors is missing)" in command(*IMAGE, "--resume").error()
    assert command(*IMAGE).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert "holds a run already: go on with it by --resume" in command(*IMAGE).error()
    assert "is of another recipe" in command(*IMAGE, "optimiser.lr=2e-2", "--resume").error()
    assert "is of another recipe" in command(*IMAGE, "--seed", "5", "--resume").error()
    fewer = Path(shutil.copytree(world.data, tmp_path / "fewer"))
    (fewer / "pictures" / "disc" / "0.png").unlink()
    assert "is of another data" in command(*IMAGE, "--resume", data=fewer).error()
    assert {path: path.read_bytes() for path in before} == before
    renamed = command(*IMAGE, "name=another name", "checkpoint_steps=1", "--resume")
    assert renamed.code == 0


def test_a_damaged_state_is_one_line(command, tmp_path):
    assert command(*IMAGE).code == 0
    state = tmp_path / "run" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-50])
    assert "state.safetensors: not a " in command(*IMAGE, "--resume").error()
