"""Ranks of relevant gallery samples, from similarities or from embeddings, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anybind.plugin import BadInput
from anybind_retrieval.kernels import map_row_slices, rank_relevant

DEPTH = 10
"""Largest rank that is computed for relevant samples after the first."""
TOLERANCE = 2.0**-19
"""Largest difference of equal cosine similarities: the rounding error of products of float32 vectors."""
BLOCK_BYTES = 1 << 28
"""Largest block of similarities in memory (or one row, if that is larger)."""
COPIED_ROWS = 32
"""Rows copied at a time from a matrix that is contiguous by columns."""


@dataclass(frozen=True)
class Ranks:
    """The ranks of the relevant gallery samples of some queries.

    A gallery sample is *relevant* for a query if both are of one group. The gallery is ranked by descending similarity,
    irrelevant samples first among equals: a tie never helps. So the j-th relevant sample has the rank
    j + (number of irrelevant samples at least as similar). A NaN similarity is a tie with any other.

    Attributes:
        ranks: (q, depth) int64: the rank of each query's first relevant sample, then those of its second, third, ... if
            they are at most depth; 0 where there is none. Ranks count from 1.
        n_relevant: (q,) int64, number of relevant gallery samples, at least 1.
        gallery_size: number of gallery samples.
    """

    ranks: np.ndarray
    n_relevant: np.ndarray
    gallery_size: int


def rank_similarities(
    similarities: np.ndarray,
    query_groups: np.ndarray,
    gallery_groups: np.ndarray,
    *,
    depth: int = DEPTH,
    tolerance: float = 0.0,
) -> Ranks:
    """Compute ranks from a matrix of similarities.

    Args:
        similarities: (q, n) float32; fastest if its rows are contiguous.
        query_groups: (q,) integers.
        gallery_groups: (n,) integers.
        depth: largest rank that is computed for relevant samples after the first.
        tolerance: similarities that differ by no more are equal.

    Raises:
        BadInput: a query has no relevant sample, or shapes or dtype are wrong.
    """
    expected = (len(query_groups), len(gallery_groups))
    if similarities.shape != expected:
        raise BadInput(f"expected similarities of shape {expected}, queries by gallery, got {similarities.shape}")
    if similarities.dtype != np.float32:
        raise BadInput(f"expected similarities of dtype float32, got {similarities.dtype}")
    relevance = _RelevanceGroups.from_groups(query_groups, gallery_groups)
    ranks = np.empty((len(query_groups), depth), np.int64)
    relevance.fill_ranks(similarities, slice(None), np.float32(tolerance), ranks)
    return Ranks(ranks, relevance.n_relevant, len(gallery_groups))


def rank_embeddings(
    queries: np.ndarray,
    gallery: np.ndarray,
    query_groups: np.ndarray,
    gallery_groups: np.ndarray,
    *,
    depth: int = DEPTH,
) -> Ranks:
    """Compute ranks from unit vectors by blocks of queries, without the whole similarity matrix in memory.

    Similarities are float32 products; those that differ by no more than `TOLERANCE` are equal.

    Args:
        queries: (q, d) float32 of norm 1.
        gallery: (n, d) float32 of norm 1.
        query_groups: (q,) integers.
        gallery_groups: (n,) integers.
        depth: see `rank_similarities`.

    Raises:
        BadInput: see `rank_similarities`.
    """
    relevance = _RelevanceGroups.from_groups(query_groups, gallery_groups)
    ranks = np.empty((len(queries), depth), np.int64)
    block = max(1, BLOCK_BYTES // (4 * len(gallery)))
    buffer = np.empty((min(block, len(queries)), len(gallery)), np.float32)
    for start in range(0, len(queries), block):
        rows = slice(start, min(start + block, len(queries)))
        similarities = np.matmul(queries[rows], gallery.T, out=buffer[: rows.stop - start])
        relevance.fill_ranks(similarities, rows, np.float32(TOLERANCE), ranks[rows])
    return Ranks(ranks, relevance.n_relevant, len(gallery))


@dataclass(frozen=True)
class _RelevanceGroups:
    """The gallery columns sorted by group, the start of each group, and the group of each query."""

    query_groups: np.ndarray
    starts: np.ndarray
    columns: np.ndarray

    @classmethod
    def from_groups(cls, query_groups: np.ndarray, gallery_groups: np.ndarray) -> _RelevanceGroups:
        if not len(gallery_groups):
            raise BadInput("the gallery is empty")
        unique, numbers = np.unique(np.concatenate([gallery_groups, query_groups]), return_inverse=True)
        of_gallery, of_queries = np.split(numbers.astype(np.int64), [len(gallery_groups)])
        sizes = np.bincount(of_gallery, minlength=len(unique))
        unmatched = np.flatnonzero(sizes[of_queries] == 0)
        if unmatched.size:
            raise BadInput(f"query {int(unmatched[0])} has no relevant sample in the gallery")
        starts = np.concatenate([[0], np.cumsum(sizes)])
        order = np.argsort(of_gallery.astype(np.min_scalar_type(len(unique))), kind="stable")  # few bits sort faster
        return cls(of_queries, starts, order)

    @property
    def n_relevant(self) -> np.ndarray:
        """Number of relevant gallery samples of each query."""
        return np.diff(self.starts)[self.query_groups]

    def fill_ranks(self, similarities: np.ndarray, queries: slice, tolerance: np.float32, ranks: np.ndarray) -> None:
        """Compute the ranks of some queries into `ranks`."""
        query_groups = self.query_groups[queries]

        def rank_rows(rows: slice) -> None:
            for chunk, block in _iterate_rows(similarities, rows):
                inputs = block, block.view(np.int32), query_groups[chunk]
                rank_relevant(*inputs, self.starts, self.columns, tolerance, ranks[chunk])

        map_row_slices(rank_rows, len(ranks))


def _iterate_rows(similarities: np.ndarray, rows: slice) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield contiguous rows of a matrix: copies of a few at a time if the matrix is contiguous by columns."""
    if similarities.strides[1] == similarities.itemsize:
        yield rows, similarities[rows]
        return
    for start in range(rows.start, rows.stop, COPIED_ROWS):
        chunk = slice(start, min(start + COPIED_ROWS, rows.stop))
        yield chunk, np.ascontiguousarray(similarities[chunk])
