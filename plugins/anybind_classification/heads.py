"""The classification heads `prototypes` and `linear-probe`: linear classifiers on frozen embeddings."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Self

import numpy as np

from anybind import Embeddings, normalize
from anybind.plugin import BadInput, BadOption, Head, HeadInput, errors

SCALE = 100.0
"""Factor of cosine similarities where neither the options nor the encoder give one: CLIP's."""


class LinearHead(Head):
    """A linear classifier: logits are embeddings times weights plus biases, averaged over a sample's rows.

    A sample without rows has logits of 0.
    """

    predicts = "classification"
    learns = "samples"

    def __init__(self, modality: str, settings: Mapping[str, object]) -> None:
        super().__init__(needs=(modality,), settings={**settings, "modality": modality})

    @abstractmethod
    def solve(self, rows: Embeddings, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights (classes, d) and biases (classes,).

        Args:
            rows: embeddings of labelled samples, one or more of each class.
            labels: the class number of each row.
        """

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        (modality,) = self.needs
        of_rows = labels[inputs.rows[modality]]
        missing = sorted(set(range(len(self.classes))) - set(of_rows.tolist()))
        if missing:
            names = ", ".join(self.classes[number] for number in missing)
            raise BadInput(f"the head {self.name!r} has no {modality} embeddings of {names}")
        weight, bias = self.solve(inputs.embeddings[modality][of_rows >= 0], of_rows[of_rows >= 0])
        return {"weight": weight, "bias": bias}

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        (modality,) = self.needs
        rows = inputs.rows[modality]
        logits = np.zeros((len(inputs), len(self.classes)))
        np.add.at(logits, rows, inputs.embeddings[modality].vectors @ self.tensors["weight"].T + self.tensors["bias"])
        return logits / np.maximum(np.bincount(rows, minlength=len(inputs)), 1)[:, None]

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Load what `save` wrote; see `Head.load`.

        Raises:
            BadInput: also where weights or biases are missing, not finite, or do not fit the classes and the space.
        """
        super().load(path)
        (modality,) = self.needs
        dim = self.made_for[modality].space.dim
        for name, shape in (("weight", (len(self.classes), dim)), ("bias", (len(self.classes),))):
            held = self.tensors.get(name, np.empty(0))
            if held.shape != shape or not np.isfinite(held).all():
                raise BadInput(f"{path} is damaged: expected {name} of {shape} finite numbers, got shape {held.shape}")
        return self


class Prototypes(LinearHead):
    """The nearest class prototype: logits are cosine similarities to each class's mean embedding, times a scale."""

    name = "prototypes"

    def __init__(self, *, scale: float | None = None, modality: str = "event") -> None:
        """Set the scale.

        Args:
            scale: factor of the cosine similarities, above 0. [default: the encoder's logit scale, else 100]
            modality: whose embeddings are classified.

        Raises:
            BadOption: a scale that is not above 0.
        """
        if scale is not None and not (isinstance(scale, int | float) and 0 < scale < np.inf):
            raise BadOption(f"scale must be a number above 0, got {scale!r}")
        self.scale = scale
        super().__init__(modality, {"scale": scale})

    def solve(self, rows: Embeddings, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        means = [rows.vectors[labels == number].mean(axis=0, dtype=np.float64) for number in range(len(self.classes))]
        prototypes = normalize(np.stack(means), "prototype")
        scale = self.scale or rows.logit_scale or SCALE
        return prototypes * np.float32(scale), np.zeros(len(means), np.float32)


class LinearProbe(LinearHead):
    """A logistic regression with an L2 penalty; logits are log-probabilities but for a constant per sample."""

    name = "linear-probe"

    def __init__(self, *, inverse_penalty: float = 10.0, modality: str = "event") -> None:
        """Set the penalty.

        Args:
            inverse_penalty: C of the logistic regression, above 0; smaller is a stronger penalty.
            modality: whose embeddings are classified.

        Raises:
            BadOption: an inverse penalty that is not above 0.
        """
        if not (isinstance(inverse_penalty, int | float) and 0 < inverse_penalty < np.inf):
            raise BadOption(f"inverse_penalty must be a number above 0, got {inverse_penalty!r}")
        self.inverse_penalty = inverse_penalty
        super().__init__(modality, {"inverse_penalty": inverse_penalty})

    def solve(self, rows: Embeddings, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:  # imported here: a fitted head scores without it
            from sklearn.linear_model import LogisticRegression
            from threadpoolctl import threadpool_limits
        except ModuleNotFoundError as error:
            raise errors.MissingExtra(
                f"fitting a linear probe needs {error.name}: pip install 'anybind[train]'"
            ) from error
        with threadpool_limits(1):  # so small a problem is solved far sooner than threads agree about it
            fitted = LogisticRegression(C=self.inverse_penalty, max_iter=2000).fit(rows.vectors, labels)
        weight, bias = fitted.coef_, fitted.intercept_
        if len(weight) == 1:  # scikit-learn gives two classes one row: the logit of the second against the first
            weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
        return weight, bias
