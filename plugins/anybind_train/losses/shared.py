"""What the losses share: checks of their options, the fields of a batch, similarities."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from anybind.plugin import BadOption, errors
from anybind_train.loss import TrainingBatch


def check_positive(name: str, value: object) -> float:
    """An option that must be a finite number above 0; raises `BadOption`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise BadOption(f"{name} must be a number above 0, got {value!r}")
    return float(value)


def check_flag(name: str, value: object) -> bool:
    """An option that must be true or false; raises `BadOption`."""
    if not isinstance(value, bool):
        raise BadOption(f"{name} must be true or false, got {value!r}")
    return value


def check_choice(name: str, value: str, choices: Iterable[str]) -> str:
    """An option that must be one of some words; raises `BadOption`, offering the nearest."""
    choices = tuple(choices)
    if value not in choices:
        raise BadOption(
            f"{name} must be one of {', '.join(choices)}, got {value!r}{errors.suggest_names(str(value), choices)}"
        )
    return value


def get_field(batch: TrainingBatch, field: str) -> torch.Tensor:
    """A field of a batch, vectors in the precision of the student; raises `BadOption` where there is none."""
    value = getattr(batch, field)
    if value is None:
        raise BadOption(f"a loss needs {field!r} of every batch, and the recipe gives none")
    return value.to(batch.student.dtype) if value.is_floating_point() else value


def compute_similarities(queries: torch.Tensor, keys: torch.Tensor, temperature: float) -> torch.Tensor:
    """(a, d) and (b, d) unit vectors to (a, b) cosines over the temperature."""
    return queries @ keys.T / temperature


def soft_cross_entropy(target: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """-1/n sum_i sum_j p_ij log q_ij, p and q the softmax over j of (n, m) logits `target` and `student`."""
    return -(target.softmax(-1) * student.log_softmax(-1)).sum(-1).mean()
