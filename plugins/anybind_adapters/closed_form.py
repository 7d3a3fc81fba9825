"""Maps between two sets of paired vectors in closed form: ridge regression and Procrustes. Float64 inside."""

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
"""Penalties that are tried: 1e-4 to 100 times the mean eigenvalue."""

ALIKE = 1e-12
"""Share of the squares that is left of vectors that are all alike, once their mean is taken away."""


@dataclass(frozen=True)
class Map:
    """`x @ weight + bias`: weight (d, e) and bias (e,), float64, and how they were found."""

    weight: np.ndarray
    bias: np.ndarray
    settings: Mapping[str, object]


def ridge_map(
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int = 0,
    strengths: Sequence[float] | float | None = None,
    folds: int = 5,
    centre: bool = True,
    spread: bool = True,
) -> Map:
    """The map that makes squared error plus penalty small, the penalty chosen by cross-validation.

    For a strength s the penalty on the squared weights is s times the mean eigenvalue of the Gram matrix of x (of
    those rows that are fitted on, their mean taken away), so that a strength means the same for any n and scale.

    Args:
        x, y: (n, d) and (n, e), any float type. Time goes with n (d + e) d plus folds times d^3.
        groups: (n,) integers; a group is in one fold as a whole.
        seed: deals the groups out.
        strengths: see `STRENGTHS`; a single number is taken without cross-validation.
        folds: how many, at most as many as there are groups.
        centre: whether both sides' means are taken away first; without, the bias is zero.
        spread: whether what comes out is stretched about its mean until it spreads as wide as y does: the penalty
            draws it together, so that the mean would outweigh all differences once vectors are scaled to norm 1.

    Raises:
        BadOption: strengths that are no positive numbers, or fewer than two folds.
    """
    tried = check_strengths(strengths)
    rows = fold_rows(groups, folds, seed) if len(tried) > 1 else [np.arange(len(x))]
    parts = [Moments.of(x[fold], y[fold]) for fold in rows]
    means, centred = _centred(_sum(parts), centre)
    errors = [float(error) for error in cross_validate(parts, tried, centre)] if len(tried) > 1 else []
    chosen = tried[int(np.argmin(errors)) if errors else 0]
    weight = solve(centred, chosen)
    if spread:
        weight *= _stretch(centred, weight)
    settings = {"strength": chosen, "strengths": list(tried), "errors": errors, "folds": folds, "seed": seed}
    return Map(weight, means[1] - means[0] @ weight, {**settings, "centre": centre, "spread": spread})


def check_strengths(strengths: Sequence[float] | float | None) -> tuple[float, ...]:
    """The strengths to try, or `BadOption`."""
    if strengths is None:
        return STRENGTHS
    listed: tuple[object, ...] = tuple(strengths) if isinstance(strengths, Sequence) else (strengths,)
    checked: list[float] = []
    for each in listed:
        if isinstance(each, bool) or not isinstance(each, int | float) or not 0 < each < math.inf:
            raise BadOption(f"strengths must be numbers above 0, got {each!r}")
        checked.append(float(each))
    if not checked:
        raise BadOption("give at least one strength")
    return tuple(checked)


