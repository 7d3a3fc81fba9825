"""The resumable state of a run, its log, and its plot."""

from __future__ import annotations

import json

import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import anybind
from anybind.errors import BadOption, WeightsMismatch
from anybind_train.metrics_log import MetricsLog, draw_curves, read_log
from anybind_train.state import Progress, load_state, save_state
from anybind_train.student import WeightAverage
from helpers.disk import limit_file_size


class SmallRun:
    """A small module with a frozen layer, its optimiser and its weight average."""

    def __init__(self, seed: int, average: float = 0.9) -> None:
        torch.manual_seed(seed)
        self.module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        self.module[0].requires_grad_(False)
        groups = [
            {"params": [self.module[2].weight, self.module[1].weight]},
            {"params": [self.module[2].bias, self.module[1].bias]},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-2)
        self.average = WeightAverage(self.module, average)
        self.steps = 0

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            generator = torch.Generator().manual_seed(self.steps)
            self.optimiser.zero_grad()
            self.module(torch.randn(8, 4, generator=generator)).square().sum().backward()
            self.optimiser.step()
            self.average.update(self.steps)
            self.steps += 1

    def save(self, path, **progress):
        save_state(path, Progress("r", "d", **progress), self.module, self.optimiser, self.average)

    def load(self, path, recipe="r", data="d"):
        return load_state(path, Progress(recipe, data), self.module, self.optimiser, self.average)

    def get_tensors(self):
        return {**self.module.state_dict(), **{f"average {name}": each for name, each in self.average.state.items()}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def test_training_from_a_loaded_state_is_bit_exact(path):
    first = SmallRun(0)
    first.step(5)
    first.save(path, epoch=1, batch=2, best=0.5, probes=[{"epoch": 0, "top1": 0.25}])
    second = SmallRun(0)
    progress = second.load(path)
    assert progress == Progress("r", "d", epoch=1, batch=2, best=0.5, probes=[{"epoch": 0, "top1": 0.25}])
    second.steps = 5
    for run in (first, second):
        run.step(5)
    assert all(torch.equal(value, second.get_tensors()[name]) for name, value in first.get_tensors().items())


def test_the_state_has_buffers_but_no_frozen_weights(path):
    run = SmallRun(0)
    run.step(2)
    run.save(path)
    names = {name for name in load_file(path) if name.startswith("weights.")}
    assert names == {f"weights.2.{name}" for name in ("weight", "bias")} | {
        f"weights.1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }


def test_a_state_without_an_average_has_none(path):
    run = SmallRun(0, average=0)
    run.step()
    run.save(path)
    assert not any(name.startswith("average.") for name in load_file(path))
    SmallRun(0, average=0).load(path)


@pytest.mark.parametrize("where", ["weight", "moment", "average"])
def test_a_state_that_is_not_finite_is_not_written(path, where):
    run = SmallRun(0)
    run.step()
    run.save(path)
    before = path.read_bytes()
    tensor = {
        "weight": run.module[2].bias.data,
        "moment": run.optimiser.state[run.module[2].bias]["exp_avg"],
        "average": run.average.state["2.bias"],
    }[where]
    tensor[0] = float("nan")
    with pytest.raises(anybind.BadInput, match=r"2\.bias.* is not finite after epoch 1, batch 3; .* not overwritten"):
        run.save(path, epoch=1, batch=3)
    assert path.read_bytes() == before


def test_a_full_disk_is_one_line_and_keeps_the_old_state(path):
    run = SmallRun(0)
    run.step()
    run.save(path)
    before = path.read_bytes()
    run.step()
    with (
        limit_file_size(left=len(before) // 2),
        pytest.raises(anybind.BadInput, match=r"cannot write .*state\.safetensors: ") as raised,
    ):
        run.save(path)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_state_is_rejected(path, fraction):
    run = SmallRun(0)
    run.step()
    run.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(anybind.BadInput, match=r"state\.safetensors: not a "):
        run.load(path)


@pytest.mark.parametrize(
    "card",
    [
        None,
        {"other": "{}"},
        {"anybind": "no JSON"},
        {"anybind": "[]"},
        {"anybind": '{"recipe": "r"}'},
        {"anybind": '{"recipe": "r", "data": "d", "more": 1}'},
    ],
)
def test_another_safetensors_file_is_rejected(path, card):
    save_file({"weights.2.bias": torch.zeros(2)}, path, metadata=card)
    with pytest.raises(anybind.BadInput, match=r"state\.safetensors"):
        SmallRun(0).load(path)


@pytest.mark.parametrize("name", ["weights.2.bias", "average.2.bias"])
@pytest.mark.parametrize(("value", "message"), [(None, "lacks 2.bias"), (torch.zeros(3), "has other shapes of 2.bias")])
def test_a_state_of_another_module_is_rejected(path, name, value, message):
    run = SmallRun(0)
    run.step()
    run.save(path)
    tensors = {**load_file(path), name: value}
    card = {"anybind": json.dumps({"recipe": "r", "data": "d"})}
    save_file({name: each for name, each in tensors.items() if each is not None}, path, metadata=card)
    with pytest.raises(WeightsMismatch, match=message):
        SmallRun(0).load(path)


def test_a_missing_state_is_rejected(path):
    with pytest.raises(anybind.BadInput, match=r"state\.safetensors"):
        SmallRun(0).load(path)


@pytest.mark.parametrize(("key", "other"), [("recipe", "another recipe"), ("data", "other data")])
def test_a_state_of_another_recipe_or_other_data_is_rejected(path, key, other):
    run = SmallRun(0)
    run.step()
    run.save(path)
    before = {name: value.clone() for name, value in run.get_tensors().items()}
    with pytest.raises(BadOption, match=f"the run was started with {other}"):
        run.load(path, **{key: "x"})
    assert all(torch.equal(value, run.get_tensors()[name]) for name, value in before.items())


def write_log(folder, steps):
    log = MetricsLog(folder, 0)
    log.write("probe", -1, epoch=0, top1=0.1)
    for step in range(steps):
        log.write("step", step, loss=float(step))
    log.close()


def test_every_step_is_flushed_as_a_line(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write("step", 0, loss=0.5)
    assert read_log(tmp_path) == [{"kind": "step", "step": 0, "loss": 0.5}]
    log.close()


def test_a_resumed_log_drops_lines_after_the_state(tmp_path):
    write_log(tmp_path, 9)
    log = MetricsLog(tmp_path, 5)
    log.write("step", 5, loss=50.0)
    log.close()
    assert [line["step"] for line in read_log(tmp_path)] == [-1, 0, 1, 2, 3, 4, 5]
    assert read_log(tmp_path)[-1]["loss"] == 50.0


def test_a_new_log_is_empty(tmp_path):
    write_log(tmp_path, 9)
    MetricsLog(tmp_path, 0).close()
    assert read_log(tmp_path) == []


def test_a_truncated_line_is_ignored(tmp_path):
    write_log(tmp_path, 3)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "ste')
    log = MetricsLog(tmp_path, 4)
    assert [line["step"] for line in read_log(tmp_path)] == [-1, 0, 1, 2]
    log.close()


def test_a_full_disk_while_logging_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)
    write_log(tmp_path, 3)
    log = MetricsLog(tmp_path, 3)
    size = log.path.stat().st_size
    with limit_file_size(left=size), pytest.raises(anybind.BadInput, match=r"metrics\.jsonl: cannot write"):
        log.write("step", 3, loss=3.0)
    with limit_file_size(left=size):
        log.close()
    assert [line["step"] for line in read_log(tmp_path)] == [-1, 0, 1, 2]


def test_values_are_written_to_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_log(tmp_path, 3)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("step/loss")] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert [event.step for event in events.Scalars("probe/top1")] == [-1]


@pytest.mark.parametrize("probes", [0, 2])
def test_curves_are_plotted_with_and_without_a_probe(tmp_path, probes):
    lines = [
        {"kind": "step", "step": step, "epoch": 0, "lr": 1, "seconds": 1, "loss": 2.0, "kl": 1.0} for step in range(9)
    ]
    lines += [{"kind": "probe", "step": 4 * epoch - 1, "epoch": epoch, "top1": 0.5} for epoch in range(probes)]
    draw_curves(lines, tmp_path / "training.png", "a name", "top1" if probes else "")
    with PIL.Image.open(tmp_path / "training.png") as image:
        assert image.format == "PNG"
        assert image.width > 1000
