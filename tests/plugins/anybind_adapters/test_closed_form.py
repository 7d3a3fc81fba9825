"""Ridge regression and Procrustes against plain loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import anybind
from anybind.errors import BadOption
from anybind_adapters.closed_form import cross_validate, split_folds, fit_procrustes, fit_ridge
from anybind_adapters.moments import BLOCK, Moments

SIZES = {"n": st.integers(6, 40), "d": st.integers(1, 9), "e": st.integers(1, 9), "seed": st.integers(0, 10**6)}


def made(n, d, e, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, d)) + random.normal(size=d)
    return x, x @ random.normal(size=(d, e)) + random.normal(size=(n, e)) + random.normal(size=e)


def plain_ridge(x, y, strength, centre):
    """As the books have it, by augmented least squares and not by normal equations."""
    mx, my = (x.mean(0), y.mean(0)) if centre else (np.zeros(x.shape[1]), np.zeros(y.shape[1]))
    a, b = x - mx, y - my
    d = x.shape[1]
    penalty = np.sqrt(strength * np.sum(a**2) / d) * np.eye(d)
    weight = np.linalg.lstsq(np.vstack([a, penalty]), np.vstack([b, np.zeros((d, y.shape[1]))]), rcond=None)[0]
    return weight, my - mx @ weight


@settings(max_examples=60)
@given(**SIZES, power=st.floats(-3, 2), centre=st.booleans())
def test_ridge_is_the_least_squares_solution_with_a_penalty(n, d, e, seed, power, centre):
    x, y = made(n, d, e, seed)
    found = fit_ridge(x, y, np.arange(n), strengths=10**power, centre=centre, spread=False)
    weight, bias = plain_ridge(x, y, 10**power, centre)
    np.testing.assert_allclose(found.weight, weight, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.bias, bias, rtol=1e-6, atol=1e-8)
    assert found.settings["strength"] == 10**power


@settings(max_examples=40)
@given(**SIZES, centre=st.booleans(), folds=st.integers(2, 6))
@example(n=6, d=1, e=1, seed=0, centre=True, folds=2)  # a fold whose others are one vector
def test_cross_validation_gives_the_errors_and_picks_the_strength_of_a_plain_loop(n, d, e, seed, centre, folds):
    x, y = made(n, d, e, seed)
    groups = np.random.default_rng(seed).integers(0, 6, n)
    groups[:2] = (0, 1)
    strengths = [0.001, 0.03, 0.5, 7.0, 90.0]
    found = fit_ridge(x, y, groups, seed=seed, strengths=strengths, folds=folds, centre=centre)
    errors = np.zeros(len(strengths))
    for held in split_folds(groups, folds, seed):
        rest = np.setdiff1d(np.arange(n), held)
        for number, strength in enumerate(strengths):
            weight, bias = plain_ridge(x[rest], y[rest], strength, centre)
            errors[number] += np.sum((y[held] - x[held] @ weight - bias) ** 2) / n
    np.testing.assert_allclose(found.settings["errors"], errors, rtol=1e-5, atol=1e-8)
    assert errors[strengths.index(found.settings["strength"])] <= errors.min() * (1 + 1e-5)


def test_noise_asks_for_a_stronger_penalty_than_none():
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 20))
    clean = x @ random.normal(size=(20, 5))
    noisy = clean + 30 * random.normal(size=(80, 5))
    strength = {name: fit_ridge(x, y, np.arange(80)).settings["strength"] for name, y in (("c", clean), ("n", noisy))}
    assert strength["c"] < 0.01 < 1 < strength["n"]


@settings(max_examples=40)
@given(n=st.integers(5, 40), groups=st.integers(2, 12), folds=st.integers(2, 8), seed=st.integers(0, 99))
def test_folds_hold_every_row_once_and_no_group_is_torn(n, groups, folds, seed):
    of = np.arange(n) % groups
    parts = split_folds(of, folds, seed)
    assert sorted(np.concatenate(parts)) == list(range(n))
    assert len(parts) == min(folds, len(set(of)))
    assert all(len(part) for part in parts)
    kept = [set(of[part]) for part in parts]
    assert sum(map(len, kept)) == len(set(of))


@pytest.mark.parametrize("centre", [True, False])
def test_what_comes_out_spreads_as_wide_as_the_targets(centre):
    x, y = made(50, 6, 4, 1)
    for found in (fit_ridge(x, y, np.arange(50), strengths=3.0, centre=centre), fit_procrustes(x, y, centre=centre)):
        out = x @ found.weight + found.bias
        middle = y.mean(0) if centre else 0
        np.testing.assert_allclose(np.sum((out - middle) ** 2), np.sum((y - middle) ** 2))
        if centre:
            np.testing.assert_allclose(out.mean(0), y.mean(0))


@settings(max_examples=60)
@given(**SIZES, centre=st.booleans(), spread=st.booleans())
def test_procrustes_is_orthogonal_up_to_its_scale(n, d, e, seed, centre, spread):
    x, y = made(n, d, e, seed)
    found = fit_procrustes(x, y, centre=centre, spread=spread)
    turn = found.weight / found.settings["scale"]
    gram = turn @ turn.T if d <= e else turn.T @ turn
    np.testing.assert_allclose(gram, np.eye(min(d, e)), atol=1e-9)


@settings(max_examples=40)
@given(**SIZES)
def test_no_other_rotation_and_no_other_scale_comes_nearer_than_procrustes(n, d, e, seed):
    d, e = sorted((d, e))
    x, y = made(n, d, e, seed)
    found = fit_procrustes(x, y, spread=False)
    a, b = x - x.mean(0), y - y.mean(0)
    least = np.sum((a @ found.weight - b) ** 2)
    random = np.random.default_rng(seed)
    for _ in range(5):
        other = np.linalg.qr(random.normal(size=(e, e)))[0][:d]
        nudged = np.linalg.qr((found.weight + 0.05 * random.normal(size=(d, e))).T)[0].T
        for turn in (other, nudged, found.weight / found.settings["scale"]):
            for scale in (found.settings["scale"], 0.9 * found.settings["scale"], 1.0):
                assert np.sum((a @ turn * scale - b) ** 2) >= least * (1 - 1e-9)


def test_procrustes_finds_a_rotation_that_was_made():
    random = np.random.default_rng(3)
    turn = np.linalg.qr(random.normal(size=(7, 7)))[0]
    x = random.normal(size=(30, 7))
    found = fit_procrustes(x, x @ turn + 0.25)
    np.testing.assert_allclose(found.weight, turn, atol=1e-10)
    np.testing.assert_allclose(found.bias, np.full(7, 0.25), atol=1e-10)


def test_sums_are_the_same_in_blocks_and_add_up():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(BLOCK + 5, 3)).astype(np.float32), random.normal(size=(BLOCK + 5, 2)).astype(np.float32)
    whole = Moments.from_rows(x, y)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(whole.xx, exact.T @ exact, rtol=1e-12)
    rest = whole - Moments.from_rows(x[:9], y[:9])
    np.testing.assert_allclose(rest.xy, Moments.from_rows(x[9:], y[9:]).xy, rtol=1e-9)
    assert rest.n == BLOCK - 4


def test_sums_about_a_mean_are_those_of_centred_rows():
    x, y = made(40, 5, 3, 0)
    centred, plain = Moments.from_rows(x, y).center(x.mean(0), y.mean(0)), Moments.from_rows(x - x.mean(0), y - y.mean(0))
    for name in ("x", "y", "xx", "xy", "yy"):
        np.testing.assert_allclose(getattr(centred, name), getattr(plain, name), atol=1e-9)


def test_more_dimensions_than_pairs_are_no_trouble():
    x, y = made(12, 40, 30, 0)
    parts = [Moments.from_rows(x[rows], y[rows]) for rows in split_folds(np.arange(12), 4, 0)]
    assert np.isfinite(cross_validate(parts, [1e-4, 1.0], True)).all()
    assert np.isfinite(fit_ridge(x, y, np.arange(12)).weight).all()


@pytest.mark.parametrize("strengths", [0, -1.0, [], ["a"], [0.1, float("nan")], float("inf"), True])
def test_strengths_that_are_no_positive_numbers_are_refused(strengths):
    with pytest.raises(BadOption, match="strength"):
        fit_ridge(*made(9, 2, 2, 0), np.arange(9), strengths=strengths)


@pytest.mark.parametrize("folds", [1, 0, 2.5, "3"])
def test_folds_that_make_no_sense_are_refused(folds):
    with pytest.raises(BadOption, match="folds must be"):
        fit_ridge(*made(9, 2, 2, 0), np.arange(9), folds=folds)


def test_pairs_of_one_thing_cannot_be_cross_validated():
    with pytest.raises(BadOption, match="two different things"):
        fit_ridge(*made(9, 2, 2, 0), np.zeros(9))


@pytest.mark.parametrize("fit", [lambda x, y: fit_ridge(x, y, np.arange(len(x))), fit_procrustes])
def test_vectors_that_are_all_alike_cannot_be_fitted(fit):
    x, y = made(20, 3, 3, 0)
    for alike in ((np.ones_like(x), y), (x, np.ones_like(y))):
        with pytest.raises(anybind.BadInput, match="nothing can be fitted"):
            fit(*alike)
