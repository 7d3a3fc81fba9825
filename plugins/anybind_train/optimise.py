"""The optimiser and its learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from anybind.plugin import BadOption
from anybind_train.recipe import OptimiserConfig


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


def make_optimiser(config: OptimiserConfig, student: nn.Module) -> torch.optim.Optimizer:
    """Make AdamW over the trained parameters; gains and biases have no weight decay."""
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise BadOption("no parameter is trained: see student.method and student.train")
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.betas[0], config.betas[1]))
