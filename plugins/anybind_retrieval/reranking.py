"""Re-ranking of the first results of a search by a ranking head."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from anybind import Embeddings, normalize
from anybind.plugin import Head, HeadInput
from anybind_retrieval.index import Index
from anybind_retrieval.ranking import SearchHit, find_nearest

RERANK_TOP_K = 100
"""Default number of search results that are re-ranked."""


def rerank(
    index: Index,
    modality: str,
    query: Embeddings,
    head: Head,
    top_k: int,
    *,
    rerank_top_k: int = RERANK_TOP_K,
    exclude: Collection[str] = (),
) -> list[SearchHit]:
    """Re-rank the first results of a search by the scores of a head.

    Args:
        index: index to search.
        modality: modality of the files.
        query: one row.
        head: a ranking head, prepared.
        top_k: number of hits to return.
        rerank_top_k: number of results, by cosine similarity, that the head ranks; at least `top_k` are.
        exclude: paths to leave out: the query's own.

    Returns:
        the hits by score, largest first, ties by cosine similarity; `SearchHit.rerank_score` is the score.

    Raises:
        BadInput: the index is damaged, or lacks embeddings that the head needs.
        SpaceMismatch, WeightsMismatch: the head was made for embeddings of another space or encoder.
    """
    entries, cosines, vectors = find_nearest(index, modality, query.vectors[0], max(top_k, rerank_top_k), exclude)
    if not entries:
        return []
    encoder = index.card.encoders[modality]
    ids = tuple(entry.name for entry in entries)
    candidates = Embeddings(normalize(vectors), index.card.space, encoder.modality, ids, encoder.encoder)
    scores = head.score(HeadInput({encoder.modality: candidates}), query)[0]
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [
        SearchHit(modality, rank, float(cosines[row]), entries[row], float(scores[row]))
        for rank, row in enumerate(order, start=1)
    ]
