"""Exact nearest neighbours by inner product: nothing is approximate, and ties are settled by row."""

from __future__ import annotations

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind_retrieval.kernels import collect, over_rows, rescore

QUERIES, BLOCK = 1024, 8192
"""Queries and gallery rows that are multiplied at once: 32 MiB of products."""
ROOM = 2048
"""Candidates that are kept for a query, at least; where more are needed, the query is compared with all rows."""
HALF_ULP = 2.0**-24
"""Of a float32 of about 1."""


def top_k(queries: np.ndarray, gallery: np.ndarray, k: int, *, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """The k gallery rows of the highest inner product with each query.

    Blocks of products by BLAS say which rows can be among the k; those are computed again, summed in float64 and
    rounded once to float32, and ranked by that. So the answer is the same for every block size and machine, and equal
    vectors have equal scores.

    Args:
        queries: (q, d), float32 or what becomes it.
        gallery: (n, d); may be memory-mapped and of another float type: it is read a block at a time, and the
            candidates once more.
        k: how many, 1 to n.
        block: gallery rows that are multiplied at once.

    Returns:
        scores (q, k) float32, highest first, and rows (q, k) int64; of equal scores the lower row comes first.

    Raises:
        BadInput: the shapes do not fit, or a vector is not finite.
        BadOption: k or block is out of range.
    """
    queries = check_search(queries, gallery, k)
    if block < 1:
        raise BadOption(f"a block must be of at least 1 row, got {block}")
    found = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), QUERIES):
        part = slice(start, start + QUERIES)
        found[0][part], found[1][part] = _nearest(queries[part], gallery, k, block)
    return found


def check_search(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    """The queries as contiguous float32, once it is sure that they can be searched for; see `top_k`."""
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise BadInput(f"queries (q, d) and gallery (n, d) must share d, got {queries.shape} and {gallery.shape}")
    if not 1 <= k <= len(gallery):
        raise BadOption(f"k must be 1 to {len(gallery)}, the size of the gallery, got {k}")
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if not np.isfinite(queries).all():
        raise BadInput("a query is not finite")
    return queries


def _nearest(queries: np.ndarray, gallery: np.ndarray, k: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.linalg.norm(queries, axis=1)
    longest = 0.0
    candidates = Candidates(len(queries), k)
    buffer = np.empty((len(queries), min(block, len(gallery))), np.float32)
    for first in range(0, len(gallery), block):
        rows = as_float32(gallery[first : first + block])
        longest = max(longest, float(finite_lengths(rows, first).max()))
        similarities = buffer[:, : len(rows)]
        np.matmul(queries, rows.T, out=similarities)
        # A sum of d products in float32, in whatever order, is off by at most d half ulps of the lengths' product.
        error = 1.01 * queries.shape[1] * HALF_ULP * lengths * longest
        candidates.add(similarities, first, 2 * error)
    return candidates.ranked(queries, gallery)


def as_float32(rows: np.ndarray) -> np.ndarray:
    """The same rows as a contiguous float32 array in memory."""
    return np.ascontiguousarray(rows, dtype=np.float32)


def finite_lengths(rows: np.ndarray, first: int) -> np.ndarray:
    """Euclidean lengths (n,) of float32 rows of a gallery, `first` being the number of the first of them.

    Raises:
        BadInput: a row is not finite, or too long for float32.
    """
    squares = np.einsum("ij,ij->i", rows, rows)
    if not np.isfinite(squares).all():
        raise BadInput(f"row {first + int(np.argmin(np.isfinite(squares)))} of the gallery is not finite")
    return np.sqrt(squares)


class Candidates:
    """The gallery rows that may be among each query's k nearest, found in products that are off by a known error."""

    def __init__(self, queries: int, k: int) -> None:
        room = max(ROOM, 8 * k)
        self.best = np.full((queries, k), -np.inf, np.float32)
        self.rows = np.empty((queries, room), np.int64)
        self.scores = np.empty((queries, room), np.float32)
        self.counts = np.zeros(queries, np.int64)

    def add(self, similarities: np.ndarray, first: int, margins: np.ndarray) -> None:
        """Look through the similarities to the rows from `first` on.

        Args:
            similarities: (q, n) float32.
            first: gallery row of the first column.
            margins: (q,), twice the greatest error of a similarity so far.
        """
        margins = np.nextafter(margins.astype(np.float32), np.float32(np.inf))
        per_query = (margins, self.best, self.rows, self.scores, self.counts)

        def look(part: slice) -> None:
            collect(similarities[part], first, *(each[part] for each in per_query))

        over_rows(look, len(similarities), beside_blas=True)

    def ranked(self, queries: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores and rows of the k nearest, from exact similarities; see `top_k`."""
        k = self.best.shape[1]
        vectors, places = np.asarray(gallery), self.rows
        if gallery.dtype != np.float32:
            kept = np.arange(places.shape[1]) < self.counts[:, None]
            needed, inverse = np.unique(places[kept], return_inverse=True)
            vectors, places = as_float32(gallery[needed]), np.zeros_like(places)
            places[kept] = inverse
        scores, order = np.empty((len(queries), k), np.float32), np.zeros((len(queries), k), np.int64)

        def rank(part: slice) -> None:
            rescore(queries[part], vectors, places[part], self.counts[part], scores[part], order[part])

        over_rows(rank, len(queries))
        rows = np.take_along_axis(self.rows, order, axis=1)
        for i in np.flatnonzero(self.counts < 0):
            scores[i], rows[i] = _among_all(queries[i], gallery, k)
        return scores, rows


def _among_all(query: np.ndarray, gallery: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of the whole gallery, for a query to which very many rows are equally near."""
    scores, rows = np.empty(0, np.float32), np.empty(0, np.int64)
    for first in range(0, len(gallery), BLOCK):
        vectors = as_float32(gallery[first : first + BLOCK])
        most = min(k, len(vectors))
        found, places = np.empty((1, most), np.float32), np.empty((1, most), np.int64)
        everything = np.arange(len(vectors))[None]
        rescore(query[None], vectors, everything, np.array([len(vectors)]), found, places)
        scores, rows = np.concatenate([scores, found[0]]), np.concatenate([rows, first + places[0]])
        order = np.argsort(-scores, kind="stable")[:k]
        scores, rows = scores[order], rows[order]
    return scores, rows
