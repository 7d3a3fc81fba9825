"""Sums over paired rows: the sufficient statistics of least squares."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

BLOCK = 8192
"""Rows per block, to bound the memory of their float64 copy."""


@dataclass(frozen=True)
class Moments:
    """Sums over n pairs of rows x (d) and y (e), in float64; the sums of two sets of pairs can be added.

    Attributes:
        n: number of pairs.
        x, y: (d,) and (e,), sums of rows.
        xx, xy: (d, d) and (d, e), sums of outer products.
        yy: sum of squares of y.
    """

    n: int
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: float

    @classmethod
    def from_rows(cls, x: np.ndarray, y: np.ndarray) -> Moments:
        """Compute the sums over the rows of x (n, d) and y (n, e), of any float type."""
        d, e = x.shape[1], y.shape[1]
        total = cls(0, np.zeros(d), np.zeros(e), np.zeros((d, d)), np.zeros((d, e)), 0.0)
        for start in range(0, len(x), BLOCK):
            a = x[start : start + BLOCK].astype(np.float64)
            b = y[start : start + BLOCK].astype(np.float64)
            total += cls(len(a), a.sum(0), b.sum(0), a.T @ a, a.T @ b, float(np.vdot(b, b)))
        return total

    def __add__(self, other: Moments) -> Moments:
        return Moments(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def __sub__(self, other: Moments) -> Moments:
        return Moments(*(getattr(self, field.name) - getattr(other, field.name) for field in fields(self)))

    @property
    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean x and mean y."""
        return self.x / self.n, self.y / self.n

    def center(self, mean_x: np.ndarray, mean_y: np.ndarray) -> Moments:
        """Compute the sums over the same pairs after subtracting `mean_x` and `mean_y` from every row."""
        n = self.n
        crossed = np.outer(self.x, mean_x)
        return Moments(
            n,
            self.x - n * mean_x,
            self.y - n * mean_y,
            self.xx - crossed - crossed.T + n * np.outer(mean_x, mean_x),
            self.xy - np.outer(self.x, mean_y) - np.outer(mean_x, self.y) + n * np.outer(mean_x, mean_y),
            self.yy - 2 * float(self.y @ mean_y) + n * float(mean_y @ mean_y),
        )
