"""Two processes do what one does with the same batches, of which each sees its half."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from anybind.errors import BadOption
from anybind_train.checks import check_batch
from anybind_train.losses.weighted_sum import WeightedSum

KEYS = "visual.transformer.resblocks.0.attn.in_proj_bias"
CHANGES = (
    "modality=image",
    "student.options={}",
    'augment.image={"crop":[0.5,1.0],"flip":true}',
    "checkpoint_steps=1",
    "optimiser.weight_decay=0.1",
    # Each term looks at the batch in another way: all pairs, the texts, a softmax over the samples.
    'losses=[{"use":"contrastive","temperature":0.2,"symmetric":true},{"use":"zero-shot","temperature":0.1},'
    '{"use":"kl","over":"batch","temperature":0.1,"sinkhorn":2}]',
)


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


@pytest.mark.slow
def test_two_processes_give_the_same_weights_as_one(train, world, tmp_path):
    alone = train(*CHANGES, output=tmp_path / "one")
    output = tmp_path / "two"
    command = [sys.executable, "-m", "anybind", "train", world.recipe, "--data", world.data, "-o", output, "--json"]
    command += [word for change in CHANGES for word in ("--set", change)]
    finished = subprocess.run(
        [*map(str, command), "--devices", "2", "--strategy", "ddp"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "2 processes" in finished.stderr
    assert json.loads(finished.stdout)["steps"] == 6  # one object, of one of the processes
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    together = [line for line in lines if line["kind"] == "step"]
    assert len(together) == len(alone.read_log()) == 6
    for line, expected in zip(together, alone.read_log(), strict=True):
        for name in ("loss", "contrastive", "zero-shot", "kl", "lr"):
            assert line[name] == pytest.approx(expected[name], abs=1e-5)
    weights = load_file(output / "last.safetensors")
    for name, expected in alone.load_weights().items():
        found = weights[name]
        if name == KEYS:
            # The bias of attention's keys changes nothing that comes out: its gradient is rounding, which Adam blows up.
            found, expected = (torch.cat([each[:32], each[64:]]) for each in (found, expected))
        assert (found - expected).abs().max() < 1e-5, name
    # Adam forgets how large gradients are; its moments do not.
    moments = {name: each for name, each in load_file(output / "state.safetensors").items() if ".exp_avg" in name}
    state = load_file(alone.output / "state.safetensors")
    assert len(moments) == 40
    assert all(relative(value, state[name]) < 1e-3 for name, value in moments.items())


def test_a_batch_size_that_processes_cannot_divide_is_rejected(world):
    plan = world.parse_recipe("batch_size=5")
    with pytest.raises(BadOption, match="batch_size 5 cannot be shared evenly by 2 processes"):
        check_batch(plan, WeightedSum.from_recipe(plan.losses), 2)
    check_batch(world.parse_recipe("batch_size=6"), WeightedSum.from_recipe(plan.losses), 2)
