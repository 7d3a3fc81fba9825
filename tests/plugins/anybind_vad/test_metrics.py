"""ROC AUC and average precision against scikit-learn, intervals over videos, undefined metrics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from anybind import BadInput
from anybind_vad.metrics import ScoreRanking, compute_metrics, compute_roc_auc, draw_roc
from anybind_vad.metrics import compute_roc_curve as thinned_curve

# Few distinct scores, for ties.
SAMPLES = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(0, 1)), arrays(np.float32, n, elements=st.integers(-4, 4))
    )
)


@given(SAMPLES)
def test_metrics_equal_scikit_learn(sample):
    labels, scores = sample
    if 0 < labels.sum() < len(labels):
        assert compute_roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        areas = ScoreRanking.from_scores(labels, scores).compute_areas()
        precision, recall, _ = precision_recall_curve(labels, scores)
        assert areas.ap == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
        assert areas.pr_auc == pytest.approx(auc(recall, precision), abs=1e-12)
    else:
        defined = 1.0 if labels.all() else None
        assert ScoreRanking.from_scores(labels, scores).compute_areas() == (None, defined, defined)


SCORE_TYPES = ["bool", "uint8", "uint16", "uint64", "int8", "int32", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", SCORE_TYPES)
def test_metrics_of_scores_of_any_type_equal_those_of_their_ranks(dtype):
    random = np.random.default_rng(0)
    labels, ranks = random.integers(0, 2, 200), random.integers(0, 2 if dtype == "bool" else 7, 200)
    if dtype == "bool":
        levels = np.array([False, True])
    elif dtype.startswith("float"):
        low, high = np.finfo(dtype).min, np.finfo(dtype).max
        levels = np.array([low, low / 2, -1, 0, 1, high / 2, high], dtype)
    else:  # neighbours at both ends, equal as float64 for 64 bits
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        levels = np.array([low, low + 1, low + 2, high // 2, high - 2, high - 1, high], dtype)
    areas = ScoreRanking.from_scores(labels, levels[ranks]).compute_areas()
    assert areas == ScoreRanking.from_scores(labels, ranks.astype(float)).compute_areas()
    assert areas.auc == pytest.approx(roc_auc_score(labels, ranks), abs=1e-12)
    assert areas.ap == pytest.approx(average_precision_score(labels, ranks), abs=1e-12)


def test_separated_unsigned_scores_have_full_areas():
    scores = np.array([0, 1, 200, 255], np.uint8)
    assert ScoreRanking.from_scores(np.array([0, 0, 1, 1]), scores).compute_areas() == (1.0, 1.0, 1.0)


def test_average_precision_and_area_under_the_curve_differ_for_equal_scores():
    areas = ScoreRanking.from_scores(np.array([0, 1, 0, 1]), np.zeros(4)).compute_areas()
    assert (areas.ap, areas.pr_auc) == (0.5, 0.75)  # by trapezoids from precision 1 at recall 0


@given(SAMPLES, st.integers(0, 2**32 - 1))
def test_weighted_metrics_equal_those_of_repeated_samples(sample, seed):
    labels, scores = sample
    weights = np.random.default_rng(seed).integers(0, 3, len(labels))
    repeated = ScoreRanking.from_scores(np.repeat(labels, weights), np.repeat(scores, weights)).compute_areas()
    assert ScoreRanking.from_scores(labels, scores).compute_areas(weights) == tuple(
        None if area is None else pytest.approx(area, abs=1e-12) for area in repeated
    )


@given(SAMPLES)
def test_roc_curve_equals_scikit_learn(sample):
    labels, scores = sample
    if 0 < labels.sum() < len(labels):
        false_rates, true_rates, _ = roc_curve(labels, scores, drop_intermediate=False)
        ours = ScoreRanking.from_scores(labels, scores).accumulate_counts()
        np.testing.assert_allclose(ours[0] / ours[0][-1], true_rates[1:])
        np.testing.assert_allclose(ours[1] / ours[1][-1], false_rates[1:])


def test_invalid_labels_and_scores_are_refused():
    with pytest.raises(BadInput, match="finite scores"):
        compute_roc_auc(np.array([0, 1]), np.array([0.0, np.nan]))
    with pytest.raises(BadInput, match="labels of 0 or 1"):
        compute_roc_auc(np.array([0, 2]), np.array([0.0, 1.0]))
    with pytest.raises(BadInput, match="real numeric type, got complex128"):
        compute_roc_auc(np.array([0, 1]), np.array([0.0, 1j]))
    with pytest.raises(BadInput, match="one for each score"):
        compute_roc_auc(np.array([0, 1]), np.array([0.0]))


def test_metrics_without_samples_are_undefined():
    assert ScoreRanking.from_scores(np.array([], int), np.array([])).compute_areas() == (None, None, None)


LABELS = [np.array([0, 0, 1, 1]), np.array([0, 1, 1]), np.array([0, 0])]
SCORES = [np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.5, 0.4, 0.6]), np.array([0.3, 0.1])]


def test_metrics_of_all_videos_and_means_over_videos_with_both_labels():
    result = compute_metrics(LABELS, SCORES)
    metrics = result.metrics
    assert metrics["auc"] == pytest.approx(roc_auc_score(np.concatenate(LABELS), np.concatenate(SCORES)))
    assert metrics["macro_auc"] == pytest.approx((1.0 + 0.5) / 2)
    assert metrics["macro_ap"] == pytest.approx((1.0 + average_precision_score(LABELS[1], SCORES[1])) / 2)
    assert result.abnormal_fraction == pytest.approx(4 / 9)
    assert result.undefined == {}


def test_intervals_are_over_bootstrap_resamples_of_videos():
    random = np.random.default_rng(0)
    labels = [random.integers(0, 2, 30) for _ in range(12)]
    scores = [each + random.normal(size=30) for each in labels]
    result = compute_metrics(labels, scores, seed=3, resamples=100)
    low, high = result.intervals["auc"]
    assert low < result.metrics["auc"] < high
    assert compute_metrics(labels, scores, seed=3, resamples=100) == result
    assert compute_metrics(labels, scores, seed=4, resamples=100).intervals["auc"] != (low, high)
    random = np.random.default_rng(3)
    areas = []
    for _ in range(100):
        sample = random.integers(12, size=12)
        areas.append(
            roc_auc_score(np.concatenate([labels[i] for i in sample]), np.concatenate([scores[i] for i in sample]))
        )
    np.testing.assert_allclose([low, high], np.percentile(areas, (2.5, 97.5)), atol=1e-9)


def test_one_video_has_no_interval():
    assert compute_metrics(LABELS[:1], SCORES[:1]).intervals == {}


@pytest.mark.parametrize(("label", "name", "defined"), [(0, "normal", set()), (1, "abnormal", {"ap", "pr_auc"})])
def test_equal_labels_leave_metrics_undefined(label, name, defined):
    result = compute_metrics([np.full(4, label)] * 2, [np.arange(4.0)] * 2)
    assert set(result.metrics) == defined
    assert f"all labels are {name}" in result.undefined["auc"]
    assert set(result.intervals) == defined
    assert thinned_curve(np.full(4, label), np.arange(4.0)) == {}


def test_plot_omits_videos_with_equal_labels(tmp_path):
    pairs = zip("abc", LABELS, SCORES, strict=True)
    draw_roc(tmp_path / "roc.svg", {name: (labels, scores) for name, labels, scores in pairs}, "videos & <more>")
    text = (tmp_path / "roc.svg").read_text()
    assert "<!-- a (1.000) -->" in text
    assert "<!-- c" not in text


def test_thinned_roc_curve_has_few_points_and_the_same_ends():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 5000)
    scores = labels + random.normal(size=5000)
    curve = thinned_curve(labels, scores, points=100)
    false_rates, true_rates = curve["false positive rate"], curve["true positive rate"]
    assert (len(false_rates), false_rates[0], false_rates[-1], true_rates[0], true_rates[-1]) == (101, 0, 1, 0, 1)
    assert np.trapezoid(true_rates, false_rates) == pytest.approx(roc_auc_score(labels, scores), abs=1e-3)
