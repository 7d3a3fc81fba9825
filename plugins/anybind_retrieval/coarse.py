"""Exact nearest neighbours behind a pre-pass in bfloat16, for processors that multiply it faster than float32."""

from __future__ import annotations

import numpy as np
import torch

from anybind_retrieval.exact import BLOCK, HALF_ULP, QUERIES, Candidates, check_search, finite_lengths

BFLOAT16 = 2.0**-8
"""Half an ulp of a bfloat16 of about 1."""


class CoarseGallery:
    """A gallery made ready for a pre-pass in bfloat16, which says what cannot be among the nearest.

    How far each coarse product can be off is bounded by what rounding did to the vectors, so that nothing that is
    among the k nearest is lost: the answers are those of `anybind_retrieval.exact.top_k`, to the bit. The
    gallery's mean is taken off first, which moves all products of a query alike and makes what is rounded smaller.
    """

    def __init__(self, gallery: np.ndarray) -> None:
        """Round the gallery.

        Args:
            gallery: (n, d), as `top_k` takes it; it is kept, and as much memory again as half of it in float32.

        Raises:
            BadInput: a row is not finite.
        """
        self.gallery = np.asarray(gallery)
        self.centre = self.gallery.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.codes = torch.empty(self.gallery.shape, dtype=torch.bfloat16)
        self.lost = self.longest = 0.0
        for first in range(0, len(self.gallery), BLOCK):
            part = slice(first, first + BLOCK)
            rows = np.asarray(self.gallery[part], dtype=np.float32)
            finite_lengths(rows, first)
            rows = rows - self.centre
            self.codes[part] = torch.from_numpy(rows)
            codes = self.codes[part].float().numpy()
            # Taking the centre off was rounded to float32, too: by at most half an ulp of what came out.
            lengths = finite_lengths(codes, first)
            self.longest = max(self.longest, float(lengths.max(initial=0)))
            self.lost = max(self.lost, float(np.linalg.norm(rows - codes, axis=1).max(initial=0)))
        self.lost += 2 * HALF_ULP * self.longest

    def top_k(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `anybind_retrieval.exact.top_k` on the gallery."""
        queries = check_search(queries, self.gallery, k)
        found = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        for start in range(0, len(queries), QUERIES):
            part = slice(start, start + QUERIES)
            found[0][part], found[1][part] = self._nearest(queries[part], k)
        return found

    def _nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        candidates = Candidates(len(queries), k)
        coarse = torch.from_numpy(queries).to(torch.bfloat16)
        margins = 2 * self._errors(queries, coarse.float().numpy())
        products = torch.empty((len(queries), min(BLOCK, len(self.gallery))))
        for first in range(0, len(self.gallery), BLOCK):
            codes = self.codes[first : first + BLOCK]
            part = products[:, : len(codes)]
            part.copy_(coarse @ codes.T)
            candidates.add(part.numpy(), first, margins)
        return candidates.ranked(queries, self.gallery)

    def _errors(self, queries: np.ndarray, coarse: np.ndarray) -> np.ndarray:
        """How far a coarse product of each query can be off: (q,)."""
        lengths, kept = np.linalg.norm(queries, axis=1), np.linalg.norm(coarse, axis=1)
        rounding = kept * self.longest * (BFLOAT16 + 4 * queries.shape[1] * HALF_ULP)
        return 1.01 * (lengths * self.lost + np.linalg.norm(queries - coarse, axis=1) * self.longest + rounding)
