"""Exact ranking of the entries nearest to a query, the same for every kind of index."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from anybind_retrieval.index import Index, IndexEntry, make_damage_error

DIGITS = 6
"""Decimal places of similarities, the precision of float32; similarities that agree in all of them are ties."""
SLACK = 1e-5
"""Largest rounding error of a similarity in a float32 search."""
SPARE = 16
"""Candidates beyond `top_k` in the first search, to detect ties at the cut."""
NORM_TOLERANCE = 1e-3
BLOCK = 16_384
"""Vectors checked at a time."""


@dataclass(frozen=True)
class SearchHit:
    """A search result: a file, or one line of a text file.

    Attributes:
        modality: modality of the file.
        rank: rank from 1: within its modality, or among all files in a mixed ranking.
        cosine: cosine similarity with the query, in [-1, 1].
        entry: the file's entry in the index.
        rerank_score: score of the ranking head; None if hits are ranked by similarity.
        calibrated: cosine similarity minus the median of the background of its modality; None without a background.
            See `anybind_retrieval.calibration`.
        z: z-score of the cosine similarity in the background; None without one.
        weak: whether the match is not better than chance for its modality.
    """

    modality: str
    rank: int
    cosine: float
    entry: IndexEntry
    rerank_score: float | None = None
    calibrated: float | None = None
    z: float | None = None
    weak: bool = False

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self.entry.path

    @property
    def text(self) -> str:
        """The line of a text file; empty for a file that was embedded as a whole."""
        return self.entry.text


def rank_entries(
    index: Index, modality: str, query: np.ndarray, top_k: int, exclude: Collection[str] = ()
) -> list[SearchHit]:
    """Return the `top_k` entries of a modality by cosine similarity, largest first, ties by path.

    Args:
        index: index to search.
        modality: modality of the files.
        query: (d,) float32 of norm 1.
        top_k: number of hits.
        exclude: paths to leave out: the query's own.

    Raises:
        BadInput: the index is damaged.
    """
    entries, scores, _ = find_nearest(index, modality, query, top_k, exclude)
    results = zip(entries, scores, strict=True)
    return [SearchHit(modality, rank, float(score), entry) for rank, (entry, score) in enumerate(results, start=1)]


def find_nearest(
    index: Index, modality: str, query: np.ndarray, top_k: int, exclude: Collection[str] = ()
) -> tuple[list[IndexEntry], np.ndarray, np.ndarray]:
    """Find the entries of `rank_entries`; return them with their similarities (n,) and vectors (n, d)."""
    total = index.count_entries(modality)
    if not total:
        return [], np.empty(0), np.empty((0, len(query)))
    count = min(total, top_k + SPARE)
    while True:
        entries, vectors = index.find_candidates(modality, query, count)
        scores = compute_similarities(index.location, query, vectors)
        order = sorted(range(len(entries)), key=lambda row: (-scores[row], entries[row].path, entries[row].text))
        top = [row for row in order if entries[row].path not in exclude][:top_k]
        # Entries beyond the candidates are at most as similar as the last candidate, up to rounding.
        if count >= total or (len(top) == top_k and scores[order[-1]] < scores[top[-1]] - SLACK):
            return [entries[row] for row in top], scores[top], vectors[top]
        count = min(total, 4 * count)


def compute_similarities(location: str, query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Compute cosine similarities (n,) float64 to `DIGITS` places; raise `BadInput` for vectors not of norm 1.

    Equal rows have equal similarities.
    """
    rows = vectors.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    if not (np.abs(norms - 1) <= NORM_TOLERANCE).all():  # also true for NaN
        raise make_damage_error(location, "it holds vectors that are not of norm 1")
    # Row by row: a matrix product may sum equal rows in different orders.
    return np.round(np.clip(np.einsum("nd,d->n", rows, query.astype(np.float64)), -1, 1), DIGITS)


def check_unit_norm(location: str, vectors: np.ndarray) -> None:
    """Raise `BadInput` unless all vectors, (n, d) float32, are of norm 1; a search would miss NaN and zeros.

    Vectors may be memory-mapped, and are read a block at a time.
    """
    for start in range(0, len(vectors), BLOCK):
        rows = vectors[start : start + BLOCK]
        if not (np.abs(np.einsum("nd,nd->n", rows, rows) - 1) <= 2 * NORM_TOLERANCE).all():  # also true for NaN
            raise make_damage_error(location, "it holds vectors that are not of norm 1")


def find_nearest_rows(query: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    """Find the rows of the `count` largest dot products with the query, in any order.

    Exact, by a matrix product: faiss takes more than twice as long to compare one query with every row, and an
    approximate graph such as HNSW far longer to be built.

    Args:
        query: (d,) float32.
        vectors: (n, d) float32; memory-mapped vectors are read in place.
        count: at most n.
    """
    return select_largest(vectors @ query, count)


def select_largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the `count` largest of scores (n,), count at most n, in any order."""
    return np.argpartition(scores, len(scores) - count)[len(scores) - count :]
