"""The head `residual`: how much of a window lies outside the directions that normal windows take."""

from __future__ import annotations

import anybind
import numpy as np
from anybind.plugin import BadInput, BadOption, Head, HeadInput


class Residual(Head):
    """Norm of what is left of a window's unit vector, 0 to 2, once the span of normal windows is taken away.

    The span is their mean and the principal directions that hold a share of their variance. See Wang et al., "ViM:
    Out-Of-Distribution with Virtual-logit Matching", CVPR 2022, whose residual this is.
    """

    name = "residual"
    predicts = "anomaly"
    learns = "samples"

    def __init__(self, *, share: float = 0.9, modality: str = "event") -> None:
        """Set what counts as normal.

        Args:
            share: of the variance of normal windows that the directions hold, above 0 and below 1.
            modality: whose embeddings are looked at.

        Raises:
            BadOption: a share outside 0 to 1.
        """
        if not isinstance(share, int | float) or not 0 < share < 1:
            raise BadOption(f"share must be above 0 and below 1, got {share!r}")
        self.share = float(share)
        super().__init__(needs=(modality,), settings={"share": self.share, "modality": modality})

    def learn(self, inputs: HeadInput, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Return the mean and the principal directions of the windows labelled 0."""
        (modality,) = self.needs
        rows = inputs.embeddings[modality].vectors[labels[inputs.rows[modality]] == 0]
        if len(rows) < 2:
            raise BadInput("the head 'residual' needs two normal windows or more to learn from")
        mean = rows.mean(axis=0, dtype=np.float64)
        _, sizes, directions = np.linalg.svd(rows - mean, full_matrices=False)
        held = np.cumsum(sizes**2) / max(float((sizes**2).sum()), 1e-12)
        count = min(int(np.searchsorted(held, self.share)) + 1, len(sizes))
        return {"mean": mean, "directions": directions[:count]}

    def rate(self, inputs: HeadInput, queries: anybind.Embeddings | None) -> np.ndarray:
        (modality,) = self.needs
        away = inputs.embeddings[modality].vectors - self.tensors["mean"]
        kept = away @ self.tensors["directions"].T @ self.tensors["directions"]
        return inputs.largest(modality, np.linalg.norm(away - kept, axis=1))
