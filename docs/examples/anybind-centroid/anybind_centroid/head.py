"""The head `centroid`: cosine similarity to shrunken class means."""

from __future__ import annotations

import numpy as np
from anybind import Embeddings, normalize
from anybind.plugin import BadOption, Head, HeadInput


class Centroid(Head):
    """Cosine similarity to the mean embedding of each class, drawn towards the mean of all classes.

    Shrinking helps where a class has few samples: its own mean is then mostly noise.
    """

    name = "centroid"
    predicts = "classification"
    learns = "samples"

    def __init__(self, *, modality: str, shrinkage: float = 0.1) -> None:
        """Make an unfitted head.

        Args:
            modality: whose embeddings it reads.
            shrinkage: weight of the mean of all classes, 0 to below 1.

        Raises:
            BadOption: a shrinkage out of range.
        """
        if not 0 <= shrinkage < 1:
            raise BadOption(f"shrinkage must be 0 or more and below 1, got {shrinkage}")
        self.modality, self.shrinkage = modality, shrinkage
        super().__init__(needs=(modality,), settings={"modality": modality, "shrinkage": shrinkage})

    def fit_tensors(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        vectors = inputs.embeddings[self.modality].vectors
        row_labels = labels[inputs.rows[self.modality]]
        means = np.stack([vectors[row_labels == number].mean(axis=0) for number in range(len(self.classes))])
        shrunken = (1 - self.shrinkage) * means + self.shrinkage * means.mean(axis=0)
        return {"means": normalize(shrunken)}

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        """Score every sample for every class, (n, classes); 0 for a sample without rows."""
        scores = np.zeros((len(inputs), len(self.classes)))
        scores[inputs.rows[self.modality]] = inputs.embeddings[self.modality].vectors @ self.tensors["means"].T
        return scores
