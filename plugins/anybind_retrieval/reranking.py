"""Re-ranking of the first results of a search by a ranking head."""

from __future__ import annotations

import numpy as np

from anybind import Embeddings, normalize
from anybind.plugin import Head, HeadInput
from anybind_retrieval.index import Index
from anybind_retrieval.ranking import SearchHit, nearest

DEPTH = 100
"""Results of the search that are re-ranked, by default."""


def rerank(
    index: Index, kind: str, query: Embeddings, head: Head, top: int, *, depth: int = DEPTH, without: str = ""
) -> list[SearchHit]:
    """Rank the first results of a search by the scores of a head.

    Args:
        index: where to search.
        kind: the kind of file to search among.
        query: one row.
        head: a ranking head, prepared.
        top: number of hits to return.
        depth: number of results that the head ranks, by cosine similarity; at least `top` are.
        without: a path to leave out: the query's own.

    Returns:
        the hits by score, largest first, ties by cosine similarity; `SearchHit.reranked` is the score.

    Raises:
        BadInput: the index is damaged, or the head needs embeddings that it does not hold.
        SpaceMismatch, WeightsMismatch: the head was made for embeddings of another space or encoder.
    """
    entries, cosines, vectors = nearest(index, kind, query.vectors[0], max(top, depth), without)
    if not entries:
        return []
    shelf = index.card.shelves[kind]
    ids = tuple(entry.name for entry in entries)
    candidates = Embeddings(normalize(vectors), index.card.space, shelf.modality, ids, shelf.encoder)
    scores = head.score(HeadInput({shelf.modality: candidates}), query)[0]
    order = np.argsort(-scores, kind="stable")[:top]
    return [
        SearchHit(kind, rank, float(cosines[row]), entries[row], float(scores[row]))
        for rank, row in enumerate(order, start=1)
    ]
