"""Figures of merit of a ranking: what was found, what chance would find, and how sure one can be."""

from __future__ import annotations

import numpy as np

from anybind_retrieval.kernels import average_precisions
from anybind_retrieval.ranks import Ranks

CUTS = (1, 5, 10)
RESAMPLES = 1000


def metrics_of(ranks: Ranks) -> dict[str, float]:
    """`R@k` and `mAP@k` for 1, 5 and 10, `MRR` and `median_rank`, over all queries.

    * `R@k`: the share of queries with a right answer among the first k.
    * `mAP@k`: mean over queries of the sum, over right answers among the first k, of (right answers up to and with this
      one) / (its rank), divided by min(k, number of right answers): 1 when all that can be right among the first k is.
    * `MRR`: mean of 1 / (rank of the first right answer), however far down it comes.
    * `median_rank`: median rank of the first right answer, 1 at best.

    So `mAP@1` is `R@1`, and where every query has one right answer, `mAP@k` is 1 / (its rank) where that is up to k.
    """
    each = per_query(ranks)
    return {**{name: float(values.mean()) for name, values in each.items()}, "median_rank": median_rank(ranks)}


def per_query(ranks: Ranks) -> dict[str, np.ndarray]:
    """The values (q,) float64 whose means are `R@k`, `mAP@k` and `MRR`; see `metrics_of`."""
    first = ranks.ranks[:, 0]
    values = {f"R@{k}": (first <= k).astype(np.float64) for k in CUTS}
    for k in CUTS:
        values[f"mAP@{k}"] = np.empty(len(first))
        average_precisions(ranks.ranks, ranks.right, k, values[f"mAP@{k}"])
    return values | {"MRR": 1 / first}


def median_rank(ranks: Ranks) -> float:
    """Median rank of the first right answer."""
    return float(np.median(ranks.ranks[:, 0]))


def chance(right: np.ndarray, gallery: int) -> dict[str, float]:
    """What `metrics_of` gives on average when the gallery is shuffled.

    `median_rank` is the lowest rank by which half of all first right answers have come.

    Args:
        right: (q,) how many answers of the gallery are right for each query.
        gallery: number of answers.
    """
    numbers, shares = np.unique(right, return_counts=True)
    totals = dict.fromkeys([f"R@{k}" for k in CUTS] + [f"mAP@{k}" for k in CUTS] + ["MRR"], 0.0)
    not_yet = np.zeros(gallery + 1)
    for number, share in zip(numbers, shares / len(right), strict=True):
        none = chance_of_none(int(number), gallery)
        ranks = np.arange(1, gallery + 1)
        for k in CUTS:
            totals[f"R@{k}"] += share * (1 - none[min(k, gallery)])
            totals[f"mAP@{k}"] += share * _average_precision(int(number), gallery, k)
        totals["MRR"] += share * float((-np.diff(none) / ranks).sum())
        not_yet += share * none
    return {**{name: float(value) for name, value in totals.items()}, "median_rank": float(np.argmax(not_yet <= 0.5))}


def chance_of_none(right: int, gallery: int) -> np.ndarray:
    """Chances (gallery + 1,) that none of the first 0, 1, 2, ... answers of a shuffled gallery is right."""
    places = np.arange(gallery)
    return np.concatenate([[1.0], np.cumprod(np.maximum(gallery - right - places, 0) / (gallery - places))])


def _average_precision(right: int, gallery: int, k: int) -> float:
    before = np.arange(min(k, gallery))
    others = before * (right - 1) / max(gallery - 1, 1)  # right answers before a right one, on average
    return float((right / gallery * (1 + others) / (before + 1)).sum() / min(k, right))


def intervals(ranks: Ranks, seed: int, resamples: int = RESAMPLES) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of what `metrics_of` gives: queries drawn anew with replacement, the gallery kept.

    The ends are the percentiles 2.5 and 97.5; the same seed gives the same intervals.
    """
    random = np.random.default_rng(seed)
    each = per_query(ranks)
    order = np.argsort(ranks.ranks[:, 0], kind="stable")
    values = np.stack(list(each.values()), axis=1)
    n = len(values)
    found = np.empty((resamples, values.shape[1] + 1))
    for number in range(resamples):
        times = np.bincount(random.integers(0, n, n), minlength=n)
        found[number, :-1] = times @ values / n
        drawn = np.cumsum(times[order])
        middle = np.searchsorted(drawn, [(n - 1) // 2, n // 2], side="right")
        found[number, -1] = ranks.ranks[order[middle], 0].mean()
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate([*each, "median_rank"])}
