"""Calibration of anomaly scores of several modalities for their fusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

STEPS = 50
"""Steps of the EM algorithm of `fit_student`, which converges linearly."""
MIN_SCALE = 1e-6
"""Smallest noise scale, relative to the largest score."""
ASSUMED_STEP = 3.0
"""Step from normal to abnormal without abnormal windows, in standard deviations of the noise, as in the automatic
threshold of segments."""


class Calibration(NamedTuple):
    """An affine map from a score to an estimate of the latent state, 0 (normal) or 1 (abnormal).

    Attributes:
        location: score of the state 0.
        step: difference of the scores of the states 1 and 0, above 0.
        precision: inverse variance of the estimate.
    """

    location: float
    step: float
    precision: float

    def estimate_states(self, scores: np.ndarray) -> np.ndarray:
        """Return the state estimated from each score, (n,) float64."""
        return (np.asarray(scores, np.float64) - self.location) / self.step


def fit_student(values: np.ndarray, labels: np.ndarray, dof: float) -> tuple[list[float], float]:
    """Fit Student-t distributions of one scale to values of each label by maximum likelihood (EM).

    Args:
        values: (n,) float64, n >= 1.
        labels: (n,) integers.
        dof: degrees of freedom.

    Returns:
        the location of each label, in order of the labels, and the scale.
    """
    groups = [labels == label for label in np.unique(labels)]
    centres = np.zeros(len(values))
    for group in groups:
        centres[group] = np.median(values[group])
    floor = MIN_SCALE * max(float(np.abs(values).max()), MIN_SCALE)
    scale = max(1.4826 * float(np.median(np.abs(values - centres))), float((values - centres).std()) / 2, floor)
    for _ in range(STEPS):
        weights = (dof + 1) / (dof + ((values - centres) / scale) ** 2)
        for group in groups:
            centres[group] = np.average(values[group], weights=weights[group])
        scale = max(float(np.sqrt(np.mean(weights * (values - centres) ** 2))), floor)
    return [float(centres[group][0]) for group in groups], scale


def fit_calibrations(by_modality: Mapping[str, tuple[np.ndarray, np.ndarray]], dof: float) -> dict[str, Calibration]:
    """Fit the calibration of each modality to its scores and labels 0 and 1.

    The precision is step^2 / v with the variance v = dof / (dof + 1) * scale^2 of the Laplace approximation, less its
    expectation for a step of 0, 1/n_normal + 1/n_abnormal. If there are no abnormal scores, or all precisions are 0,
    the step is 3 standard deviations.

    Args:
        by_modality: scores (n,) and labels (n,), with at least one 0.
        dof: degrees of freedom of the Student-t noise.
    """
    calibrations: dict[str, Calibration] = {}
    for modality, (scores, labels) in by_modality.items():
        if len(np.unique(labels)) < 2:
            break
        (normal, abnormal), scale = fit_student(scores.astype(np.float64), labels, dof)
        counts = [int((labels == label).sum()) for label in (0, 1)]
        step = abnormal - normal
        precision = step**2 / _compute_variance(scale, dof) - sum(1 / count for count in counts)
        informative = step > 0 and precision > 0
        calibrations[modality] = Calibration(normal, *((step, precision) if informative else (1.0, 0.0)))
    if len(calibrations) < len(by_modality) or not any(each.precision for each in calibrations.values()):
        return {name: _assume_step(*values, dof) for name, values in by_modality.items()}
    return calibrations


def _assume_step(scores: np.ndarray, labels: np.ndarray, dof: float) -> Calibration:
    normal = scores[labels == 0].astype(np.float64)
    (location,), scale = fit_student(normal, np.zeros(len(normal)), dof)
    return Calibration(location, ASSUMED_STEP * float(np.sqrt(_compute_variance(scale, dof))), ASSUMED_STEP**2)


def _compute_variance(scale: float, dof: float) -> float:
    """Compute the variance of the Laplace approximation of a Student-t distribution at its mode."""
    return dof / (dof + 1) * scale**2
