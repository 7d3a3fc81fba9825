"""The optimiser, and how its learning rate goes over the steps of a run."""

from __future__ import annotations

import math

import torch
from torch import nn

from anybind.plugin import BadOption
from anybind_train.recipe import OptimiserConfig


def compute_learning_rate(config: OptimiserConfig, step: int, steps: int, steps_per_epoch: int) -> float:
    """The rate of step `step` (from 0) of `steps`: up linearly over the warm-up, then along half a cosine to 0.

    The first step of a warm-up of w steps has lr / w, the last lr; with `schedule = "constant"` it stays there.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def make_optimiser(config: OptimiserConfig, student: nn.Module) -> torch.optim.Optimizer:
    """AdamW over what learns; gains and biases do not decay."""
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise BadOption("nothing is trained: see student.method and student.train")
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.betas[0], config.betas[1]))
