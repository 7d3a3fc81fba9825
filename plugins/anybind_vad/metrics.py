"""How well scores tell abnormal from normal: areas under curves, with intervals over videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, files

RESAMPLES = 1000
ONE_KIND = "the labels are of one kind only ({}): the area under the ROC curve is not defined"


@dataclass(frozen=True)
class ScoreRanking:
    """Labels in the order of falling scores, so that curves with other weights need no sorting anew.

    Attributes:
        order: (n,) positions, highest score first.
        last: (groups,) the place in that order of the last of each group of equal scores.
        labels: (n,) bool in that order.
    """

    order: np.ndarray
    last: np.ndarray
    labels: np.ndarray

    @classmethod
    def from_scores(cls, labels: np.ndarray, scores: np.ndarray) -> ScoreRanking:
        """The ranking of n labels (0 or 1) by n finite scores; raises `BadInput` for others."""
        labels, scores = np.asarray(labels), np.asarray(scores)
        if labels.shape != scores.shape or labels.ndim != 1 or not np.isin(labels, (0, 1)).all():
            raise BadInput(f"labels must be 0 or 1, one for each score; got {labels.shape} and {scores.shape}")
        if not np.isfinite(scores).all():
            raise BadInput("a score is not finite")
        order = np.argsort(-scores, kind="stable")
        last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(order) else np.empty(0, int)
        return cls(order, last, labels[order].astype(bool))

    def accumulate_counts(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Abnormal and normal ones (or their weights) at or above each distinct score, from the highest down."""
        weight = np.ones(len(self.order)) if weights is None else np.asarray(weights, float)[self.order]
        return np.cumsum(weight * self.labels)[self.last], np.cumsum(weight * ~self.labels)[self.last]

    def compute_areas(self, weights: np.ndarray | None = None) -> tuple[float | None, float | None]:
        """Area under the ROC curve and average precision; None where they are not defined.

        The first needs both kinds, the second one abnormal at least. Equal scores count as one step of both curves.
        """
        hits, misses = self.accumulate_counts(weights)
        if not len(hits) or hits[-1] == 0:
            return None, None
        gained = np.diff(hits, prepend=0.0)
        average = float((gained * hits / np.maximum(hits + misses, np.finfo(float).tiny)).sum() / hits[-1])
        if misses[-1] == 0:
            return None, average
        # Trapezoids: each step to the right under the mean of the heights at its ends.
        area = (np.diff(misses, prepend=0.0) * (hits - gained / 2)).sum() / (hits[-1] * misses[-1])
        return float(area), average


def compute_roc_auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve, 0 to 1; None where the labels are of one kind only."""
    return ScoreRanking.from_scores(labels, scores).compute_areas()[0]


@dataclass(frozen=True)
class AnomalyMetrics:
    """Areas of videos, as fields of `Result` take them.

    Attributes:
        metrics: `auc`, `ap` (all videos together), `macro_auc`, `macro_ap` (means over the videos with both kinds of
            labels); those that are not defined are left out.
        intervals: 95 % confidence intervals of `auc` and `ap` over videos drawn with replacement; none with one video.
        undefined: why `auc` is not defined, where it is not.
        abnormal: share of abnormal samples.
    """

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    undefined: dict[str, str]
    abnormal_fraction: float


def compute_metrics(
    labels: Sequence[np.ndarray], scores: Sequence[np.ndarray], *, seed: int = 0, resamples: int = RESAMPLES
) -> AnomalyMetrics:
    """Compute areas over all videos together and as means over videos.

    Args:
        labels, scores: (n,) each, for every video.
        seed: of the draws.
        draws: how many; those in which an area is not defined are passed over.
    """
    ranking = ScoreRanking.from_scores(np.concatenate(labels), np.concatenate(scores))
    names = ("auc", "ap")
    values: dict[str, float | None] = dict(zip(names, ranking.compute_areas(), strict=True))
    each = [ScoreRanking.from_scores(*pair).compute_areas() for pair in zip(labels, scores, strict=True)]
    for place, name in enumerate(names):
        defined = [area for areas in each if areas[0] is not None and (area := areas[place]) is not None]
        values[f"macro_{name}"] = float(np.mean(defined)) if defined else None
    kind = "none" if not len(ranking.labels) else "abnormal" if ranking.labels.any() else "normal"
    return AnomalyMetrics(
        {name: value for name, value in values.items() if value is not None},
        _intervals(ranking, [len(video) for video in labels], seed, resamples),
        {} if values["auc"] is not None else {"auc": ONE_KIND.format(kind)},
        float(ranking.labels.mean()) if len(ranking.labels) else 0.0,
    )


def compute_roc_curve(labels: np.ndarray, scores: np.ndarray, points: int = 200) -> dict[str, list[float]]:
    """The ROC curve by axis: false and true positive rates, at most `points` + 1 of them; empty where not defined."""
    hits, misses = (np.append(0.0, counts) for counts in ScoreRanking.from_scores(labels, scores).accumulate_counts())
    if not (hits[-1] and misses[-1]):
        return {}
    chosen = np.unique(np.linspace(0, len(hits) - 1, points + 1).round().astype(int))
    return {
        "false positive rate": (misses[chosen] / misses[-1]).tolist(),
        "true positive rate": (hits[chosen] / hits[-1]).tolist(),
    }


def _intervals(ranking: ScoreRanking, lengths: Sequence[int], seed: int, draws: int) -> dict[str, tuple[float, float]]:
    if len(lengths) < 2:
        return {}
    random = np.random.default_rng(seed)
    drawn = [
        np.bincount(random.integers(len(lengths), size=len(lengths)), minlength=len(lengths)) for _ in range(draws)
    ]
    found = [ranking.compute_areas(np.repeat(times, lengths)) for times in drawn]
    ends: dict[str, tuple[float, float]] = {}
    for place, name in enumerate(("auc", "ap")):
        if defined := [area for areas in found if (area := areas[place]) is not None]:
            low, high = np.percentile(defined, (2.5, 97.5))
            ends[name] = float(low), float(high)
    return ends


def draw_roc(path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str = "") -> None:
    """Write a picture (PNG, SVG, ... by the name's ending) of ROC curves.

    Args:
        path: the picture.
        curves: labels and scores by the name that stands in the legend; those of one kind of label are left out.
        title: stands above.

    Raises:
        BadInput: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="normal frames taken for abnormal", ylabel="abnormal frames found", title=title)
    for name, (labels, scores) in curves.items():
        ranking = ScoreRanking.from_scores(labels, scores)
        area, _ = ranking.compute_areas()
        if area is not None:
            hits, misses = (np.append(0, counts / counts[-1]) for counts in ranking.accumulate_counts())
            axes.plot(misses, hits, label=f"{name} ({area:.3f})")
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    if len(axes.lines) > 1:
        axes.legend(loc="lower right", fontsize=8)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
