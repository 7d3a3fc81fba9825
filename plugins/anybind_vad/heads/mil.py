"""The head `mil`: multiple-instance learning from labels of whole videos."""

from __future__ import annotations

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadInput, BadOption, Head, HeadInput
from anybind_vad.presets import check_count

LOSSES = ("ranking", "top-k")
PENALTY = 8e-5
"""Weight of smoothness and of sparsity, as Sultani et al. give it."""


class MilHead(Head):
    """A small network on each window's embedding, learned from labels of whole films; scores are 0 to 1.

    `ranking`: the highest window of an abnormal film shall lie above the highest of a normal one, with penalties on
    jumps and on the sum of the scores (Sultani, Chen and Shah, Real-world anomaly detection in surveillance videos,
    2018). `top-k`: the windows with the longest hidden vectors stand for their film; they shall be longer in abnormal
    films by a margin, and their mean score is trained as the film's label (after Tian et al., Weakly-supervised video
    anomaly detection with robust temporal feature magnitude learning, 2021, without its network over time).
    """

    name = "mil"
    predicts = "anomaly"
    learns = "groups"

    def __init__(
        self,
        *,
        loss: str = "ranking",
        hidden: int = 64,
        segments: int = 32,
        top: int = 3,
        margin: float = 1.0,
        steps: int = 400,
        films: int = 30,
        rate: float = 0.003,
        dropout: float = 0.3,
        seed: int = 0,
        modality: str = "event",
    ) -> None:
        """Set the network and its training.

        Args:
            loss: `ranking` or `top-k`.
            hidden: width of the network's one hidden layer.
            segments: parts of equal length that a film is divided into for training, each the mean of its windows.
            top: segments that stand for a film, of `top-k`.
            margin: how much longer, of `top-k`, in units of a hidden vector's mean length at the beginning.
            steps: of training, each on `films` abnormal and as many normal films, drawn with the seed.
            films: see `steps`.
            rate: learning rate (Adam, with weight decay 0.001).
            dropout: share of the hidden layer that is left out at each step.
            seed: of all chance.
            modality: whose embeddings it reads.

        Raises:
            BadOption: no such loss, or numbers out of their range.
        """
        if loss not in LOSSES:
            raise BadOption(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
        counts = {"hidden": hidden, "segments": segments, "top": top, "steps": steps, "films": films}
        for name, count in counts.items():
            check_count(name, count)
        if not (rate > 0 and margin >= 0 and 0 <= dropout < 1 and seed >= 0):
            raise BadOption("rate must be above 0, margin and seed 0 or more, and dropout from 0 to below 1")
        self.loss, self.hidden, self.segments, self.top, self.margin = loss, hidden, segments, top, margin
        self.steps, self.films, self.learning_rate, self.dropout, self.seed = steps, films, rate, dropout, seed
        settings = {
            "loss": loss, "hidden": hidden, "segments": segments, "top": top, "margin": margin, "steps": steps,
            "films": films, "rate": rate, "dropout": dropout, "seed": seed, "modality": modality,
        }  # fmt: skip
        super().__init__(needs=(modality,), settings=settings)

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Return the network's weights, trained on videos labelled 0 (normal) and 1 (abnormal somewhere).

        Videos without embeddings, or of unknown label, are left out.
        """
        (modality,) = self.needs
        vectors, groups = inputs.embeddings[modality].vectors, inputs.groups[inputs.rows[modality]]
        bags: dict[int, list[np.ndarray]] = {-1: [], 0: [], 1: []}
        for group in np.unique(groups):
            bags[int(labels[group])].append(_segments(vectors[groups == group], self.segments))
        if not (bags[0] and bags[1]):
            raise BadInput(
                f"the head 'mil' needs normal and abnormal videos to learn from, got {len(bags[0])} and {len(bags[1])}"
            )
        from anybind_vad.heads.mil_training import train  # torch, which scoring does not need

        return train(np.stack(bags[0]), np.stack(bags[1]), self)

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        (modality,) = self.needs
        held = self.tensors
        hidden = np.maximum(inputs.embeddings[modality].vectors @ held["weight"] + held["bias"], 0)
        logits = (hidden @ held["out_weight"] + held["out_bias"]).astype(np.float64)
        return inputs.max_by_sample(modality, 1 / (1 + np.exp(-logits)))


def _segments(vectors: np.ndarray, count: int) -> np.ndarray:
    """A film's rows as the means of `count` parts of equal length, (count, d); a short film's rows stand repeatedly."""
    edges = np.linspace(0, len(vectors), count + 1)
    firsts = np.minimum(np.floor(edges[:-1]).astype(int), len(vectors) - 1)
    lasts = np.maximum(firsts + 1, np.floor(edges[1:]).astype(int))
    return np.stack([vectors[first:last].mean(axis=0) for first, last in zip(firsts, lasts, strict=True)])
