"""Retrieval between the two sides of pairs: recall and median rank over the full gallery, and chance level."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from anybind import Embeddings

BLOCK = 1024
"""Queries per block, to bound the memory of the similarity matrix."""


@dataclass(frozen=True)
class RetrievalScores:
    """Retrieval in one direction.

    Attributes:
        n: number of queries.
        gallery_size: number of unique candidates.
        r1, r5: recall@1 and recall@5: fraction of queries with a relevant candidate among the first 1 or 5, in [0, 1].
        median_rank: median over queries of the rank of the best relevant candidate, from 1; equally similar
            candidates rank before it, so that ties never improve the score.
    """

    n: int
    gallery_size: int
    r1: float
    r5: float
    median_rank: float


def evaluate_retrieval(
    queries: Embeddings, gallery: Embeddings, query_groups: np.ndarray, gallery_groups: np.ndarray
) -> RetrievalScores:
    """Rank the gallery for every query; candidates of the query's group are relevant. Repeated ids count once.

    Args:
        queries, gallery: embeddings in one space.
        query_groups, gallery_groups: (n,) and (m,) integers; every query has a relevant candidate.

    Raises:
        SpaceMismatch: they are of two spaces.
    """
    query_rows, gallery_rows = _select_unique(queries), _select_unique(gallery)
    row_groups, candidate_groups = query_groups[query_rows], gallery_groups[gallery_rows]
    candidates = gallery[gallery_rows]
    ranks = np.empty(len(query_rows))
    for start in range(0, len(query_rows), BLOCK):
        rows = slice(start, start + BLOCK)
        relevant = row_groups[rows, None] == candidate_groups[None]
        ranks[rows] = _compute_ranks(queries[query_rows[rows]] @ candidates, relevant)
    return RetrievalScores(
        len(query_rows),
        len(gallery_rows),
        float(np.mean(ranks <= 1)),
        float(np.mean(ranks <= 5)),
        float(np.median(ranks)),
    )


def compute_chance(
    queries: Embeddings, gallery: Embeddings, query_groups: np.ndarray, gallery_groups: np.ndarray
) -> RetrievalScores:
    """Compute the expected scores of random rankings; arguments as in `evaluate_retrieval`."""
    query_rows, gallery_rows = _select_unique(queries), _select_unique(gallery)
    m = len(gallery_rows)
    groups, counts = np.unique(gallery_groups[gallery_rows], return_counts=True)
    n_relevant = counts[np.searchsorted(groups, query_groups[query_rows])]
    miss = {
        k: np.mean([math.comb(m - int(r), k) / math.comb(m, k) if k <= m else 0.0 for r in n_relevant]) for k in (1, 5)
    }
    expected_rank = (m + 1) / (n_relevant + 1)
    return RetrievalScores(len(query_rows), m, float(1 - miss[1]), float(1 - miss[5]), float(np.median(expected_rank)))


def _compute_ranks(similarities: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Compute the (n,) ranks of the best relevant candidates from (n, m) similarities and relevance."""
    best = np.max(similarities, axis=1, where=relevant, initial=-2.0)
    return 1 + np.sum((similarities >= best[:, None]) & ~relevant, axis=1)


def _select_unique(embeddings: Embeddings) -> np.ndarray:
    """Select the first row of each id, in order."""
    return np.sort(np.unique(np.array(embeddings.ids), return_index=True)[1])
