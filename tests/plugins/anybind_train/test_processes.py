"""Two processes, each with half of every batch, train like one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from anybind.errors import BadInput, BadOption
from anybind_train.checks import check_losses
from anybind_train.devices import explain_lost_process
from anybind_train.losses.weighted_sum import WeightedSum
from anybind_train.metrics_log import read_log

ATTENTION_BIAS = "visual.transformer.resblocks.0.attn.in_proj_bias"
OVERRIDES = (
    "modality=image",
    "student.options={}",
    'augment.image={"crop":[0.5,1.0],"flip":true}',
    "checkpoint_steps=1",
    "optimiser.weight_decay=0.1",
    # Each loss uses the batch differently: all pairs, the texts, a softmax over the samples.
    'losses=[{"use":"contrastive","temperature":0.2,"symmetric":true},{"use":"zero-shot","temperature":0.1},'
    '{"use":"kl","over":"batch","temperature":0.1}]',
)


def compute_relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return float((value - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def run_two_processes(recipe: Path, data: Path, output: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "anybind", "train", recipe, "--data", data, "-o", output, "--json"]
    command += [argument for override in overrides for argument in ("--set", override)]
    finished = subprocess.run(
        [*map(str, command), "--devices", "2", "--strategy", "ddp"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished


@pytest.mark.slow
def test_two_processes_give_the_same_weights_as_one(train, world, tmp_path):
    single = train(*OVERRIDES, output=tmp_path / "one")
    output = tmp_path / "two"
    finished = run_two_processes(world.recipe, world.data, output, *OVERRIDES)
    assert "2 processes" in finished.stderr
    assert json.loads(finished.stdout)["steps"] == 6  # printed once, by the main process
    lines = [line for line in read_log(output) if line["kind"] == "step"]
    assert len(lines) == 6
    for line, expected in zip(lines, single.read_log(), strict=True):
        for name in ("loss", "contrastive", "zero-shot", "kl", "lr"):
            assert line[name] == pytest.approx(expected[name], abs=1e-5)
    weights = load_file(output / "last.safetensors")
    for name, expected in single.load_weights().items():
        value = weights[name]
        if name == ATTENTION_BIAS:
            # The keys' bias has no effect on the output: its gradient is rounding noise, which Adam normalises.
            value, expected = (torch.cat([each[:32], each[64:]]) for each in (value, expected))
        assert (value - expected).abs().max() < 1e-5, name
    # Adam's steps do not depend on the scale of the gradients; its moments do.
    moments = {name: each for name, each in load_file(output / "state.safetensors").items() if ".exp_avg" in name}
    state = load_file(single.output / "state.safetensors")
    assert len(moments) == 40
    assert all(compute_relative_error(value, state[name]) < 1e-3 for name, value in moments.items())


@pytest.mark.long
def test_two_processes_replace_the_same_invalid_samples_as_one(train, world, own_data, tmp_path):
    for name in ("disc/3", "bar/1", "ring/0", "beam/0"):
        path = own_data / "images" / f"{name}.png"
        path.write_bytes(path.read_bytes()[:100])
    overrides = ("modality=image", "student.options={}", "skip_invalid=0.4")
    overrides += ("teacher=", 'losses=[{"use":"prediction"}]')  # without a teacher's cache, each process finds its own
    single = train(*overrides, data=own_data, output=tmp_path / "one")
    run_two_processes(world.recipe, own_data, tmp_path / "two", *overrides)
    result = json.loads((tmp_path / "two" / "result.json").read_text())
    assert result["skipped"].keys() == single.result["skipped"].keys()
    assert len(result["skipped"]) == 4
    lines = [line["loss"] for line in read_log(tmp_path / "two") if line["kind"] == "step"]
    assert lines == pytest.approx(single.read_losses(), abs=1e-5)


def test_a_batch_size_that_processes_cannot_divide_is_rejected(world):
    recipe = world.parse_recipe("batch_size=5")
    with pytest.raises(BadOption, match="batch_size: expected a multiple of 2 processes, got 5"):
        check_losses(recipe, WeightedSum.from_recipe(recipe.losses), 2)
    check_losses(world.parse_recipe("batch_size=6"), WeightedSum.from_recipe(recipe.losses), 2)


@pytest.mark.long
def test_two_processes_train_low_rank_layers_on_windows_like_one(train, world, tmp_path):
    options = '{"representation":"count-image","options":{"density":0.1},"windows":3}'
    overrides = ("student.method=lora", "student.rank=2", f"student.options={options}", "epochs=1", "batch_size=18")
    single = train(*overrides, output=tmp_path / "one")
    assert any(len(single.run.data.load_student_input(number, 0, 0)) > 1 for number in range(18))
    run_two_processes(world.recipe, world.data, tmp_path / "two", *overrides)
    (line,) = (line for line in read_log(tmp_path / "two") if line["kind"] == "step")
    assert [line["loss"]] == pytest.approx(single.read_losses(), abs=1e-5)
    moments, expected = (
        {name: each for name, each in load_file(output / "state.safetensors").items() if name.endswith(".exp_avg")}
        for output in (tmp_path / "two", single.output)
    )
    assert moments.keys() == expected.keys()
    assert any(bool(each.abs().max() > 1e-6) for each in expected.values())
    for name, value in expected.items():
        assert (moments[name] - value).abs().max() <= 1e-3 * value.abs().max() + 1e-7, name


def test_a_process_whose_peer_has_ended_refers_to_its_error():
    message = "[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4250"
    with pytest.raises(BadInput, match="another process of the run has ended: see its error"), explain_lost_process():
        raise RuntimeError(message)
    with pytest.raises(RuntimeError, match="other"), explain_lost_process():
        raise RuntimeError("other")
