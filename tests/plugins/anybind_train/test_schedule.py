"""The learning-rate schedule and the optimiser."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from anybind.errors import BadOption
from anybind_train.optimise import compute_learning_rate, make_optimiser
from anybind_train.recipe import OptimiserConfig


def compute_schedule(config: OptimiserConfig, epochs: int, per_epoch: int) -> list[float]:
    return [compute_learning_rate(config, step, epochs * per_epoch, per_epoch) for step in range(epochs * per_epoch)]


def test_the_schedule_is_a_linear_warm_up_and_a_cosine():
    config = OptimiserConfig(lr=8.0, warmup_epochs=2)
    expected = [8 * (step + 1) / 10 for step in range(10)]
    expected += [4 * (1 + math.cos(math.pi * step / 30)) for step in range(30)]
    assert compute_schedule(config, epochs=8, per_epoch=5) == pytest.approx(expected, rel=1e-12)


def test_the_constant_schedule_stays_at_lr_after_the_warm_up():
    config = OptimiserConfig(lr=8.0, warmup_epochs=0.5, schedule="constant")
    assert compute_schedule(config, epochs=3, per_epoch=4) == [4.0] + [8.0] * 11


def test_without_a_warm_up_the_first_step_has_the_full_learning_rate():
    rates = compute_schedule(OptimiserConfig(lr=2.0), epochs=1, per_epoch=4)
    assert rates == pytest.approx([2.0, 1 + math.sqrt(0.5), 1.0, 1 - math.sqrt(0.5)])


def test_a_warm_up_longer_than_the_run_never_reaches_lr():
    assert compute_schedule(OptimiserConfig(lr=1.0, warmup_epochs=2), epochs=1, per_epoch=4) == [
        0.125,
        0.25,
        0.375,
        0.5,
    ]


@given(
    st.floats(1e-8, 10),
    st.floats(0, 5),
    st.integers(1, 6),
    st.integers(1, 40),
    st.sampled_from(["cosine", "constant"]),
)
def test_the_learning_rate_is_above_0_and_at_most_lr(lr, warmup, epochs, per_epoch, schedule):
    rates = compute_schedule(OptimiserConfig(lr=lr, warmup_epochs=warmup, schedule=schedule), epochs, per_epoch)
    assert all(0 < rate <= lr * (1 + 1e-12) for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_weight_decay_is_for_matrices_and_kernels_only():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    net[2].requires_grad_(False)
    optimiser = make_optimiser(OptimiserConfig(lr=0.5, weight_decay=0.1, betas=(0.8, 0.9)), net)
    decay = {id(each): group["weight_decay"] for group in optimiser.param_groups for each in group["params"]}
    assert decay == {id(net[0].weight): 0.1, id(net[0].bias): 0.0, id(net[1].weight): 0.0, id(net[1].bias): 0.0}
    assert all((group["lr"], group["betas"]) == (0.5, (0.8, 0.9)) for group in optimiser.param_groups)
    assert isinstance(optimiser, torch.optim.AdamW)


def test_a_model_without_trained_parameters_is_rejected():
    with pytest.raises(BadOption, match="no parameter is trained"):
        make_optimiser(OptimiserConfig(), nn.Linear(2, 2).requires_grad_(False))
