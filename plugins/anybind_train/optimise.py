"""The optimisers, AdamW and the momentum update toward a fixed target, and the learning-rate schedule."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from anybind.plugin import BadOption, Encoder, TorchEncoder
from anybind_train.recipe import OptimiserConfig


def scale_learning_rate(config: OptimiserConfig, batch_size: int) -> OptimiserConfig:
    """Return the settings with the learning rate of this batch size: lr * batch_size / base_batch, if that is set."""
    if not config.base_batch:
        return config
    return dataclasses.replace(config, lr=config.lr * batch_size / config.base_batch, base_batch=0)


def compute_learning_rate(config: OptimiserConfig, step: int, steps: int, steps_per_epoch: int) -> float:
    """Compute the learning rate of step `step` (from 0) of `steps`: linear warm-up, then half a cosine to 0.

    The first step of a warm-up of w steps has lr / w, the last one lr; with `schedule = "constant"` it stays lr.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class MomentumTarget(torch.optim.Optimizer):
    """The momentum update toward a fixed target, Eq. 4 and Proposition 1 of the paper.

        theta_E <- m theta_E + (1 - m) (theta_target - eta grad)

    In the paper theta_target is theta_I, the weights of the frozen image encoder. The gradient is the plain one,
    without AdamW's moments and weight decay. The target is fixed: from theta_I on, theta_E stays within eta times the
    largest gradient of it.
    """

    def __init__(self, groups: Iterable[Any], *, lr: float, momentum: float) -> None:
        """Take the current values of the parameters as the target, until `set_targets`.

        Args:
            groups: parameters, or parameter groups.
            lr: eta.
            momentum: m, from 0 to below 1.
        """
        super().__init__(groups, {"lr": lr})
        self.momentum = momentum
        self._targets = {each: each.detach().clone() for group in self.param_groups for each in group["params"]}

    def set_targets(self, targets: Mapping[nn.Parameter, torch.Tensor]) -> None:
        """Set the target of some parameters."""
        self._targets |= {each: target.detach().to(each.device, each.dtype) for each, target in targets.items()}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update all parameters that have a gradient."""
        value = closure() if closure is not None else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    moved = self._targets[parameter] - group["lr"] * parameter.grad
                    parameter.mul_(self.momentum).add_(moved, alpha=1 - self.momentum)
        return value


def make_optimiser(
    config: OptimiserConfig,
    student: nn.Module,
    loss_parameters: Iterable[nn.Parameter] = (),
    teacher: Encoder | None = None,
) -> torch.optim.Optimizer:
    """Make the optimiser of the trained parameters: AdamW, or `MomentumTarget` with `momentum_target`.

    Args:
        config: the settings.
        student: gains and biases have no weight decay.
        loss_parameters: learned numbers of the losses; they have no weight decay, and their starting value as target.
        teacher: the frozen teacher, whose weights are the target of `momentum_target`.

    Raises:
        BadOption: no parameter is trained, or the teacher has no weights of the student's names and shapes.
    """
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in trained if each.ndim <= 1] + list(loss_parameters), "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not trained:
        raise BadOption("no parameter is trained: see student.method and student.train")
    if not config.momentum_target:
        return torch.optim.AdamW(groups, lr=config.lr, betas=(config.betas[0], config.betas[1]))
    optimiser = MomentumTarget(groups, lr=config.lr, momentum=config.momentum_target)
    optimiser.set_targets(_pair_with_target(student, teacher))
    return optimiser


def _pair_with_target(student: nn.Module, teacher: Encoder | None) -> dict[nn.Parameter, torch.Tensor]:
    """Pair each trained parameter with the teacher's of its name."""
    weights = dict(teacher.module.named_parameters()) if isinstance(teacher, TorchEncoder) else {}
    pairs: dict[nn.Parameter, torch.Tensor] = {}
    for name, parameter in student.named_parameters():
        if not parameter.requires_grad:
            continue
        if name not in weights or weights[name].shape != parameter.shape:
            raise BadOption(
                f"optimiser.momentum_target: expected a teacher that has the student's weights, got none for {name}"
            )
        pairs[parameter] = weights[name]
    return pairs
