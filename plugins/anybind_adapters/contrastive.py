"""Training of a single layer, or of a small network beside it, by InfoNCE over pairs of vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch.nn import functional

from anybind.plugin import BadOption, progress_bar
from anybind_adapters.closed_form import fold_rows, ridge_map

Tensors = dict[str, torch.Tensor]
LEFT_OUT = 10
"""One in so many groups is left out of the training to say when to stop."""


@dataclass(frozen=True)
class Training:
    """How a layer is trained; see `Linear.fit`. Raises `BadOption` when it makes no sense."""

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
                raise BadOption(f"{name} must be a number above 0, got {value!r}")
        for name, least in (("epochs", 1), ("batch_size", 2), ("patience", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise BadOption(f"{name} must be a whole number of at least {least}, got {value!r}")


def train(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, training: Training, hidden: int = 0
) -> tuple[Tensors, dict[str, object]]:
    """Tensors of a layer (and of a network of `hidden` units beside it) that brings x (n, d) to y (n, e).

    The layer starts at the ridge solution and the network at giving nothing. The state with the least loss on the
    groups left out, which the ridge solution has not seen either, is kept, the first one included.

    Returns:
        the tensors, and the settings with what came of them: `best_epoch`, 0 for the start, and the two losses.
    """
    left_out, *rest = fold_rows(groups, LEFT_OUT, training.seed)
    kept = np.sort(np.concatenate(rest))
    start = ridge_map(x[kept], y[kept], groups[kept], seed=training.seed)
    state = _start(start.weight, start.bias, hidden, training.seed)
    fit, check = (_tensors(x, y, groups, rows) for rows in (kept, left_out))
    best_epoch, losses = _descend(state, fit, check, training)
    found = {"best_epoch": best_epoch, "losses": losses, "strength": start.settings["strength"]}
    return state, {**asdict(training), **found, **({"hidden": hidden} if hidden else {})}


def layer(state: Mapping[str, torch.Tensor], vectors: torch.Tensor) -> torch.Tensor:
    """What the layer, and the network where there is one, makes of (n, d) vectors: (n, e)."""
    out = vectors @ state["weight"] + state["bias"]
    if "inner" in state:
        out = out + functional.gelu(vectors @ state["inner"] + state["inner_bias"]) @ state["outer"]
    return out


def info_nce(given: torch.Tensor, wanted: torch.Tensor, groups: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean of both directions' cross-entropy of finding the own partner by cosine among all of the batch.

    Args:
        given: (n, d), of any norm.
        wanted: (n, d), of norm 1.
        groups: (n,); a pair is not held against others of its group.
        temperature: of the softmax.
    """
    logits = functional.normalize(given) @ wanted.T / temperature
    twins = (groups[:, None] == groups[None]) & ~torch.eye(len(groups), dtype=torch.bool)
    logits = logits.masked_fill(twins, -math.inf)
    own = torch.arange(len(groups))
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def _start(weight: np.ndarray, bias: np.ndarray, hidden: int, seed: int) -> Tensors:
    state = {"weight": torch.from_numpy(weight).float(), "bias": torch.from_numpy(bias).float()}
    if hidden:
        generator = torch.Generator().manual_seed(seed)
        # Inputs are of norm 1, so that this gives units of spread 1.
        state["inner"] = torch.randn(len(weight), hidden, generator=generator)
        state["inner_bias"] = torch.zeros(hidden)
        state["outer"] = torch.zeros(hidden, len(bias))
    return state


def _tensors(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
    return torch.from_numpy(x[rows]), torch.from_numpy(y[rows]), torch.from_numpy(groups[rows])


def _descend(
    state: Tensors, fit: tuple[torch.Tensor, ...], check: tuple[torch.Tensor, ...], training: Training
) -> tuple[int, list[float]]:
    """Train the state in place and leave the best one there; the best epoch, and the first and the best loss."""
    generator = torch.Generator().manual_seed(training.seed)
    moving = {name: tensor.clone().requires_grad_() for name, tensor in state.items()}
    optimiser = torch.optim.Adam(moving.values(), lr=training.lr)
    first = least = _loss_of(state, check, training)
    best_epoch = 0
    with progress_bar(training.epochs, "training the adapter") as advance:
        for epoch in range(1, training.epochs + 1):
            order = torch.randperm(len(fit[0]), generator=generator)
            for batch in order.split(training.batch_size):
                if len(batch) < 2:
                    continue
                x, y, groups = (column[batch] for column in fit)
                optimiser.zero_grad()
                info_nce(layer(moving, x), y, groups, training.temperature).backward()
                optimiser.step()
            loss = _loss_of(moving, check, training)
            if loss < least:
                least, best_epoch = loss, epoch
                state.update({name: tensor.detach().clone() for name, tensor in moving.items()})
            advance(1, f"loss {loss:.4f}")
            if epoch - best_epoch >= training.patience:
                break
    return best_epoch, [first, least]


@torch.no_grad()
def _loss_of(state: Mapping[str, torch.Tensor], check: tuple[torch.Tensor, ...], training: Training) -> float:
    """Loss on the pairs left out, in batches of the same pairs each time, all of about one size."""
    n = len(check[0])
    count = max(1, round(n / training.batch_size))
    total = 0.0
    for rows in torch.randperm(n, generator=torch.Generator().manual_seed(training.seed)).tensor_split(count):
        x, y, groups = (column[rows] for column in check)
        total += float(info_nce(layer(state, x), y, groups, training.temperature)) * len(rows)
    return total / n
