"""What the tasks count. All take and give plain numbers and arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def softmax(similarity: np.ndarray, scale: float) -> np.ndarray:
    """Probabilities of the classes, (n, classes) float64, from cosines, (n, classes), times `scale`."""
    logits = scale * similarity.astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def reliability(certainty: np.ndarray, right: np.ndarray, bins: int) -> list[dict[str, float]]:
    """For each of `bins` equal parts of 0 to 1 that holds answers: how many, their mean certainty, the share right.

    Args:
        certainty: (n,), 0 to 1, of the class that was answered. 1 is in the last part.
        right: (n,) bool.
        bins: 1 or more.
    """
    number = np.minimum((certainty * bins).astype(int), bins - 1)
    return [
        {
            "from": each / bins,
            "n": int((number == each).sum()),
            "certainty": float(certainty[number == each].mean()),
            "accuracy": float(right[number == each].mean()),
        }
        for each in np.unique(number).tolist()
    ]


def expected_calibration_error(certainty: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Mean over answers of |share right - mean certainty| of their part, 0 to 1 (Naeini et al., AAAI 2015)."""
    return sum(
        part["n"] * abs(part["accuracy"] - part["certainty"]) for part in reliability(certainty, right, bins)
    ) / len(certainty)


def brier(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared distance of (n, classes) probabilities from the truth, (n,) class numbers; 0 to 2."""
    away = probabilities.copy()
    away[np.arange(len(truth)), truth] -= 1
    return float((away**2).sum(axis=1).mean())


def negative_log_likelihood(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean of -log of the probability of the true class, natural, 0 or more; finite also where that is 0."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-300)).mean())


def risk_by_coverage(certainty: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Share of wrong answers among the k most certain, for k of 1 to n: (n,), 0 to 1.

    Answers of one certainty count as drawn in any order: each has the mean of them all.
    """
    levels, group, counts = np.unique(-certainty, return_inverse=True, return_counts=True)
    wrong = np.bincount(group, weights=~right, minlength=len(levels)) / counts
    return np.cumsum(wrong[np.sort(group)]) / np.arange(1, len(right) + 1)


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """How often a known sample's certainty is above an unknown one's, ties counting half: 0 to 1, 0.5 by chance.

    Args:
        known, unknown: certainties, (n,) and (m,), at least one each.
    """
    order = np.sort(unknown)
    below = np.searchsorted(order, known, "left") + np.searchsorted(order, known, "right")
    return float(below.mean() / 2 / len(unknown))


def false_positives(known: np.ndarray, unknown: np.ndarray, kept: float = 0.95) -> float:
    """Share of unknown samples that pass the bar which a share `kept` of the known ones passes; 0 to 1."""
    bar = np.sort(known)[int(np.floor((1 - kept) * len(known)))]
    return float((unknown >= bar).mean())


def best_scale(similarity: np.ndarray, truth: np.ndarray, low: float = 0.1, high: float = 10_000.0) -> float:
    """The factor of the softmax under which the true classes are likeliest (Guo et al., ICML 2017).

    Likelihood has one peak over the scale; it is found by golden section between `low` and `high`.
    """
    golden = (np.sqrt(5) - 1) / 2
    ends = [np.log(low), np.log(high)]

    def loss(place: float) -> float:
        return negative_log_likelihood(softmax(similarity, float(np.exp(place))), truth)

    for _ in range(60):
        inner = [ends[1] - golden * (ends[1] - ends[0]), ends[0] + golden * (ends[1] - ends[0])]
        ends = [ends[0], inner[1]] if loss(inner[0]) <= loss(inner[1]) else [inner[0], ends[1]]
    return float(np.exp(np.mean(ends)))


def intervals(
    measure: Callable[..., dict[str, float]], *columns: np.ndarray, seed: int, draws: int = 200
) -> dict[str, Any]:
    """Where 95 % of each metric's values lie when rows are drawn anew with return: `{name: [low, high]}`."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        rows = random.integers(0, len(columns[0]), len(columns[0]))
        found.append(measure(*(column[rows] for column in columns)))
    return {name: np.percentile([each[name] for each in found], [2.5, 97.5]).tolist() for name in found[0]}
