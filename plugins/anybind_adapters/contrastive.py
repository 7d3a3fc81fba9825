"""Training of a linear layer, with or without a hidden layer, by InfoNCE over pairs of embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch.nn import functional

from anybind.plugin import BadOption, loops
from anybind_adapters.closed_form import fit_ridge, split_folds

Tensors = dict[str, torch.Tensor]
N_FOLDS = 10
"""The first of this many folds of groups is held out for early stopping."""


@dataclass(frozen=True)
class TrainingSettings:
    """The training options, see `Linear.fit`; `BadOption` for an invalid value."""

    seed: int
    temperature: float
    lr: float
    epochs: int
    batch_size: int
    patience: int

    def __post_init__(self) -> None:
        for name in ("temperature", "lr"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise BadOption(f"{name}: expected a number above 0, got {value!r}")
        for name, minimum in (("epochs", 1), ("batch_size", 2), ("patience", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < minimum:
                raise BadOption(f"{name}: expected a whole number of at least {minimum}, got {value!r}")


def train_layers(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, training: TrainingSettings, hidden: int = 0
) -> tuple[Tensors, dict[str, object]]:
    """Train a linear layer (plus a hidden layer of `hidden` units) that maps x (n, d) to y (n, e).

    The linear layer starts at the ridge solution and the hidden layer's output at 0. The best state on the held-out
    groups is returned, the initial one included; the ridge solution is not fitted on them.

    Returns:
        the tensors, and the settings with `best_epoch`, 0 for the initial state, and its and the best `losses`.
    """
    val_rows, *folds = split_folds(groups, N_FOLDS, training.seed)
    train_rows = np.sort(np.concatenate(folds))
    ridge = fit_ridge(x[train_rows], y[train_rows], groups[train_rows], seed=training.seed)
    state = _init_state(ridge.weight, ridge.bias, hidden, training.seed)
    train, val = (_select_tensors(x, y, groups, rows) for rows in (train_rows, val_rows))
    best_epoch, losses = _optimise(state, train, val, training)
    outcome = {"best_epoch": best_epoch, "losses": losses, "strength": ridge.settings["strength"]}
    return state, {**asdict(training), **outcome, **({"hidden": hidden} if hidden else {})}


def apply_layers(state: Mapping[str, torch.Tensor], vectors: torch.Tensor) -> torch.Tensor:
    """Apply the linear layer, and the hidden layer if present, to (n, d) embeddings: (n, e)."""
    out = vectors @ state["weight"] + state["bias"]
    if "inner" in state:
        out = out + functional.gelu(vectors @ state["inner"] + state["inner_bias"]) @ state["outer"]
    return out


def info_nce(mapped: torch.Tensor, targets: torch.Tensor, groups: torch.Tensor, temperature: float) -> torch.Tensor:
    """Compute the symmetric InfoNCE loss over the cosines of a batch.

    Args:
        mapped: (n, d), of any norm.
        targets: (n, d), of norm 1.
        groups: (n,); other pairs of the same group are not negatives.
        temperature: of the softmax.
    """
    logits = functional.normalize(mapped) @ targets.T / temperature
    same_group = (groups[:, None] == groups[None]) & ~torch.eye(len(groups), dtype=torch.bool)
    logits = logits.masked_fill(same_group, -math.inf)
    partners = torch.arange(len(groups))
    return (functional.cross_entropy(logits, partners) + functional.cross_entropy(logits.T, partners)) / 2


def _init_state(weight: np.ndarray, bias: np.ndarray, hidden: int, seed: int) -> Tensors:
    state = {"weight": torch.from_numpy(weight).float(), "bias": torch.from_numpy(bias).float()}
    if hidden:
        generator = torch.Generator().manual_seed(seed)
        # Inputs have norm 1, so that pre-activations have standard deviation 1.
        state["inner"] = torch.randn(len(weight), hidden, generator=generator)
        state["inner_bias"] = torch.zeros(hidden)
        state["outer"] = torch.zeros(hidden, len(bias))
    return state


def _select_tensors(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
    return torch.from_numpy(x[rows]), torch.from_numpy(y[rows]), torch.from_numpy(groups[rows])


def _optimise(
    state: Tensors, train: tuple[torch.Tensor, ...], val: tuple[torch.Tensor, ...], training: TrainingSettings
) -> tuple[int, list[float]]:
    """Train the state in place; return the best epoch, and the initial and the best validation loss."""
    generator = torch.Generator().manual_seed(training.seed)
    parameters = {name: tensor.clone().requires_grad_() for name, tensor in state.items()}
    optimiser = torch.optim.Adam(parameters.values(), lr=training.lr)
    initial = best = _compute_loss(state, val, training)
    best_epoch = 0
    with loops.progress_bar(training.epochs, "training the adapter") as advance:
        for epoch in range(1, training.epochs + 1):
            order = torch.randperm(len(train[0]), generator=generator)
            for batch in order.split(training.batch_size):
                if len(batch) < 2:
                    continue
                x, y, groups = (column[batch] for column in train)
                optimiser.zero_grad()
                info_nce(apply_layers(parameters, x), y, groups, training.temperature).backward()
                optimiser.step()
            loss = _compute_loss(parameters, val, training)
            if loss < best:
                best, best_epoch = loss, epoch
                state.update({name: tensor.detach().clone() for name, tensor in parameters.items()})
            advance(1, f"loss {loss:.4f}")
            if epoch - best_epoch >= training.patience:
                break
    return best_epoch, [initial, best]


@torch.no_grad()
def _compute_loss(
    state: Mapping[str, torch.Tensor], val: tuple[torch.Tensor, ...], training: TrainingSettings
) -> float:
    """Compute the validation loss in fixed batches of about equal size, since InfoNCE depends on the batch."""
    n = len(val[0])
    count = max(1, round(n / training.batch_size))
    total = 0.0
    for rows in torch.randperm(n, generator=torch.Generator().manual_seed(training.seed)).tensor_split(count):
        x, y, groups = (column[rows] for column in val)
        total += float(info_nce(apply_layers(state, x), y, groups, training.temperature)) * len(rows)
    return total / n
