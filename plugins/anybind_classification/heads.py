"""The classification heads `prototypes` and `linear-probe`: linear classifiers on frozen embeddings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from anybind import Embeddings, normalize
from anybind.plugin import BadInput, Head, HeadInput, errors, tables

SCALE = 100.0
"""Factor of cosine similarities if neither the options nor the encoder set one: CLIP's logit scale."""


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
            rows: embeddings of labelled samples, at least one per class.
            labels: class index of each row.
        """

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        (modality,) = self.needs
        row_labels = labels[inputs.rows[modality]]
        missing = sorted(set(range(len(self.classes))) - set(row_labels.tolist()))
        if missing:
            names = ", ".join(self.classes[label] for label in missing)
            raise BadInput(f"the head {self.name!r} has no {modality} embeddings of {names}")
        weight, bias = self.solve(inputs.embeddings[modality][row_labels >= 0], row_labels[row_labels >= 0])
        return {"weight": weight, "bias": bias}

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        (modality,) = self.needs
        rows = inputs.rows[modality]
        logits = np.zeros((len(inputs), len(self.classes)))
        np.add.at(logits, rows, inputs.embeddings[modality].vectors @ self.tensors["weight"].T + self.tensors["bias"])
        return logits / np.maximum(np.bincount(rows, minlength=len(inputs)), 1)[:, None]

    def list_shapes(self) -> dict[str, tuple[int | None, ...]]:
        (modality,) = self.needs
        return {"weight": (len(self.classes), self.made_for[modality].space.dim), "bias": (len(self.classes),)}


class Prototypes(LinearHead):
    """A nearest-prototype classifier: logits are scaled cosine similarities to the mean embedding of each class."""

    name = "prototypes"

    def __init__(self, *, scale: float | None = None, modality: str = "event") -> None:
        """Set the scale.

        Args:
            scale: factor of the cosine similarities, above 0. [default: the encoder's logit scale, else 100]
            modality: modality of the embeddings.

        Raises:
            BadOption: a scale that is not above 0.
        """
        self.scale = None if scale is None else tables.check_number("scale", scale, above=0)
        super().__init__(modality, {"scale": self.scale})

    def solve(self, rows: Embeddings, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        means = [rows.vectors[labels == label].mean(axis=0, dtype=np.float64) for label in range(len(self.classes))]
        prototypes = normalize(np.stack(means), "prototype")
        scale = self.scale or rows.logit_scale or SCALE
        return prototypes * np.float32(scale), np.zeros(len(means), np.float32)


class LinearProbe(LinearHead):
    """A logistic regression with an L2 penalty; logits are log-probabilities up to a constant per sample."""

    name = "linear-probe"

    def __init__(self, *, inverse_penalty: float = 10.0, modality: str = "event") -> None:
        """Set the penalty.

        Args:
            inverse_penalty: C of the logistic regression, above 0; smaller values regularise more.
            modality: modality of the embeddings.

        Raises:
            BadOption: an inverse penalty that is not above 0.
        """
        self.inverse_penalty = tables.check_number("inverse_penalty", inverse_penalty, above=0)
        super().__init__(modality, {"inverse_penalty": self.inverse_penalty})

    def solve(self, rows: Embeddings, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:  # imported here: a fitted head needs no scikit-learn
            from sklearn.linear_model import LogisticRegression
            from threadpoolctl import threadpool_limits
        except ModuleNotFoundError as error:
            raise errors.MissingExtra(
                f"fitting a linear probe needs {error.name}: pip install 'anybind[train]'"
            ) from error
        with threadpool_limits(1):  # thread synchronisation costs more than a problem of this size
            regression = LogisticRegression(C=self.inverse_penalty, max_iter=2000).fit(rows.vectors, labels)
        # float64 in some versions of scikit-learn, whatever the vectors are
        weight, bias = regression.coef_.astype(np.float32), regression.intercept_.astype(np.float32)
        if len(weight) == 1:  # for two classes scikit-learn returns one row: the logit of the second class
            weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
        return weight, bias
