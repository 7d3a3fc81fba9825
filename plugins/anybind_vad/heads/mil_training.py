"""Training of the head `mil`; importing this module imports torch."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from anybind_vad.heads.mil import PENALTY, MilHead


def train(normal: np.ndarray, abnormal: np.ndarray, head: MilHead) -> dict[str, np.ndarray]:
    """Weights of a network of one hidden layer: `weight` (d, hidden), `bias`, `out_weight` (hidden,), `out_bias`.

    Args:
        normal, abnormal: (films, segments, d) float32.
        head: its options.
    """
    together = np.concatenate([normal, abnormal]).reshape(-1, normal.shape[2])
    mean, spread = together.mean(axis=0), together.std(axis=0) + 1e-6
    groups = [torch.from_numpy((bags - mean) / spread) for bags in (normal, abnormal)]
    draw = np.random.default_rng(head.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(head.seed)
        first, last = torch.nn.Linear(normal.shape[2], head.hidden), torch.nn.Linear(head.hidden, 1)
        learning = [*first.parameters(), *last.parameters()]
        optimiser = torch.optim.Adam(learning, lr=head.learning_rate, weight_decay=0.001)
        with torch.no_grad():
            unit_length = float(torch.relu(first(groups[0])).norm(dim=2).mean()) + 1e-6
        for _ in range(head.steps):
            chosen = [bags[torch.from_numpy(draw.integers(len(bags), size=head.films))] for bags in groups]
            layers = [functional.dropout(torch.relu(first(bags)), head.dropout) for bags in chosen]
            scores = [torch.sigmoid(last(layer)).squeeze(2) for layer in layers]
            if head.loss == "ranking":
                value = ranking_loss(*scores)
            else:
                scaled = [layer / unit_length for layer in layers]
                value = top_k_loss(scores, scaled, min(head.top, head.segments), head.margin)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    weight = first.weight.detach().numpy().T / spread[:, None]
    return {
        "weight": weight.astype(np.float32),
        "bias": (first.bias.detach().numpy() - mean @ weight).astype(np.float32),
        "out_weight": last.weight.detach().numpy()[0].copy(),
        "out_bias": last.bias.detach().numpy().copy(),
    }


def ranking_loss(normal: torch.Tensor, abnormal: torch.Tensor) -> torch.Tensor:
    """Sultani's loss of scores, (films, segments) each: the i-th abnormal film beside the i-th normal one.

    max(0, 1 - max(abnormal) + max(normal)), and for the abnormal film the sum of the squared differences of
    neighbours and the sum of its scores, both times `PENALTY`; the mean over pairs.
    """
    hinge = torch.relu(1 - abnormal.amax(dim=1) + normal.amax(dim=1))
    jumps = abnormal.diff(dim=1).square().sum(dim=1)
    return (hinge + PENALTY * (jumps + abnormal.sum(dim=1))).mean()


def top_k_loss(scores: list[torch.Tensor], layers: list[torch.Tensor], top: int, margin: float) -> torch.Tensor:
    """Of the `top` longest segments of each film: binary cross-entropy of their mean score, and a hinge on length.

    Args:
        scores: (films, segments) of normal and of abnormal films.
        layers: (films, segments, hidden), the hidden vectors whose lengths count.
        top: how many segments stand for a film.
        margin: by which the mean length of abnormal films shall exceed that of normal ones.
    """
    lengths, means = [], []
    for score, layer in zip(scores, layers, strict=True):
        longest = layer.norm(dim=2).topk(top, dim=1)
        lengths.append(longest.values.mean(dim=1))
        means.append(score.gather(1, longest.indices).mean(dim=1))
    hinge = torch.relu(margin - lengths[1] + lengths[0]).mean()
    truth = torch.cat([torch.zeros_like(means[0]), torch.ones_like(means[1])])
    return functional.binary_cross_entropy(torch.cat(means), truth) + hinge
