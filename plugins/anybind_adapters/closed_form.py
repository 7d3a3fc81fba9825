"""Closed-form maps between paired embeddings: ridge regression and Procrustes, computed in float64."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind_adapters.moments import Moments

STRENGTHS = tuple(float(10 ** (power / 4)) for power in range(-16, 9))
"""Default penalties: 1e-4 to 100 times the mean eigenvalue, four a decade."""

MIN_VARIANCE_FRACTION = 1e-12
"""Centred embeddings with a smaller fraction of the sum of squares are equal up to rounding."""


@dataclass(frozen=True)
class LinearMap:
    """An affine map, `x @ weight + bias`: weight (d, e) and bias (e,), float64, and the settings of the fit."""

    weight: np.ndarray
    bias: np.ndarray
    settings: Mapping[str, object]


def fit_ridge(
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int = 0,
    strengths: Sequence[float] | float | None = None,
    folds: int = 5,
    centre: bool = True,
    spread: bool = True,
) -> LinearMap:
    """Fit a ridge regression from x to y, its penalty selected by cross-validation.

    For a strength s the penalty on the squared weights is s times the mean eigenvalue of the Gram matrix of x (of
    the centred training rows), so that a strength is independent of n and scale.

    Args:
        x, y: (n, d) and (n, e), any float type. The run time is O(n (d + e) d + folds d^3).
        groups: (n,) integers; a group is in one fold as a whole.
        seed: of the assignment of groups to folds.
        strengths: candidate penalties, see `STRENGTHS`; a single number is used without cross-validation.
        folds: number of folds, at most the number of groups.
        centre: subtract both sides' means first; otherwise the bias is zero.
        spread: scale the output about its mean to the variance of y: the penalty shrinks it, so that after
            normalisation to norm 1 the mean would outweigh all differences.

    Raises:
        BadOption: invalid strengths, or fewer than two folds.
    """
    candidates = check_strengths(strengths)
    rows = split_folds(groups, folds, seed) if len(candidates) > 1 else [np.arange(len(x))]
    parts = [Moments.from_rows(x[fold], y[fold]) for fold in rows]
    means, centred = _center_moments(_sum_moments(parts), centre)
    errors = [float(error) for error in cross_validate(parts, candidates, centre)] if len(candidates) > 1 else []
    strength = candidates[int(np.argmin(errors)) if errors else 0]
    weight = solve_ridge(centred, strength)
    if spread:
        weight *= _compute_stretch(centred, weight)
    settings = {"strength": strength, "strengths": list(candidates), "errors": errors, "folds": folds, "seed": seed}
    return LinearMap(weight, means[1] - means[0] @ weight, {**settings, "centre": centre, "spread": spread})


def check_strengths(strengths: Sequence[float] | float | None) -> tuple[float, ...]:
    """Return the strengths as numbers above 0, by default `STRENGTHS`; raise `BadOption` for invalid ones."""
    if strengths is None:
        return STRENGTHS
    values: tuple[object, ...] = tuple(strengths) if isinstance(strengths, Sequence) else (strengths,)
    checked: list[float] = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise BadOption(f"strengths: expected numbers above 0, got {value!r}")
        checked.append(float(value))
    if not checked:
        raise BadOption("strengths: expected at least one number")
    return tuple(checked)


def split_folds(groups: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Split rows into folds of whole groups; return the (n_i,) row indices of each fold.

    Raises:
        BadOption: fewer than two folds, or fewer than two groups.
    """
    unique, group_of = np.unique(groups, return_inverse=True)
    if not isinstance(folds, int) or folds < 2:
        raise BadOption(f"folds: expected a whole number above 1, got {folds!r}")
    if len(unique) < 2:
        raise BadOption(f"cross-validation: expected pairs of at least two groups, got {len(unique)}")
    folds = min(folds, len(unique))
    fold_of = np.random.default_rng(seed).permutation(len(unique)) % folds
    return [np.flatnonzero(fold_of[group_of] == fold) for fold in range(folds)]


