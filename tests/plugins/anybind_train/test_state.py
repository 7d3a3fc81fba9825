"""What a run goes on from, and what it writes down."""

from __future__ import annotations

import json

import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import anybind
from anybind.errors import BadOption, WeightsMismatch
from anybind_train.metrics_log import MetricsLog, draw_curves
from anybind_train.state import Progress, load_state, save_state
from anybind_train.student import WeightAverage
from helpers.disk import full_disk


class Trained:
    """A small module with a frozen layer, and all that goes with it in a run."""

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

    def save(self, path, **place):
        save_state(path, Progress("r", "d", **place), self.module, self.optimiser, self.average)

    def load(self, path, recipe="r", data="d"):
        return load_state(path, Progress(recipe, data), self.module, self.optimiser, self.average)

    def tensors(self):
        return {**self.module.state_dict(), **{f"average {name}": each for name, each in self.average.state.items()}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def test_training_from_a_loaded_state_is_bit_exact(path):
    first = Trained(0)
    first.step(5)
    first.save(path, epoch=1, batch=2, best=0.5, probes=[{"epoch": 0, "top1": 0.25}])
    second = Trained(0)
    place = second.load(path)
    assert place == Progress("r", "d", epoch=1, batch=2, best=0.5, probes=[{"epoch": 0, "top1": 0.25}])
    second.steps = 5
    for each in (first, second):
        each.step(5)
    assert all(torch.equal(value, second.tensors()[name]) for name, value in first.tensors().items())


def test_the_state_has_buffers_but_no_frozen_weights(path):
    trained = Trained(0)
    trained.step(2)
    trained.save(path)
    names = {name for name in load_file(path) if name.startswith("weights.")}
    assert names == {f"weights.2.{name}" for name in ("weight", "bias")} | {
        f"weights.1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }


def test_a_state_without_an_average_has_none(path):
    trained = Trained(0, average=0)
    trained.step()
    trained.save(path)
    assert not any(name.startswith("average.") for name in load_file(path))
    Trained(0, average=0).load(path)


@pytest.mark.parametrize("where", ["weight", "moment", "average"])
def test_a_state_that_is_not_finite_is_not_written(path, where):
    trained = Trained(0)
    trained.step()
    trained.save(path)
    before = path.read_bytes()
    spoiled = {
        "weight": trained.module[2].bias.data,
        "moment": trained.optimiser.state[trained.module[2].bias]["exp_avg"],
        "average": trained.average.state["2.bias"],
    }[where]
    spoiled[0] = float("nan")
    with pytest.raises(anybind.BadInput, match=r"2\.bias.* is not finite after epoch 1, batch 3; .* stays as it was"):
        trained.save(path, epoch=1, batch=3)
    assert path.read_bytes() == before


def test_a_full_disk_is_one_line_and_keeps_the_old_state(path):
    trained = Trained(0)
    trained.step()
    trained.save(path)
    before = path.read_bytes()
    trained.step()
    with (
        full_disk(left=len(before) // 2),
        pytest.raises(anybind.BadInput, match=r"cannot write .*state\.safetensors: ") as raised,
    ):
        trained.save(path)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_state_is_rejected(path, share):
    trained = Trained(0)
    trained.step()
    trained.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(anybind.BadInput, match=r"state\.safetensors: not a "):
        trained.load(path)


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
        Trained(0).load(path)


@pytest.mark.parametrize("name", ["weights.2.bias", "average.2.bias"])
@pytest.mark.parametrize(("value", "problem"), [(None, "lacks 2.bias"), (torch.zeros(3), "has other shapes of 2.bias")])
def test_a_state_of_another_module_is_rejected(path, name, value, problem):
    trained = Trained(0)
    trained.step()
    trained.save(path)
    tensors = {**load_file(path), name: value}
    card = {"anybind": json.dumps({"recipe": "r", "data": "d"})}
    save_file({name: each for name, each in tensors.items() if each is not None}, path, metadata=card)
    with pytest.raises(WeightsMismatch, match=problem):
        Trained(0).load(path)


def test_a_missing_state_is_rejected(path):
    with pytest.raises(anybind.BadInput, match=r"state\.safetensors"):
        Trained(0).load(path)


@pytest.mark.parametrize("other", ["recipe", "data"])
def test_a_state_of_another_recipe_or_other_data_is_rejected(path, other):
    trained = Trained(0)
    trained.step()
    trained.save(path)
    before = {name: value.clone() for name, value in trained.tensors().items()}
    with pytest.raises(BadOption, match=f"is of another {other}: it cannot go on with this one"):
        trained.load(path, **{other: "x"})
    assert all(torch.equal(value, trained.tensors()[name]) for name, value in before.items())


def written(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def records_of(folder, steps):
    records = MetricsLog(folder, 0)
    records.write("probe", -1, epoch=0, top1=0.1)
    for step in range(steps):
        records.write("step", step, loss=float(step))
    records.close()


def test_every_step_is_flushed_as_a_line(tmp_path):
    records = MetricsLog(tmp_path, 0)
    records.write("step", 0, loss=0.5)
    assert written(tmp_path) == [{"kind": "step", "step": 0, "loss": 0.5}]
    records.close()


def test_a_resumed_log_drops_lines_after_the_state(tmp_path):
    records_of(tmp_path, 9)
    records = MetricsLog(tmp_path, 5)
    records.write("step", 5, loss=50.0)
    records.close()
    assert [line["step"] for line in written(tmp_path)] == [-1, 0, 1, 2, 3, 4, 5]
    assert written(tmp_path)[-1]["loss"] == 50.0


def test_a_new_log_is_empty(tmp_path):
    records_of(tmp_path, 9)
    MetricsLog(tmp_path, 0).close()
    assert written(tmp_path) == []


def test_a_truncated_line_is_ignored(tmp_path):
    records_of(tmp_path, 3)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "ste')
    records = MetricsLog(tmp_path, 4)
    assert [line["step"] for line in records.read_lines()] == [-1, 0, 1, 2]
    records.close()


def test_a_full_disk_while_logging_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("anybind_train.metrics_log._open_tensorboard", lambda *arguments: None)
    records_of(tmp_path, 3)
    records = MetricsLog(tmp_path, 3)
    size = records.path.stat().st_size
    with full_disk(left=size), pytest.raises(anybind.BadInput, match=r"cannot write .*metrics\.jsonl: "):
        records.write("step", 3, loss=3.0)
    with full_disk(left=size):
        records.close()
    assert [line["step"] for line in written(tmp_path)] == [-1, 0, 1, 2]


def test_values_are_written_to_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    records_of(tmp_path, 3)
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("step/loss")] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert [event.step for event in board.Scalars("probe/top1")] == [-1]


@pytest.mark.parametrize("probes", [0, 2])
def test_curves_are_plotted_with_and_without_a_probe(tmp_path, probes):
    lines = [
        {"kind": "step", "step": step, "epoch": 0, "lr": 1, "seconds": 1, "loss": 2.0, "kl": 1.0} for step in range(9)
    ]
    lines += [{"kind": "probe", "step": 4 * epoch - 1, "epoch": epoch, "top1": 0.5} for epoch in range(probes)]
    draw_curves(lines, tmp_path / "training.png", "a name", "top1" if probes else "")
    with PIL.Image.open(tmp_path / "training.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
