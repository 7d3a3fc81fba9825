"""Ridge regression and Procrustes against plain loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import anybind
from anybind.errors import BadOption
from anybind_adapters.closed_form import cross_validate, fit_procrustes, fit_ridge, split_folds
from anybind_adapters.moments import BLOCK, Moments

SIZES = {"n": st.integers(6, 40), "d": st.integers(1, 9), "e": st.integers(1, 9), "seed": st.integers(0, 10**6)}


def make_data(n, d, e, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, d)) + random.normal(size=d)
    return x, x @ random.normal(size=(d, e)) + random.normal(size=(n, e)) + random.normal(size=e)


def compute_ridge(x, y, strength, centre):
    """Compute ridge regression by augmented least squares and not by normal equations."""
    mx, my = (x.mean(0), y.mean(0)) if centre else (np.zeros(x.shape[1]), np.zeros(y.shape[1]))
    a, b = x - mx, y - my
    d = x.shape[1]
    penalty = np.sqrt(strength * np.sum(a**2) / d) * np.eye(d)
    weight = np.linalg.lstsq(np.vstack([a, penalty]), np.vstack([b, np.zeros((d, y.shape[1]))]), rcond=None)[0]
    return weight, my - mx @ weight


@settings(max_examples=60)
@given(**SIZES, power=st.floats(-3, 2), centre=st.booleans())
def test_ridge_equals_augmented_least_squares(n, d, e, seed, power, centre):
    x, y = make_data(n, d, e, seed)
    fitted = fit_ridge(x, y, np.arange(n), strengths=10**power, centre=centre, spread=False)
    weight, bias = compute_ridge(x, y, 10**power, centre)
    np.testing.assert_allclose(fitted.weight, weight, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(fitted.bias, bias, rtol=1e-6, atol=1e-8)
    assert fitted.settings["strength"] == 10**power


@settings(max_examples=40)
@given(**SIZES, centre=st.booleans(), folds=st.integers(2, 6))
@example(n=6, d=1, e=1, seed=0, centre=True, folds=2)  # one training row
def test_cross_validation_equals_a_plain_loop(n, d, e, seed, centre, folds):
    x, y = make_data(n, d, e, seed)
    groups = np.random.default_rng(seed).integers(0, 6, n)
    groups[:2] = (0, 1)
    strengths = [0.001, 0.03, 0.5, 7.0, 90.0]
    fitted = fit_ridge(x, y, groups, seed=seed, strengths=strengths, folds=folds, centre=centre)
    errors = np.zeros(len(strengths))
    for val in split_folds(groups, folds, seed):
        train = np.setdiff1d(np.arange(n), val)
        for number, strength in enumerate(strengths):
            weight, bias = compute_ridge(x[train], y[train], strength, centre)
            errors[number] += np.sum((y[val] - x[val] @ weight - bias) ** 2) / n
    np.testing.assert_allclose(fitted.settings["errors"], errors, rtol=1e-5, atol=1e-8)
    assert errors[strengths.index(fitted.settings["strength"])] <= errors.min() * (1 + 1e-5)


def test_noise_increases_the_selected_penalty():
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 20))
    clean = x @ random.normal(size=(20, 5))
    noisy = clean + 30 * random.normal(size=(80, 5))
    strength = {name: fit_ridge(x, y, np.arange(80)).settings["strength"] for name, y in (("c", clean), ("n", noisy))}
    assert strength["c"] < 0.01 < 1 < strength["n"]


@settings(max_examples=40)
@given(n=st.integers(5, 40), groups=st.integers(2, 12), folds=st.integers(2, 8), seed=st.integers(0, 99))
def test_folds_partition_rows_into_whole_groups(n, groups, folds, seed):
    group_of = np.arange(n) % groups
    split = split_folds(group_of, folds, seed)
    assert sorted(np.concatenate(split)) == list(range(n))
    assert len(split) == min(folds, len(set(group_of)))
    assert all(len(rows) for rows in split)
    assert sum(len(set(group_of[rows])) for rows in split) == len(set(group_of))


@pytest.mark.parametrize("centre", [True, False])
def test_the_output_has_the_variance_of_the_targets(centre):
    x, y = make_data(50, 6, 4, 1)
    for fitted in (fit_ridge(x, y, np.arange(50), strengths=3.0, centre=centre), fit_procrustes(x, y, centre=centre)):
        out = x @ fitted.weight + fitted.bias
        mean = y.mean(0) if centre else 0
        np.testing.assert_allclose(np.sum((out - mean) ** 2), np.sum((y - mean) ** 2))
        if centre:
            np.testing.assert_allclose(out.mean(0), y.mean(0))


@settings(max_examples=60)
@given(**SIZES, centre=st.booleans(), spread=st.booleans())
def test_procrustes_is_orthogonal_up_to_its_scale(n, d, e, seed, centre, spread):
    x, y = make_data(n, d, e, seed)
    fitted = fit_procrustes(x, y, centre=centre, spread=spread)
    rotation = fitted.weight / fitted.settings["scale"]
    gram = rotation @ rotation.T if d <= e else rotation.T @ rotation
    np.testing.assert_allclose(gram, np.eye(min(d, e)), atol=1e-9)


@settings(max_examples=40)
@given(**SIZES)
def test_procrustes_has_the_smallest_error_of_rotations_and_scales(n, d, e, seed):
    d, e = sorted((d, e))
    x, y = make_data(n, d, e, seed)
    fitted = fit_procrustes(x, y, spread=False)
    a, b = x - x.mean(0), y - y.mean(0)
    minimum = np.sum((a @ fitted.weight - b) ** 2)
    random = np.random.default_rng(seed)
    for _ in range(5):
        other = np.linalg.qr(random.normal(size=(e, e)))[0][:d]
        perturbed = np.linalg.qr((fitted.weight + 0.05 * random.normal(size=(d, e))).T)[0].T
        for rotation in (other, perturbed, fitted.weight / fitted.settings["scale"]):
            for scale in (fitted.settings["scale"], 0.9 * fitted.settings["scale"], 1.0):
                assert np.sum((a @ rotation * scale - b) ** 2) >= minimum * (1 - 1e-9)


def test_procrustes_recovers_a_rotation():
    random = np.random.default_rng(3)
    rotation = np.linalg.qr(random.normal(size=(7, 7)))[0]
    x = random.normal(size=(30, 7))
    fitted = fit_procrustes(x, x @ rotation + 0.25)
    np.testing.assert_allclose(fitted.weight, rotation, atol=1e-10)
    np.testing.assert_allclose(fitted.bias, np.full(7, 0.25), atol=1e-10)


def test_moments_do_not_depend_on_blocks_and_can_be_subtracted():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(BLOCK + 5, 3)).astype(np.float32), random.normal(size=(BLOCK + 5, 2)).astype(np.float32)
    moments = Moments.from_rows(x, y)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(moments.xx, exact.T @ exact, rtol=1e-12)
    rest = moments - Moments.from_rows(x[:9], y[:9])
    np.testing.assert_allclose(rest.xy, Moments.from_rows(x[9:], y[9:]).xy, rtol=1e-9)
    assert rest.n == BLOCK - 4


def test_centred_moments_equal_moments_of_centred_rows():
    x, y = make_data(40, 5, 3, 0)
    centred, plain = (
        Moments.from_rows(x, y).center(x.mean(0), y.mean(0)),
        Moments.from_rows(x - x.mean(0), y - y.mean(0)),
    )
    for name in ("x", "y", "xx", "xy", "yy"):
        np.testing.assert_allclose(getattr(centred, name), getattr(plain, name), atol=1e-9)


def test_more_dimensions_than_pairs_give_finite_maps():
    x, y = make_data(12, 40, 30, 0)
    parts = [Moments.from_rows(x[rows], y[rows]) for rows in split_folds(np.arange(12), 4, 0)]
    assert np.isfinite(cross_validate(parts, [1e-4, 1.0], True)).all()
    assert np.isfinite(fit_ridge(x, y, np.arange(12)).weight).all()


@pytest.mark.parametrize("strengths", [0, -1.0, [], ["a"], [0.1, float("nan")], float("inf"), True])
def test_invalid_strengths_are_rejected(strengths):
    with pytest.raises(BadOption, match="strength"):
        fit_ridge(*make_data(9, 2, 2, 0), np.arange(9), strengths=strengths)


@pytest.mark.parametrize("folds", [1, 0, 2.5, "3"])
def test_invalid_folds_are_rejected(folds):
    with pytest.raises(BadOption, match="folds: expected"):
        fit_ridge(*make_data(9, 2, 2, 0), np.arange(9), folds=folds)


def test_one_group_cannot_be_cross_validated():
    with pytest.raises(BadOption, match="at least two groups"):
        fit_ridge(*make_data(9, 2, 2, 0), np.zeros(9))


@pytest.mark.parametrize("fit", [lambda x, y: fit_ridge(x, y, np.arange(len(x))), fit_procrustes])
def test_equal_embeddings_cannot_be_fitted(fit):
    x, y = make_data(20, 3, 3, 0)
    for sides in ((np.ones_like(x), y), (x, np.ones_like(y))):
        with pytest.raises(anybind.BadInput, match="cannot fit an adapter"):
            fit(*sides)
