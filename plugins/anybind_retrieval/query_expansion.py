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
    weigh little against a query of another modality: there, use a small `alpha`.
    """

    name = "query-expansion"
    predicts = "ranking"

    def __init__(self, *, neighbours: int = 10, alpha: float = 3.0, modality: str | None = None) -> None:
        """Set the expansion.

        Args:
            neighbours: how many nearest samples are added to the query, 1 or more.
            alpha: exponent of their similarities, 0 or more.
            modality: whose embeddings are ranked. [default: the only ones there are]

        Raises:
            BadOption: numbers out of range.
        """
        if not isinstance(neighbours, int) or neighbours < 1:
            raise BadOption(f"neighbours must be a whole number above 0, got {neighbours!r}")
        if not (isinstance(alpha, int | float) and 0 <= alpha < np.inf):
            raise BadOption(f"alpha must be a number, 0 or more, got {alpha!r}")
        self.neighbours, self.alpha = neighbours, alpha
        needs = () if modality is None else (modality,)
        super().__init__(needs=needs, settings={"neighbours": neighbours, "alpha": alpha, "modality": modality})

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        """Return the similarities (queries, n); a sample of several rows has that of its nearest, without rows -1."""
        assert queries is not None  # `score` has checked it
        names = self.needs or tuple(inputs.embeddings)
        if len(names) != 1:
            raise BadInput(f"the head {self.name!r} ranks embeddings of one modality, got {', '.join(names) or 'none'}")
        rows = inputs.embeddings[names[0]]
        similarities = (queries @ rows).astype(np.float64)
        vectors = rows.vectors.astype(np.float64)
        scores = np.full((len(queries), len(inputs)), -1.0)
        for number, each in enumerate(similarities):
            nearest = np.argsort(-each, kind="stable")[: self.neighbours]
            expanded = queries.vectors[number] + (np.maximum(each[nearest], 0) ** self.alpha) @ vectors[nearest]
            np.maximum.at(scores[number], inputs.rows[names[0]], vectors @ (expanded / np.linalg.norm(expanded)))
        return scores
