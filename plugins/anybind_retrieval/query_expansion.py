"""The ranking head `query-expansion`: similarity to the query averaged with its nearest neighbours."""

from __future__ import annotations

import numpy as np

from anybind import Embeddings
from anybind.plugin import BadInput, BadOption, Head, HeadInput


class QueryExpansion(Head):
    """Alpha-weighted query expansion (alpha-QE): cosine similarity to the expanded query.

    The expanded query is the query plus its nearest samples, each times its cosine similarity (0 where that is
    negative) to the power `alpha` (Radenovic, Tolias and Chum, Fine-tuning CNN image retrieval with no human
    annotation, 2018). `alpha=0` is average query expansion. Similarities between modalities are small, so that samples
    have little weight against a query of another modality: use a small `alpha` there.
    """

    name = "query-expansion"
    predicts = "ranking"

    def __init__(self, *, neighbours: int = 10, alpha: float = 3.0, modality: str | None = None) -> None:
        """Set the options.

        Args:
            neighbours: number of nearest samples added to the query, 1 or more.
            alpha: exponent of their similarities, 0 or more.
            modality: modality of the samples. [default: the only one of the input]

        Raises:
            BadOption: a number is out of range.
        """
        if not isinstance(neighbours, int) or neighbours < 1:
            raise BadOption(f"neighbours: expected a positive integer, got {neighbours!r}")
        if not (isinstance(alpha, int | float) and 0 <= alpha < np.inf):
            raise BadOption(f"alpha: expected a number of at least 0, got {alpha!r}")
        self.neighbours, self.alpha = neighbours, alpha
        needs = () if modality is None else (modality,)
        super().__init__(needs=needs, settings={"neighbours": neighbours, "alpha": alpha, "modality": modality})

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        """Return similarities (queries, n): the largest of a sample's rows; -1 for a sample without rows."""
        assert queries is not None  # `score` checks it
        names = self.needs or tuple(inputs.embeddings)
        if len(names) != 1:
            raise BadInput(
                f"the head {self.name!r} expects embeddings of one modality, got {', '.join(names) or 'none'}"
            )
        candidates = inputs.embeddings[names[0]]
        similarities = (queries @ candidates).astype(np.float64)
        vectors = candidates.vectors.astype(np.float64)
        scores = np.full((len(queries), len(inputs)), -1.0)
        for number, row in enumerate(similarities):
            nearest = np.argsort(-row, kind="stable")[: self.neighbours]
            expanded = queries.vectors[number] + (np.maximum(row[nearest], 0) ** self.alpha) @ vectors[nearest]
            np.maximum.at(scores[number], inputs.rows[names[0]], vectors @ (expanded / np.linalg.norm(expanded)))
        return scores
