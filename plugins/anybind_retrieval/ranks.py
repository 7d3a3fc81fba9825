"""Ranks of right answers, from similarities or from vectors, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anybind.plugin import BadInput
from anybind_retrieval.kernels import over_rows, ranks_of_right

DEPTH = 10
"""How far down right answers behind the first are looked for."""
TOLERANCE = 2.0**-19
"""Cosine similarities of float32 vectors that differ by no more are taken for equal: rounding alone does as much."""
BLOCK_BYTES = 1 << 28
"""Memory for similarities, at most (but for galleries of which one row is more)."""
TURNED = 32
"""Queries whose similarities are copied together where the columns of a matrix are asked about."""


@dataclass(frozen=True)
class Ranks:
    """Where the right answers of some queries came.

    An answer is *right* for a query when both are of one group. The gallery is ranked by falling similarity, and of
    answers that are equally similar the wrong ones come first: a tie never helps. So the j-th right answer has the rank
    j + (number of wrong answers at least as similar). A similarity that is no number counts as a tie with any.

    Attributes:
        ranks: (q, depth) int64: the rank of each query's first right answer, then those of its second, third, ... as
            far as they are at most depth; 0 where there is none. Ranks count from 1.
        right: (q,) int64, how many answers of the gallery are right, at least 1.
        gallery: number of answers.
    """

    ranks: np.ndarray
    right: np.ndarray
    gallery: int


def ranks_in(
    similarities: np.ndarray,
    queries: np.ndarray,
    gallery: np.ndarray,
    *,
    depth: int = DEPTH,
    tolerance: float = 0.0,
) -> Ranks:
    """Ranks from a matrix of similarities.

    Args:
        similarities: (q, n) float32; fastest where its rows are contiguous.
        queries: (q,) whole numbers, each query's group.
        gallery: (n,) whole numbers, each answer's group.
        depth: how far down right answers behind the first are looked for.
        tolerance: similarities that differ by no more are equal.

    Raises:
        BadInput: a query has no right answer, or shapes or type do not fit.
    """
    if similarities.shape != (len(queries), len(gallery)):
        raise BadInput(f"{len(queries)} queries and {len(gallery)} answers do not fit {similarities.shape}")
    if similarities.dtype != np.float32:
        raise BadInput(f"similarities must be float32, got {similarities.dtype}")
    groups = _Groups.of(queries, gallery)
    ranks = np.empty((len(queries), depth), np.int64)
    groups.rank(similarities, slice(None), np.float32(tolerance), ranks)
    return Ranks(ranks, groups.right, len(gallery))


def ranks_of(
    queries: np.ndarray,
    gallery: np.ndarray,
    query_groups: np.ndarray,
    gallery_groups: np.ndarray,
    *,
    depth: int = DEPTH,
) -> Ranks:
    """Ranks from unit vectors, by blocks of queries: the whole matrix of similarities never is in memory.

    Similarities are products in float32; those that differ by no more than `TOLERANCE` are equal.

    Args:
        queries: (q, d) float32 of norm 1.
        gallery: (n, d) float32 of norm 1.
        query_groups: (q,) whole numbers.
        gallery_groups: (n,) whole numbers.
        depth: as `ranks_in`.

    Raises:
        BadInput: as `ranks_in`.
    """
    groups = _Groups.of(query_groups, gallery_groups)
    ranks = np.empty((len(queries), depth), np.int64)
    block = max(1, BLOCK_BYTES // (4 * len(gallery)))
    buffer = np.empty((min(block, len(queries)), len(gallery)), np.float32)
    for start in range(0, len(queries), block):
        part = slice(start, min(start + block, len(queries)))
        similarities = np.matmul(queries[part], gallery.T, out=buffer[: part.stop - start])
        groups.rank(similarities, part, np.float32(TOLERANCE), ranks[part])
    return Ranks(ranks, groups.right, len(gallery))


@dataclass(frozen=True)
class _Groups:
    """Which columns are right for which query: the columns sorted by group, and where each group begins."""

    of_query: np.ndarray
    starts: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, queries: np.ndarray, gallery: np.ndarray) -> _Groups:
        if not len(gallery):
            raise BadInput("the gallery is empty")
        known, number = np.unique(np.concatenate([gallery, queries]), return_inverse=True)
        of_answer, of_query = np.split(number.astype(np.int64), [len(gallery)])
        sizes = np.bincount(of_answer, minlength=len(known))
        lost = np.flatnonzero(sizes[of_query] == 0)
        if lost.size:
            raise BadInput(f"query {int(lost[0])} has no right answer in the gallery")
        starts = np.concatenate([[0], np.cumsum(sizes)])
        order = np.argsort(of_answer.astype(np.min_scalar_type(len(known))), kind="stable")  # few bits sort faster
        return cls(of_query, starts, order)

    @property
    def right(self) -> np.ndarray:
        """How many answers are right for each query."""
        return np.diff(self.starts)[self.of_query]

    def rank(self, similarities: np.ndarray, part: slice, tolerance: np.float32, ranks: np.ndarray) -> None:
        """Fill the ranks of some queries."""
        of_query = self.of_query[part]

        def some(rows: slice) -> None:
            for piece, block in _row_by_row(similarities, rows):
                per_query = block, block.view(np.int32), of_query[piece]
                ranks_of_right(*per_query, self.starts, self.columns, tolerance, ranks[piece])

        over_rows(some, len(ranks))


def _row_by_row(similarities: np.ndarray, part: slice) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of a matrix as contiguous ones, some at a time where they are columns in memory."""
    if similarities.strides[1] == similarities.itemsize:
        yield part, similarities[part]
        return
    for start in range(part.start, part.stop, TURNED):
        piece = slice(start, min(start + TURNED, part.stop))
        yield piece, np.ascontiguousarray(similarities[piece])
