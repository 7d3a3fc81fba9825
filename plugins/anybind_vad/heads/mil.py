"""The head `mil`: multiple-instance learning from labels of whole videos."""

from __future__ import annotations

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadInput, BadOption, Head, HeadInput, errors
from anybind_vad.presets import check_count

LOSSES = ("ranking", "top-k")
PENALTY = 8e-5
"""Weight of the smoothness and sparsity terms (Sultani et al.)."""


class MilHead(Head):
    """A network with one hidden layer on window embeddings, trained with labels of whole videos; scores are 0 to 1.

    `ranking`: a hinge loss between the highest scores of an abnormal and a normal video, with smoothness and sparsity
    terms (Sultani, Chen and Shah, Real-world anomaly detection in surveillance videos, 2018). `top-k`: binary
    cross-entropy of the mean score of the k segments with the largest feature magnitude, and a hinge loss between the
    magnitudes in abnormal and normal videos (after Tian et al., Weakly-supervised video anomaly detection with robust
    temporal feature magnitude learning, 2021, without its temporal network).

    The names of the options are part of the file format of saved heads.
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
        batch_size: int = 30,
        rate: float = 0.003,
        dropout: float = 0.3,
        seed: int = 0,
        modality: str = "event",
    ) -> None:
        """Set the network and its training.

        Args:
            loss: `ranking` or `top-k`.
            hidden: width of the hidden layer.
            segments: segments of equal length per video in training, each the mean of its windows.
            top: segments per video in the loss `top-k`.
            margin: margin of the loss `top-k`, in units of the initial mean norm of hidden vectors.
            steps: training steps.
            batch_size: batch size: abnormal, and as many normal, videos drawn per step.
            rate: learning rate (Adam, weight decay 0.001).
            dropout: dropout probability of the hidden layer.
            seed: seed of initialisation, batches and dropout.
            modality: modality of the embeddings.

        Raises:
            BadOption: no such loss, or a number is out of range.
        """
        if loss not in LOSSES:
            raise BadOption(f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}")
        counts = {"hidden": hidden, "segments": segments, "top": top, "steps": steps, "batch_size": batch_size}
        for name, count in counts.items():
            check_count(name, count)
        if not (rate > 0 and margin >= 0 and 0 <= dropout < 1 and seed >= 0):
            raise BadOption(
                "expected rate > 0, margin >= 0, seed >= 0 and 0 <= dropout < 1, got"
                f" rate={rate}, margin={margin}, seed={seed}, dropout={dropout}"
            )
        self.loss, self.hidden, self.segments, self.top, self.margin = loss, hidden, segments, top, margin
        self.steps, self.batch_size, self.learning_rate, self.dropout, self.seed = (
            steps,
            batch_size,
            rate,
            dropout,
            seed,
        )
        settings = {
            "loss": loss, "hidden": hidden, "segments": segments, "top": top, "margin": margin, "steps": steps,
            "batch_size": batch_size, "rate": rate, "dropout": dropout, "seed": seed, "modality": modality,
        }  # fmt: skip
        super().__init__(needs=(modality,), settings=settings)

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Train on videos labelled 0 (normal) and 1 (with an abnormal segment); return the weights.

        Videos without embeddings, or with the label -1 (unknown), are ignored.
        """
        (modality,) = self.needs
        vectors, groups = inputs.embeddings[modality].vectors, inputs.groups[inputs.rows[modality]]
        bags: dict[int, list[np.ndarray]] = {-1: [], 0: [], 1: []}
        for group in np.unique(groups):
            bags[int(labels[group])].append(_average_segments(vectors[groups == group], self.segments))
        if not (bags[0] and bags[1]):
            counts = f"{len(bags[0])} and {len(bags[1])}"
            raise BadInput(f"the head 'mil': expected normal and abnormal videos to be fitted on, got {counts}")
        try:  # imported here: scoring needs no torch
            from anybind_vad.heads.mil_training import train
        except ModuleNotFoundError as error:
            raise errors.MissingExtra(
                f"fitting the head 'mil' needs {error.name}: pip install 'anybind[train]'"
            ) from error
        return train(np.stack(bags[0]), np.stack(bags[1]), self)

    def list_shapes(self) -> dict[str, tuple[int | None, ...]]:
        dim = self.made_for[self.needs[0]].space.dim
        return {"weight": (dim, self.hidden), "bias": (self.hidden,), "out_weight": (self.hidden,), "out_bias": (1,)}

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        (modality,) = self.needs
        tensors = self.tensors
        hidden = np.maximum(inputs.embeddings[modality].vectors @ tensors["weight"] + tensors["bias"], 0)
        logits = (hidden @ tensors["out_weight"] + tensors["out_bias"]).astype(np.float64)
        return inputs.max_by_sample(modality, 1 / (1 + np.exp(-logits)))


def _average_segments(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the means (count, d) of segments of equal length; rows of a short video are repeated."""
    edges = np.linspace(0, len(vectors), count + 1)
    firsts = np.minimum(np.floor(edges[:-1]).astype(int), len(vectors) - 1)
    lasts = np.maximum(firsts + 1, np.floor(edges[1:]).astype(int))
    return np.stack([vectors[first:last].mean(axis=0) for first, last in zip(firsts, lasts, strict=True)])
