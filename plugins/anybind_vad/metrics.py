"""Metrics of anomaly scores with confidence intervals over videos: ROC AUC, AP and the area under the PR curve.

The last two summarise the same precision-recall curve: average precision (`ap`) by steps, as scikit-learn's
`average_precision_score`, the area under it (`pr_auc`) by trapezoids, as `auc(*precision_recall_curve(...))`, which
many papers on XD-Violence report as AP. They differ by up to some hundredths where many scores are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anybind.plugin import BadInput, files, intervals

RESAMPLES = 1000
NAMES = ("auc", "ap", "pr_auc")
ONE_CLASS = "all labels are {}: the area under the ROC curve is undefined"


class CurveAreas(NamedTuple):
    """Areas under the curves of scores; None if undefined.

    Attributes:
        auc: area under the ROC curve; needs samples of both labels.
        ap: average precision, a sum of steps; needs an abnormal sample.
        pr_auc: area under the precision-recall curve by trapezoids, from precision 1 at recall 0; needs an abnormal
            sample.
    """

    auc: float | None = None
    ap: float | None = None
    pr_auc: float | None = None


@dataclass(frozen=True)
class ScoreRanking:
    """Labels sorted by descending score, once for any number of weighted curves.

    Attributes:
        order: (n,) positions, highest score first.
        last: (groups,) index in that order of the last of each group of equal scores.
        labels: (n,) bool in that order.
    """

    order: np.ndarray
    last: np.ndarray
    labels: np.ndarray

    @classmethod
    def from_scores(cls, labels: np.ndarray, scores: np.ndarray) -> ScoreRanking:
        """Sort n labels (0 or 1) by n finite scores of any real type; raise `BadInput` for others."""
        labels, scores = np.asarray(labels), np.asarray(scores)
        if scores.dtype.kind not in "biuf":
            raise BadInput(f"expected scores of a real numeric type, got {scores.dtype}")
        if labels.shape != scores.shape or labels.ndim != 1 or not np.isin(labels, (0, 1)).all():
            raise BadInput(
                f"expected labels of 0 or 1, one for each score, got {labels.shape} labels and {scores.shape} scores"
            )
        if not np.isfinite(scores).all():
            raise BadInput("expected finite scores, got NaN or infinity")
        # Neither negated nor subtracted, which wraps around for unsigned integers and the smallest signed one.
        order = np.argsort(scores, kind="stable")[::-1]
        ordered = scores[order]
        last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(order) else np.empty(0, int)
        return cls(order, last, labels[order].astype(bool))

    def accumulate_counts(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return cumulative counts (or weights) of abnormal and normal samples by distinct score, descending."""
        weight = np.ones(len(self.order)) if weights is None else np.asarray(weights, float)[self.order]
        return np.cumsum(weight * self.labels)[self.last], np.cumsum(weight * ~self.labels)[self.last]

    def compute_areas(self, weights: np.ndarray | None = None) -> CurveAreas:
        """Compute the areas under the curves; equal scores are one step of a curve."""
        true_positives, false_positives = self.accumulate_counts(weights)
        if not len(true_positives) or true_positives[-1] == 0:
            return CurveAreas()
        steps = np.diff(true_positives, prepend=0.0)
        predicted = true_positives + false_positives
        # Scores without weight, before the first one with weight, leave the curve at its start: precision 1, recall 0.
        precision = np.divide(true_positives, predicted, out=np.ones_like(predicted), where=predicted > 0)
        average = float((steps * precision).sum() / true_positives[-1])
        before = np.append(1.0, precision[:-1])
        trapezoids = float((steps * (precision + before) / 2).sum() / true_positives[-1])
        if false_positives[-1] == 0:
            return CurveAreas(None, average, trapezoids)
        # Trapezoids: the width of each step times the mean of the heights at its ends.
        area = (np.diff(false_positives, prepend=0.0) * (true_positives - steps / 2)).sum() / (
            true_positives[-1] * false_positives[-1]
        )
        return CurveAreas(float(area), average, trapezoids)