def fold_rows(groups: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Rows of each fold, (n_i,) indices; groups stay whole, and as many of them go to each fold as can be.

    Raises:
        BadOption: fewer than two folds, or fewer than two groups.
    """
    known, of = np.unique(groups, return_inverse=True)
    if not isinstance(folds, int) or folds < 2:
        raise BadOption(f"folds must be a whole number above 1, got {folds!r}")
    if len(known) < 2:
        raise BadOption("cross-validation needs pairs of at least two different things")
    folds = min(folds, len(known))
    fold_of = np.random.default_rng(seed).permutation(len(known)) % folds
    return [np.flatnonzero(fold_of[of] == fold) for fold in range(folds)]


def solve(centred: Moments, strength: float) -> np.ndarray:
    """The ridge solution (d, e) of centred sums."""
    d = len(centred.xx)
    penalty = strength * np.trace(centred.xx) / d
    return np.linalg.solve(centred.xx + penalty * np.eye(d), centred.xy)


def cross_validate(parts: Sequence[Moments], strengths: Sequence[float], centre: bool) -> np.ndarray:
    """Mean squared error of every strength over the folds, (len(strengths),): each part by the others' map.

    Of a fold's n pairs only their sums are looked at. In the eigenbasis of the others' Gram matrix the solution is
    diagonal, so that after one decomposition a strength costs d^2.
    """
    total = _sum(parts)
    errors = np.zeros(len(strengths))
    least = ALIKE * np.trace(total.xx) / len(total.x)
    for part in parts:
        rest = total - part
        means = _means(rest, centre)
        rest, asked = rest.about(*means), part.about(*means)
        values, basis = np.linalg.eigh(rest.xx)
        if values.mean() < least:  # the others' vectors are all alike: what is left of them is rounding
            errors += asked.yy
            continue
        crossed = basis.T @ rest.xy
        linear = np.einsum("ij,ij->i", crossed, basis.T @ asked.xy)
        square = (basis.T @ asked.xx @ basis) * (crossed @ crossed.T)
        for number, strength in enumerate(strengths):
            shrunk = 1 / (np.maximum(values, 0) + strength * values.mean())
            errors[number] += asked.yy - 2 * shrunk @ linear + shrunk @ square @ shrunk
    return errors / total.n


def procrustes_map(x: np.ndarray, y: np.ndarray, *, centre: bool = True, spread: bool = True) -> Map:
    """The orthogonal map that brings x (n, d) nearest to y (n, e), times a scale.

    Where d > e, columns are orthonormal, and where d < e, rows are; among such maps it is the one with the largest
    sum of inner products between mapped x and y (for d <= e that is also the smallest squared error).

    Args:
        x, y: any float type.
        centre: whether both sides' means are taken away first; without, the bias is zero.
        spread: whether the scale makes what comes out spread as wide as y does (see `ridge_map`); otherwise it is the
            one with the smallest squared error.
    """
    means, centred = _centred(Moments.of(x, y), centre)
    left, values, right = np.linalg.svd(centred.xy, full_matrices=False)
    turn = left @ right
    scale = _stretch(centred, turn) if spread else float(values.sum()) / _energy(centred, turn)
    weight = scale * turn
    return Map(weight, means[1] - means[0] @ weight, {"centre": centre, "spread": spread, "scale": scale})


def _stretch(centred: Moments, weight: np.ndarray) -> float:
    """The factor by which mapped rows spread as wide as y does."""
    return math.sqrt(centred.yy / _energy(centred, weight))


def _energy(centred: Moments, weight: np.ndarray) -> float:
    """Sum of squares of mapped rows; raises `BadInput` where the map gives nothing."""
    energy = float(np.einsum("ij,ij->", centred.xx @ weight, weight))
    if energy <= 0:
        raise BadInput("nothing can be fitted: the two sides have nothing to do with each other")
    return energy


def _centred(moments: Moments, centre: bool) -> tuple[tuple[np.ndarray, np.ndarray], Moments]:
    """Both means, and the sums about them; raises `BadInput` where the vectors of a side are all alike."""
    means = _means(moments, centre)
    centred = moments.about(*means)
    if np.trace(centred.xx) <= ALIKE * np.trace(moments.xx) or centred.yy <= ALIKE * moments.yy:
        raise BadInput("nothing can be fitted: the vectors of one side are all alike")
    return means, centred


def _means(moments: Moments, centre: bool) -> tuple[np.ndarray, np.ndarray]:
    return moments.means if centre else (np.zeros_like(moments.x), np.zeros_like(moments.y))


def _sum(parts: Sequence[Moments]) -> Moments:
    return functools.reduce(operator.add, parts)
