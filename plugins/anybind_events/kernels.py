"""Compiled loops over events."""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel


@kernel
def find_threshold_crossings(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, height: int, threshold: int
) -> np.ndarray:
    """Return which events make the sum of their pixel reach +-threshold, (n,) bool; it then restarts at 0."""
    sums = np.zeros((height, width), np.int64)
    crossings = np.zeros(len(x), np.bool_)
    for i in range(len(x)):
        total = sums[y[i], x[i]] + (1 if p[i] else -1)
        if total == threshold or total == -threshold:
            crossings[i] = True
            total = 0
        sums[y[i], x[i]] = total
    return crossings