def compute_roc_auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Compute the area under the ROC curve, 0 to 1; None if all labels are equal."""
    return ScoreRanking.from_scores(labels, scores).compute_areas().auc


@dataclass(frozen=True)
class AnomalyMetrics:
    """Metrics of anomaly scores, in the form of the fields of `Result`.

    Attributes:
        metrics: `auc`, `ap`, `pr_auc` (all videos together; see `CurveAreas`), `macro_auc`, `macro_ap`, `macro_pr_auc`
            (means over the videos with both labels); undefined ones are omitted.
        intervals: 95 % confidence intervals of `auc`, `ap` and `pr_auc` over bootstrap resamples of videos; empty with
            one video.
        undefined: why `auc` is undefined; empty if it is defined.
        abnormal_fraction: fraction of abnormal samples.
    """

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    undefined: dict[str, str]
    abnormal_fraction: float


def compute_metrics(
    labels: Sequence[np.ndarray], scores: Sequence[np.ndarray], *, seed: int = 0, resamples: int = RESAMPLES
) -> AnomalyMetrics:
    """Compute the areas of `CurveAreas` over all videos together, and their means over videos.

    Args:
        labels, scores: (n,) each, for every video.
        seed: seed of the bootstrap.
        resamples: number of bootstrap resamples; those with an undefined metric are ignored.
    """
    ranking = ScoreRanking.from_scores(np.concatenate(labels), np.concatenate(scores))
    values: dict[str, float | None] = dict(zip(NAMES, ranking.compute_areas(), strict=True))
    per_video = [ScoreRanking.from_scores(*pair).compute_areas() for pair in zip(labels, scores, strict=True)]
    for column, name in enumerate(NAMES):
        defined = [area for areas in per_video if areas[0] is not None and (area := areas[column]) is not None]
        values[f"macro_{name}"] = float(np.mean(defined)) if defined else None
    label = "missing" if not len(ranking.labels) else "abnormal" if ranking.labels.any() else "normal"
    return AnomalyMetrics(
        {name: value for name, value in values.items() if value is not None},
        _bootstrap_intervals(ranking, [len(video) for video in labels], seed, resamples),
        {} if values["auc"] is not None else {"auc": ONE_CLASS.format(label)},
        float(ranking.labels.mean()) if len(ranking.labels) else 0.0,
    )


def compute_roc_curve(labels: np.ndarray, scores: np.ndarray, points: int = 200) -> dict[str, list[float]]:
    """Return the ROC curve by axis: false and true positive rates, at most `points` + 1; empty if undefined."""
    true_positives, false_positives = (
        np.append(0.0, counts) for counts in ScoreRanking.from_scores(labels, scores).accumulate_counts()
    )
    if not (true_positives[-1] and false_positives[-1]):
        return {}
    selected = np.unique(np.linspace(0, len(true_positives) - 1, points + 1).round().astype(int))
    return {
        "false positive rate": (false_positives[selected] / false_positives[-1]).tolist(),
        "true positive rate": (true_positives[selected] / true_positives[-1]).tolist(),
    }


def _bootstrap_intervals(
    ranking: ScoreRanking, lengths: Sequence[int], seed: int, resamples: int
) -> dict[str, tuple[float, float]]:
    if len(lengths) < 2:
        return {}
    estimates = [
        ranking.compute_areas(np.repeat(of_videos, lengths))
        for of_videos in intervals.draw_resamples(len(lengths), seed, resamples)
    ]
    bounds: dict[str, tuple[float, float]] = {}
    for column, name in enumerate(NAMES):
        if defined := [area for areas in estimates if (area := areas[column]) is not None]:
            bounds[name] = intervals.compute_percentile_interval(defined)
    return bounds


def draw_roc(path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str = "") -> None:
    """Plot ROC curves to a file (PNG, SVG, ... by its suffix).

    Args:
        path: the file.
        curves: labels and scores by name for the legend; curves with equal labels are omitted.
        title: title of the plot.

    Raises:
        BadInput: the file is not writable.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="false positive rate", ylabel="true positive rate", title=title)
    for name, (labels, scores) in curves.items():
        ranking = ScoreRanking.from_scores(labels, scores)
        area = ranking.compute_areas().auc
        if area is not None:
            true_positives, false_positives = (
                np.append(0, counts / counts[-1]) for counts in ranking.accumulate_counts()
            )
            axes.plot(false_positives, true_positives, label=f"{name} ({area:.3f})")
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    if len(axes.lines) > 1:
        axes.legend(loc="lower right", fontsize=8)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
