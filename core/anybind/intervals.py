"""Confidence intervals by bootstrap. Public: plugins may import these names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

RESAMPLES = 1000
"""Default number of bootstrap resamples."""


def draw_resamples(n: int, seed: int, resamples: int = RESAMPLES) -> Iterator[np.ndarray]:
    """Yield bootstrap resamples of `n` units: how often each is drawn, (n,) int, with the sum `n`."""
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(n, size=n), minlength=n)


def compute_percentile_interval(estimates: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the estimates of all resamples, (n,): the percentiles 2.5 and 97.5."""
    low, high = np.percentile(estimates, (2.5, 97.5))
    return float(low), float(high)
