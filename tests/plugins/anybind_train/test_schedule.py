"""The learning rate over the steps of a run, and what the optimiser is given."""

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


def rates(plan: OptimiserConfig, epochs: int, per_epoch: int) -> list[float]:
    return [compute_learning_rate(plan, step, epochs * per_epoch, per_epoch) for step in range(epochs * per_epoch)]


def test_the_schedule_is_a_linear_warm_up_and_a_cosine():
    plan = OptimiserConfig(lr=8.0, warmup_epochs=2)
    expected = [8 * (step + 1) / 10 for step in range(10)]
    expected += [4 * (1 + math.cos(math.pi * step / 30)) for step in range(30)]
    assert rates(plan, epochs=8, per_epoch=5) == pytest.approx(expected, rel=1e-12)


def test_the_constant_schedule_stays_at_lr_after_the_warm_up():
    plan = OptimiserConfig(lr=8.0, warmup_epochs=0.5, schedule="constant")
    assert rates(plan, epochs=3, per_epoch=4) == [4.0] + [8.0] * 11


def test_without_a_warm_up_the_first_step_has_the_full_learning_rate():
    found = rates(OptimiserConfig(lr=2.0), epochs=1, per_epoch=4)
    assert found == pytest.approx([2.0, 1 + math.sqrt(0.5), 1.0, 1 - math.sqrt(0.5)])


def test_a_warm_up_longer_than_the_run_never_reaches_lr():
    assert rates(OptimiserConfig(lr=1.0, warmup_epochs=2), epochs=1, per_epoch=4) == [0.125, 0.25, 0.375, 0.5]


@given(
    st.floats(1e-8, 10),
    st.floats(0, 5),
    st.integers(1, 6),
    st.integers(1, 40),
    st.sampled_from(["cosine", "constant"]),
)
def test_the_learning_rate_is_above_0_and_at_most_lr(lr, warmup, epochs, per_epoch, schedule):
    found = rates(OptimiserConfig(lr=lr, warmup_epochs=warmup, schedule=schedule), epochs, per_epoch)
    assert all(0 < rate <= lr * (1 + 1e-12) for rate in found)
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


def test_weight_decay_is_for_matrices_and_kernels_only():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    net[2].requires_grad_(False)
    optimiser = make_optimiser(OptimiserConfig(lr=0.5, weight_decay=0.1, betas=(0.8, 0.9)), net)
    decay = {id(each): group["weight_decay"] for group in optimiser.param_groups for each in group["params"]}
    assert decay == {id(net[0].weight): 0.1, id(net[0].bias): 0.0, id(net[1].weight): 0.0, id(net[1].bias): 0.0}
    assert all((group["lr"], group["betas"]) == (0.5, (0.8, 0.9)) for group in optimiser.param_groups)
    assert isinstance(optimiser, torch.optim.AdamW)


def test_a_model_without_trained_parameters_is_rejected():
    with pytest.raises(BadOption, match="nothing is trained"):
        make_optimiser(OptimiserConfig(), nn.Linear(2, 2).requires_grad_(False))
