"""Training of the head `mil`; this module imports torch."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from anybind_vad.heads.mil import PENALTY, MilHead


def train(normal: np.ndarray, abnormal: np.ndarray, head: MilHead) -> dict[str, np.ndarray]:
    """Train a network with one hidden layer; return `weight` (d, hidden), `bias`, `out_weight` (hidden,), `out_bias`.

    Args:
        normal, abnormal: (videos, segments, d) float32.
        head: head with the training options.
    """
    pooled = np.concatenate([normal, abnormal]).reshape(-1, normal.shape[2])
    mean, std = pooled.mean(axis=0), pooled.std(axis=0) + 1e-6
    groups = [torch.from_numpy((bags - mean) / std) for bags in (normal, abnormal)]
    random = np.random.default_rng(head.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(head.seed)
        first, last = torch.nn.Linear(normal.shape[2], head.hidden), torch.nn.Linear(head.hidden, 1)
        parameters = [*first.parameters(), *last.parameters()]
        optimiser = torch.optim.Adam(parameters, lr=head.learning_rate, weight_decay=0.001)
        with torch.no_grad():
            mean_norm = float(torch.relu(first(groups[0])).norm(dim=2).mean()) + 1e-6
        for _ in range(head.steps):
            batch = [bags[torch.from_numpy(random.integers(len(bags), size=head.batch_size))] for bags in groups]
            layers = [functional.dropout(torch.relu(first(bags)), head.dropout) for bags in batch]
            scores = [torch.sigmoid(last(layer)).squeeze(2) for layer in layers]
            if head.loss == "ranking":
                loss = ranking_loss(*scores)
            else:
                scaled = [layer / mean_norm for layer in layers]
                loss = top_k_loss(scores, scaled, min(head.top, head.segments), head.margin)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    weight = first.weight.detach().numpy().T / std[:, None]
    return {
        "weight": weight.astype(np.float32),
        "bias": (first.bias.detach().numpy() - mean @ weight).astype(np.float32),
        "out_weight": last.weight.detach().numpy()[0].copy(),
        "out_bias": last.bias.detach().numpy().copy(),
    }


def ranking_loss(normal: torch.Tensor, abnormal: torch.Tensor) -> torch.Tensor:
    """Compute the loss of Sultani et al. for pairs of a normal and an abnormal video; scores are (videos, segments).

    max(0, 1 - max(abnormal) + max(normal)), plus `PENALTY` times the sum of the squared differences of consecutive
    abnormal scores and the sum of the abnormal scores; the mean over pairs.
    """
    hinge = torch.relu(1 - abnormal.amax(dim=1) + normal.amax(dim=1))
    jumps = abnormal.diff(dim=1).square().sum(dim=1)
    return (hinge + PENALTY * (jumps + abnormal.sum(dim=1))).mean()


def top_k_loss(scores: list[torch.Tensor], layers: list[torch.Tensor], top_k: int, margin: float) -> torch.Tensor:
    """Compute the loss of the `top_k` segments with the largest feature magnitude of each video.

    Binary cross-entropy of their mean score, plus a hinge loss on their mean magnitude.

    Args:
        scores: (videos, segments) of normal and of abnormal videos.
        layers: (videos, segments, hidden), hidden vectors.
        top_k: number of segments per video.
        margin: margin between the mean magnitudes of abnormal and normal videos.
    """
    magnitudes, means = [], []
    for score, layer in zip(scores, layers, strict=True):
        longest = layer.norm(dim=2).topk(top_k, dim=1)
        magnitudes.append(longest.values.mean(dim=1))
        means.append(score.gather(1, longest.indices).mean(dim=1))
    hinge = torch.relu(margin - magnitudes[1] + magnitudes[0]).mean()
    truth = torch.cat([torch.zeros_like(means[0]), torch.ones_like(means[1])])
    return functional.binary_cross_entropy(torch.cat(means), truth) + hinge
