"""The head `residual`: how much of a window lies outside the directions that normal windows take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import anybind
import numpy as np
from anybind.errors import BadOption
from anybind.head import Head, HeadInput


class Residual(Head):
    """Norm of what is left of a window's unit vector, 0 to 2, once the span of normal windows is taken away.

    The span is their mean and the principal directions that hold a share of their variance. See Wang et al., "ViM:
    Out-Of-Distribution with Virtual-logit Matching", CVPR 2022, whose residual this is.
    """

    name = "residual"
    learns = "windows"

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

    def fit(self, sets: Sequence[HeadInput], labels: Sequence[np.ndarray] | Sequence[int]) -> Self:
        """Learn from the windows labelled 0."""
        (modality,) = self.needs
        normal = [
            held.embeddings[modality][np.asarray(marks)[held.rows[modality]] == 0]
            for held, marks in zip(sets, labels, strict=True)
        ]
        if sum(map(len, normal)) < 2:
            raise anybind.BadInput("the head 'residual' needs two normal windows or more to learn from")
        rows = anybind.concatenate(normal)
        self.made_for = {}
        self.remember(rows)
        mean = rows.vectors.mean(axis=0, dtype=np.float64)
        _, sizes, directions = np.linalg.svd(rows.vectors - mean, full_matrices=False)
        held = np.cumsum(sizes**2) / max(float((sizes**2).sum()), 1e-12)
        count = min(int(np.searchsorted(held, self.share)) + 1, len(sizes))
        self.tensors = {"mean": mean, "directions": directions[:count]}
        return self

    def rate(self, windows: HeadInput) -> np.ndarray:
        (modality,) = self.needs
        away = windows.embeddings[modality].vectors - self.tensors["mean"]
        kept = away @ self.tensors["directions"].T @ self.tensors["directions"]
        return windows.largest(modality, np.linalg.norm(away - kept, axis=1))
