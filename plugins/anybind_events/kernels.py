"""Loops over events that no array operation does well."""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel


@kernel
def fires(x: np.ndarray, y: np.ndarray, p: np.ndarray, width: int, height: int, level: int) -> np.ndarray:
    """Which events make the running sum of their pixel reach +-level, (n,) bool; the sum then starts at 0 again."""
    sums = np.zeros((height, width), np.int64)
    fired = np.zeros(len(x), np.bool_)
    for i in range(len(x)):
        total = sums[y[i], x[i]] + (1 if p[i] else -1)
        if total == level or total == -level:
            fired[i] = True
            total = 0
        sums[y[i], x[i]] = total
    return fired
