"""Retrieval metrics with their chance levels and confidence intervals."""

from __future__ import annotations

import numpy as np

from anybind.plugin import intervals
from anybind_retrieval.kernels import compute_average_precisions
from anybind_retrieval.ranks import Ranks

CUTOFFS = (1, 5, 10)
RESAMPLES = 1000


def compute_metrics(ranks: Ranks) -> dict[str, float]:
    """Compute `R@k` and `mAP@k` for k of 1, 5 and 10, `MRR` and `median_rank` over all queries.

    * `R@k`: fraction of queries with a relevant sample among the first k.
    * `mAP@k`: mean over queries of the sum, over relevant samples among the first k, of (number of relevant samples up
      to this one) / (its rank), divided by min(k, number of relevant samples): 1 if the first k are as relevant as
      possible.
    * `MRR`: mean of 1 / (rank of the first relevant sample), at any rank.
    * `median_rank`: median rank of the first relevant sample, 1 at best.

    So `mAP@1` is `R@1`; with one relevant sample per query, `mAP@k` is 1 / (its rank) up to rank k.
    """
    values = compute_query_values(ranks)
    means = {name: float(of_queries.mean()) for name, of_queries in values.items()}
    return {**means, "median_rank": float(np.median(ranks.ranks[:, 0]))}


def compute_query_values(ranks: Ranks) -> dict[str, np.ndarray]:
    """Compute the values (q,) float64 whose means are `R@k`, `mAP@k` and `MRR`; see `compute_metrics`."""
    first = ranks.ranks[:, 0]
    values = {f"R@{k}": (first <= k).astype(np.float64) for k in CUTOFFS}
    for k in CUTOFFS:
        values[f"mAP@{k}"] = np.empty(len(first))
        compute_average_precisions(ranks.ranks, ranks.n_relevant, k, values[f"mAP@{k}"])
    return values | {"MRR": 1 / first}


def compute_chance(n_relevant: np.ndarray, gallery_size: int) -> dict[str, float]:
    """Compute the expected metrics of a random ranking.

    `median_rank` is the lowest rank by which half of all first relevant samples are expected.

    Args:
        n_relevant: (q,) number of relevant gallery samples of each query.
        gallery_size: number of gallery samples.
    """
    numbers, counts = np.unique(n_relevant, return_counts=True)
    totals = dict.fromkeys([f"R@{k}" for k in CUTOFFS] + [f"mAP@{k}" for k in CUTOFFS] + ["MRR"], 0.0)
    miss_mean = np.zeros(gallery_size + 1)
    ranks = np.arange(1, gallery_size + 1)
    for number, fraction in zip(numbers, counts / len(n_relevant), strict=True):
        miss = compute_miss_probability(int(number), gallery_size)
        for k in CUTOFFS:
            totals[f"R@{k}"] += fraction * (1 - miss[min(k, gallery_size)])
            totals[f"mAP@{k}"] += fraction * _compute_chance_precision(int(number), gallery_size, k)
        totals["MRR"] += fraction * float((-np.diff(miss) / ranks).sum())
        miss_mean += fraction * miss
    return {**{name: float(value) for name, value in totals.items()}, "median_rank": float(np.argmax(miss_mean <= 0.5))}


def compute_miss_probability(n_relevant: int, gallery_size: int) -> np.ndarray:
    """Compute the probabilities (gallery_size + 1,) of no relevant sample among the first 0, 1, 2, ... at random."""
    positions = np.arange(gallery_size)
    ratios = np.maximum(gallery_size - n_relevant - positions, 0) / (gallery_size - positions)
    return np.concatenate([[1.0], np.cumprod(ratios)])


def _compute_chance_precision(n_relevant: int, gallery_size: int, k: int) -> float:
    before = np.arange(min(k, gallery_size))
    others = before * (n_relevant - 1) / max(gallery_size - 1, 1)  # expected relevant samples before a relevant one
    return float((n_relevant / gallery_size * (1 + others) / (before + 1)).sum() / min(k, n_relevant))


def bootstrap_intervals(ranks: Ranks, seed: int, resamples: int = RESAMPLES) -> dict[str, tuple[float, float]]:
    """Compute 95 % bootstrap intervals of the metrics: queries are resampled with replacement, the gallery is fixed.

    The bounds are the percentiles 2.5 and 97.5; the same seed gives the same intervals.
    """
    by_metric = compute_query_values(ranks)
    order = np.argsort(ranks.ranks[:, 0], kind="stable")
    values = np.stack(list(by_metric.values()), axis=1)
    n = len(values)
    estimates = np.empty((resamples, values.shape[1] + 1))
    for number, weights in enumerate(intervals.draw_resamples(n, seed, resamples)):
        estimates[number, :-1] = weights @ values / n
        cumulative = np.cumsum(weights[order])
        middle = np.searchsorted(cumulative, [(n - 1) // 2, n // 2], side="right")
        estimates[number, -1] = ranks.ranks[order[middle], 0].mean()
    return {
        name: intervals.compute_percentile_interval(estimates[:, column])
        for column, name in enumerate([*by_metric, "median_rank"])
    }
