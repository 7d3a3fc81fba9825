"""The entries nearest to a query, the same whichever search brought the candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybind_retrieval.index import Entry, Index, damaged

DIGITS = 6
"""Similarities are told to so many digits, and are ties when these agree: float32 holds no more."""
SLACK = 1e-5
"""How far a float32 search may be off in a similarity."""
SPARE = 16
"""How many candidates more than wanted are asked for at first, to see that no tie was cut."""
NORM_TOLERANCE = 1e-3
BLOCK = 16_384
"""Vectors that are checked at once."""


@dataclass(frozen=True)
class SearchHit:
    """A file, or one line of a file of texts, that a search found.

    Attributes:
        modality: the modality that the file holds.
        rank: its place among the files of this modality, from 1.
        cosine: cosine similarity with the query, in [-1, 1].
        entry: the file's entry in the index.
        reranked: the score of the ranking head that placed it; None where cosine similarity did.
    """

    modality: str
    rank: int
    cosine: float
    entry: Entry
    reranked: float | None = None

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self.entry.path

    @property
    def text(self) -> str:
        """The line of a file of texts; empty for a file that was embedded as a whole."""
        return self.entry.text


def ranked(index: Index, kind: str, query: np.ndarray, top: int, without: str = "") -> list[SearchHit]:
    """The `top` entries of a kind by cosine similarity, largest first, ties by path.

    Args:
        index: where to look.
        kind: among files of which kind.
        query: (d,) float32 of norm 1.
        top: how many.
        without: a path that is no answer: the query's own.

    Raises:
        BadInput: the index is damaged.
    """
    entries, scores, _ = nearest(index, kind, query, top, without)
    found = zip(entries, scores, strict=True)
    return [SearchHit(kind, rank, float(score), entry) for rank, (entry, score) in enumerate(found, start=1)]


def nearest(
    index: Index, kind: str, query: np.ndarray, top: int, without: str = ""
) -> tuple[list[Entry], np.ndarray, np.ndarray]:
    """Find entries as `ranked` does, with their similarities (n,) and vectors (n, d)."""
    total = index.count(kind)
    if not total:
        return [], np.empty(0), np.empty((0, len(query)))
    asked = min(total, top + SPARE)
    while True:
        entries, vectors = index.candidates(kind, query, asked)
        scores = similarities(index.where, query, vectors)
        order = sorted(range(len(entries)), key=lambda row: (-scores[row], entries[row].path, entries[row].text))
        kept = [row for row in order if entries[row].path != without][:top]
        # Whatever is no candidate is at most as near as the last one of them, within the search's rounding.
        if asked >= total or (len(kept) == top and scores[order[-1]] < scores[kept[-1]] - SLACK):
            return [entries[row] for row in kept], scores[kept], vectors[kept]
        asked = min(total, 4 * asked)


def similarities(where: str, query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Cosine similarities to `DIGITS` digits, (n,) float64, equal for equal rows; `BadInput` for no unit vectors."""
    rows = vectors.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    if not (np.abs(norms - 1) <= NORM_TOLERANCE).all():  # also true for NaN
        raise damaged(where, "it holds vectors that are not of norm 1")
    # Row by row, where a matrix product may sum the same row differently at another place.
    return np.round(np.clip(np.einsum("nd,d->n", rows, query.astype(np.float64)), -1, 1), DIGITS)


def check_unit(where: str, vectors: np.ndarray) -> None:
    """Raise `BadInput` unless all vectors, (n, d) float32, are of norm 1: a search never finds those of NaN or zeros.

    They may be mapped from a file, and are read a block at a time.
    """
    for start in range(0, len(vectors), BLOCK):
        rows = vectors[start : start + BLOCK]
        if not (np.abs(np.einsum("nd,nd->n", rows, rows) - 1) <= 2 * NORM_TOLERANCE).all():  # also true for NaN
            raise damaged(where, "it holds vectors that are not of norm 1")


def nearest_rows(query: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    """Rows of the `count` largest products with the query, in any order.

    Exact, by a matrix product: faiss takes more than twice as long to compare one query with every row, and an
    approximate graph such as HNSW far longer to be built.

    Args:
        query: (d,) float32.
        vectors: (n, d) float32, which may be mapped from a file: they are read in place.
        count: at most n.
    """
    return np.argpartition(vectors @ query, len(vectors) - count)[len(vectors) - count :]
