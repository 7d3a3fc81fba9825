"""How well vectors of two sides find each other: recall and rank over the full gallery, with chance beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from anybind import Embeddings

BLOCK = 1024
"""Queries that are compared with the gallery at once."""


@dataclass(frozen=True)
class Found:
    """One direction of retrieval.

    Attributes:
        n: number of queries.
        gallery: number of candidates that each was compared with, none of them twice.
        r1, r5: share of queries with a right answer among the first one, or five, in [0, 1].
        median_rank: median over queries of the rank of the best right answer, from 1; candidates that are no
            nearer count as before it, so that ties never help.
    """

    n: int
    gallery: int
    r1: float
    r5: float
    median_rank: float


def retrieve(queries: Embeddings, gallery: Embeddings, query_groups: np.ndarray, gallery_groups: np.ndarray) -> Found:
    """Ask every query for gallery rows of its group; rows of one id are asked, and stand in the gallery, once.

    Args:
        queries, gallery: of one space.
        query_groups, gallery_groups: (n,) and (m,) integers; every query has a right answer.

    Raises:
        SpaceMismatch: they are of two spaces.
    """
    asked, among = _once(queries), _once(gallery)
    of, answers = query_groups[asked], gallery_groups[among]
    candidates = gallery[among]
    ranks = np.empty(len(asked))
    for start in range(0, len(asked), BLOCK):
        rows = slice(start, start + BLOCK)
        ranks[rows] = _ranks(queries[asked[rows]] @ candidates, of[rows, None] == answers[None])
    return Found(
        len(asked), len(among), float(np.mean(ranks <= 1)), float(np.mean(ranks <= 5)), float(np.median(ranks))
    )


def chance(queries: Embeddings, gallery: Embeddings, query_groups: np.ndarray, gallery_groups: np.ndarray) -> Found:
    """What vectors that know nothing would reach on the average; arguments as `retrieve`."""
    asked, among = _once(queries), _once(gallery)
    m = len(among)
    answers, counts = np.unique(gallery_groups[among], return_counts=True)
    right = counts[np.searchsorted(answers, query_groups[asked])]
    missed = {
        k: np.mean([math.comb(m - int(r), k) / math.comb(m, k) if k <= m else 0.0 for r in right]) for k in (1, 5)
    }
    expected = (m + 1) / (right + 1)
    return Found(len(asked), m, float(1 - missed[1]), float(1 - missed[5]), float(np.median(expected)))


def _ranks(cosines: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(n, m) cosines and which of them are right answers to (n,) ranks of the best right one."""
    best = np.max(cosines, axis=1, where=right, initial=-2.0)
    return 1 + np.sum((cosines >= best[:, None]) & ~right, axis=1)


def _once(embeddings: Embeddings) -> np.ndarray:
    """The first row of each id, in order."""
    return np.sort(np.unique(np.array(embeddings.ids), return_index=True)[1])