def solve_ridge(centred: Moments, strength: float) -> np.ndarray:
    """Compute the ridge solution (d, e) of centred moments."""
    d = len(centred.xx)
    penalty = strength * np.trace(centred.xx) / d
    return np.linalg.solve(centred.xx + penalty * np.eye(d), centred.xy)


def cross_validate(parts: Sequence[Moments], strengths: Sequence[float], centre: bool) -> np.ndarray:
    """Compute the mean squared error of every strength over the folds, (len(strengths),).

    The moments of a fold suffice. In the eigenbasis of the other folds' Gram matrix the solution is diagonal, so that
    after one decomposition a strength costs O(d^2).
    """
    total = _sum_moments(parts)
    errors = np.zeros(len(strengths))
    min_eigenvalue = MIN_VARIANCE_FRACTION * np.trace(total.xx) / len(total.x)
    for part in parts:
        train = total - part
        means = _get_means(train, centre)
        train, val = train.center(*means), part.center(*means)
        values, basis = np.linalg.eigh(train.xx)
        if values.mean() < min_eigenvalue:  # the training rows are equal up to rounding: predict their mean
            errors += val.yy
            continue
        crossed = basis.T @ train.xy
        linear = np.einsum("ij,ij->i", crossed, basis.T @ val.xy)
        square = (basis.T @ val.xx @ basis) * (crossed @ crossed.T)
        for number, strength in enumerate(strengths):
            shrinkage = 1 / (np.maximum(values, 0) + strength * values.mean())
            errors[number] += val.yy - 2 * shrinkage @ linear + shrinkage @ square @ shrinkage
    return errors / total.n


def fit_procrustes(x: np.ndarray, y: np.ndarray, *, centre: bool = True, spread: bool = True) -> LinearMap:
    """Fit the orthogonal map from x (n, d) to y (n, e), times a scale.

    For d > e its columns are orthonormal, for d < e its rows; among such maps it has the largest sum of inner products
    between mapped x and y (for d <= e that is also the smallest squared error).

    Args:
        x, y: any float type.
        centre: subtract both sides' means first; otherwise the bias is zero.
        spread: scale the output to the variance of y (see `fit_ridge`); otherwise the scale has the smallest squared
            error.
    """
    means, centred = _center_moments(Moments.from_rows(x, y), centre)
    left, values, right = np.linalg.svd(centred.xy, full_matrices=False)
    rotation = left @ right
    scale = _compute_stretch(centred, rotation) if spread else float(values.sum()) / _compute_energy(centred, rotation)
    weight = scale * rotation
    return LinearMap(weight, means[1] - means[0] @ weight, {"centre": centre, "spread": spread, "scale": scale})


def _compute_stretch(centred: Moments, weight: np.ndarray) -> float:
    """Compute the factor that scales mapped rows to the variance of y."""
    return math.sqrt(centred.yy / _compute_energy(centred, weight))


def _compute_energy(centred: Moments, weight: np.ndarray) -> float:
    """Compute the sum of squares of mapped rows; raise `BadInput` if it is 0."""
    energy = float(np.einsum("ij,ij->", centred.xx @ weight, weight))
    if energy <= 0:
        raise BadInput("cannot fit an adapter: the two sides are uncorrelated")
    return energy


def _center_moments(moments: Moments, centre: bool) -> tuple[tuple[np.ndarray, np.ndarray], Moments]:
    """Return both means and the centred moments; raise `BadInput` if the embeddings of a side are all equal."""
    means = _get_means(moments, centre)
    centred = moments.center(*means)
    if (
        np.trace(centred.xx) <= MIN_VARIANCE_FRACTION * np.trace(moments.xx)
        or centred.yy <= MIN_VARIANCE_FRACTION * moments.yy
    ):
        raise BadInput("cannot fit an adapter: the embeddings of one side are all equal")
    return means, centred


def _get_means(moments: Moments, centre: bool) -> tuple[np.ndarray, np.ndarray]:
    return moments.means if centre else (np.zeros_like(moments.x), np.zeros_like(moments.y))


def _sum_moments(parts: Sequence[Moments]) -> Moments:
    return functools.reduce(operator.add, parts)
