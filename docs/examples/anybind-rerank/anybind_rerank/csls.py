"""The head `csls`: cosine similarity, corrected for hubs among the candidates."""

from __future__ import annotations

import numpy as np
from anybind import Embeddings
from anybind.plugin import BadInput, BadOption, Head, HeadInput


class Csls(Head):
    """Twice the cosine similarity of query and candidate, less the mean similarity of the candidate to its nearest.

    Hubs, candidates in a dense region, are near too many queries (Conneau et al., ICLR 2018: cross-domain similarity
    local scaling). The query's own density is left out: it is the same for all candidates of a query.
    """

    name = "csls"
    predicts = "ranking"

    def __init__(self, *, neighbours: int = 10) -> None:
        """Make the head; it needs no fitting.

        Args:
            neighbours: nearest other candidates whose similarity is averaged, 1 or more.

        Raises:
            BadOption: neighbours below 1.
        """
        if neighbours < 1:
            raise BadOption(f"neighbours must be 1 or more, got {neighbours}")
        self.neighbours = neighbours
        super().__init__(settings={"neighbours": neighbours})

    def compute_scores(self, inputs: HeadInput, queries: Embeddings | None) -> np.ndarray:
        """Score every candidate for every query, (queries, n); 0 for a candidate without rows."""
        if queries is None or len(inputs.embeddings) != 1:
            raise BadInput(f"the head 'csls' ranks candidates of one modality, got {', '.join(inputs.embeddings)}")
        ((modality, candidates),) = inputs.embeddings.items()
        similarity = candidates @ candidates
        np.fill_diagonal(similarity, -np.inf)
        count = min(self.neighbours, len(candidates) - 1)
        density = np.sort(similarity, axis=0)[-count:].mean(axis=0) if count > 0 else 0.0
        scores = np.zeros((len(queries), len(inputs)))
        scores[:, inputs.rows[modality]] = 2 * (queries @ candidates) - density
        return scores
