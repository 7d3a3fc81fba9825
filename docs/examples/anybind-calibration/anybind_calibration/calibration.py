"""The task `calibration`: whether zero-shot answers are right as often as they are certain."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import anybind
import numpy as np
from anybind.dataset import Dataset
from anybind.errors import BadOption, OnBad
from anybind.prompts import DEFAULT_TEMPLATES, check_templates
from anybind.task import Task

from anybind_calibration.asking import ask, check_above
from anybind_calibration.metrics import (
    best_scale,
    brier,
    expected_calibration_error,
    intervals,
    negative_log_likelihood,
    reliability,
    risk_by_coverage,
    softmax,
)


class Calibration(Task):
    """Certainty is the largest probability of the softmax over cosines with the classes' words.

    Metrics: `ece` (expected calibration error), `brier` (0 to 2), `nll` (0 or more), `aurc` (mean share of wrong
    answers over all coverages: 0 when every wrong answer is less certain than every right one, and there are few),
    `risk_at_80` (share of wrong answers among the four fifths that are most certain), `accuracy` and `certainty` (both
    means). All are 0 to 1 but for the two that are told otherwise; of the first four and `risk_at_80`, less is better.
    """

    name = "calibration"
    main_metric = "ece"

    def __init__(
        self,
        *,
        templates: str | Iterable[str] = DEFAULT_TEMPLATES,
        scale: float | None = None,
        fit_on: str = "",
        bins: int = 15,
    ) -> None:
        """Set the question.

        Args:
            templates: sentences with `{}` for the class name.
            scale: factor of the softmax, above 0; the tower's own by default, and 100 where it has none.
            fit_on: a part of the data set, such as `train`, on which the scale is found that makes the true
                classes likeliest; `scale` is then left out.
            bins: equal parts of 0 to 1 in which certainty is compared with accuracy.

        Raises:
            BadOption: a template without `{}`, numbers that make no sense, or a scale that is given and fitted.
        """
        self.templates = check_templates([templates] if isinstance(templates, str) else templates)
        check_above("scale", scale)
        if not isinstance(bins, int) or bins < 1:
            raise BadOption(f"bins must be a whole number above 0, got {bins!r}")
        if scale is not None and fit_on:
            raise BadOption("give scale, or fit_on to have it found; not both")
        self.scale, self.fit_on, self.bins = scale, fit_on, bins

    def run(
        self,
        binder: anybind.Binder,
        dataset: Dataset,
        *,
        modality: str,
        seed: int = 0,
        on_bad: OnBad | None = None,
    ) -> anybind.Result:
        """Ask, and compare certainty with truth; see `Task.run`.

        The result has 95 % bootstrap intervals, and risk by coverage as a curve. Details hold `scale` and
        `reliability` (a row for each part of 0 to 1).
        """
        classes = list(dataset.classes)
        asked = ask(binder, dataset, modality, classes, self.templates, seed, on_bad)
        truth = np.array([classes.index(label) for label in asked.labels])
        scale = asked.scale if self.scale is None else self.scale
        if self.fit_on:
            lessons = ask(binder, dataset.with_split(self.fit_on), modality, classes, self.templates, seed, on_bad)
            scale = best_scale(lessons.similarity, np.array([classes.index(label) for label in lessons.labels]))
        probabilities = softmax(asked.similarity, scale)
        measure = functools.partial(_measure, bins=self.bins)
        certainty, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
        risk = risk_by_coverage(certainty, right)
        details: dict[str, Any] = {
            "scale": scale,
            "reliability": reliability(certainty, right, self.bins),
        }
        return anybind.Result(
            task=self.name,
            dataset=dataset.name,
            split_hash=dataset.split_hash,
            binding=binder.name,
            modality=modality,
            encoders=asked.encoders,
            seed=seed,
            n=len(truth),
            gallery_size=len(classes),
            metrics=measure(probabilities, truth),
            intervals=intervals(measure, probabilities, truth, seed=seed),
            curves={binder.name: _curve(risk)},
            prompts=self.templates,
            details=details,
        )


def _measure(probabilities: np.ndarray, truth: np.ndarray, bins: int) -> dict[str, float]:
    certainty, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    risk = risk_by_coverage(certainty, right)
    return {
        "ece": expected_calibration_error(certainty, right, bins),
        "brier": brier(probabilities, truth),
        "nll": negative_log_likelihood(probabilities, truth),
        "aurc": float(risk.mean()),
        "risk_at_80": float(risk[int(np.ceil(0.8 * len(risk))) - 1]),
        "accuracy": float(right.mean()),
        "certainty": float(certainty.mean()),
    }


def _curve(risk: np.ndarray) -> dict[str, list[float]]:
    """At most 21 points of risk by coverage."""
    places = np.unique(np.linspace(0, len(risk) - 1, 21).round().astype(int))
    return {"coverage": ((places + 1) / len(risk)).tolist(), "risk": risk[places].tolist()}
