"""Functions that the losses share: checks of options, the fields of a batch, similarities."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from anybind.plugin import BadOption, errors
from anybind_train.loss import TrainingBatch


def check_positive(name: str, value: object) -> float:
    """Return an option that is a finite number above 0; raise `BadOption` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise BadOption(f"{name}: expected a number above 0, got {value!r}")
    return float(value)


def check_flag(name: str, value: object) -> bool:
    """Return an option that is true or false; raise `BadOption` otherwise."""
    if not isinstance(value, bool):
        raise BadOption(f"{name}: expected true or false, got {value!r}")
    return value


def check_choice(name: str, value: str, choices: Iterable[str]) -> str:
    """Return an option that is one of the choices; raise `BadOption` with the nearest ones otherwise."""
    choices = tuple(choices)
    if value not in choices:
        near = errors.suggest_names(str(value), choices)
        raise BadOption(f"{name}: expected one of {', '.join(choices)}, got {value!r}{near}")
    return value


class LearnableScale:
    """A number above 0 of a loss, such as a temperature: constant, or learned by its logarithm.

    Attributes:
        parameters: `log_NAME` if it is learned; else empty.
    """

    def __init__(self, name: str, value: object, learn: object) -> None:
        """Check the value and the flag `learn_NAME`; raise `BadOption` if one is invalid."""
        self._constant = check_positive(name, value)
        self.parameters: dict[str, torch.nn.Parameter] = {}
        if check_flag(f"learn_{name}", learn):
            self.parameters[f"log_{name}"] = torch.nn.Parameter(torch.tensor(self._constant).log())

    @property
    def value(self) -> float | torch.Tensor:
        """The number, with gradients if it is learned."""
        for parameter in self.parameters.values():
            return parameter.exp()
        return self._constant


def get_field(batch: TrainingBatch, name: str) -> torch.Tensor:
    """Return a field of a batch, embeddings in the student's precision; raise `BadOption` if it is None."""
    value = getattr(batch, name)
    if value is None:
        raise BadOption(f"a loss needs {name!r} in every batch, and the recipe has none")
    return value.to(batch.student.dtype) if value.is_floating_point() else value


def compute_similarities(queries: torch.Tensor, keys: torch.Tensor, temperature: float | torch.Tensor) -> torch.Tensor:
    """Compute the (a, b) products of (a, d) and (b, d) embeddings over the temperature; of norm 1, they are cosines."""
    return queries @ keys.T / temperature


def soft_cross_entropy(target: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Compute -1/n sum_i sum_j p_ij log q_ij, p and q the softmax over j of (n, m) logits `target` and `student`."""
    return -(target.softmax(-1) * student.log_softmax(-1)).sum(-1).mean()
