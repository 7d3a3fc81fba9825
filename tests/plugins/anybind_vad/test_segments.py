"""Frame scores, smoothing, the automatic threshold and segments, each against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind_vad.segments import (
    compute_frame_scores,
    compute_threshold,
    find_segments,
    smooth_frame_scores,
    smooth_scores,
)

SCORES = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40)


def test_frame_score_is_the_mean_of_its_windows():
    result = compute_frame_scores(np.array([[0, 4], [2, 4], [4, 3]]), np.array([1.0, 2.0, 6.0]), 7)
    assert result.tolist() == [1, 1, 1.5, 1.5, 4, 4, 6]


@given(SCORES, st.lists(st.integers(0, 400_000), min_size=40, max_size=40), st.sampled_from([0.05, 0.3, 5.0]))
def test_smoothing_is_a_gaussian_mean_over_presentation_times(scores, steps, sigma):
    values, times = np.array(scores), np.cumsum(steps)[: len(scores)]
    result = smooth_scores(values, times, sigma)
    for number, time in enumerate(times / 1e6):
        distances = np.abs(times / 1e6 - time)
        weights = np.where(distances <= 3 * sigma, np.exp(-0.5 * (distances / sigma) ** 2), 0)
        assert result[number] == pytest.approx((weights * values).sum() / weights.sum(), abs=1e-9)


def test_sigma_0_returns_the_scores():
    scores = np.array([0.0, 3.0, 1.0])
    assert smooth_scores(scores, np.array([0, 1, 2]), 0.0).tolist() == [0, 3, 1]


def test_automatic_threshold_of_normal_scores_is_three_standard_deviations_above_the_median():
    random = np.random.default_rng(0)
    scores = np.concatenate([random.normal(5, 0.5, 10_000), np.full(50, 60.0)])
    assert compute_threshold(scores) == pytest.approx(6.5, abs=0.1)


def test_automatic_threshold_of_a_mostly_static_video_is_below_its_motion():
    scores = np.zeros(1000)
    scores[400:420] = 0.5
    assert 0 < compute_threshold(scores) < 0.5
    assert compute_threshold(np.zeros(10)) == 0


@given(SCORES, st.floats(0, 1))
def test_segments_are_the_runs_of_frames_above_the_threshold(scores, threshold):
    values = np.array(scores)
    times = 40_000 * np.arange(len(values))
    segments = find_segments(values, times, 40_000 * len(values), threshold)
    inside = [number for segment in segments for number in range(segment.first, segment.last + 1)]
    assert inside == np.flatnonzero(values > threshold).tolist()
    for segment in segments:
        assert segment.first == 0 or values[segment.first - 1] <= threshold
        assert segment.start == pytest.approx(0.04 * segment.first)
        assert segment.end == pytest.approx(0.04 * (segment.last + 1))
        assert segment.score == values[segment.first : segment.last + 1].max() == values[segment.peak_frame]
        assert segment.peak == pytest.approx(0.04 * segment.peak_frame)


def test_segment_times_follow_a_variable_frame_rate():
    times = np.array([0, 40_000, 1_000_000, 5_000_000])
    (segment,) = find_segments(np.array([0.0, 1, 2, 0]), times, 6_000_000, 0.5)
    assert (segment.start, segment.end, segment.peak) == (0.04, 5.0, 1.0)
    (last,) = find_segments(np.array([0.0, 0, 0, 1]), times, 6_000_000, 0.5)
    assert (last.start, last.end) == (5.0, 6.0)


def test_smoothing_by_similarity_multiplies_gaussian_weights_by_those_of_cosines():
    random = np.random.default_rng(1)
    vectors = random.normal(size=(12, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[[3, 7]] = 0
    scores, times = random.random(12), np.cumsum(random.integers(0, 400_000, 12))
    result = smooth_scores(scores, times, 0.6, vectors)
    cosines = vectors @ vectors.T
    cosines[3, 7] = cosines[7, 3] = 1
    np.fill_diagonal(cosines, 1)
    distances = np.abs(times[:, None] - times) / 1e6
    weights = np.exp(-0.5 * (distances / 0.6) ** 2 + (cosines - 1) / 0.1) * (distances <= 1.8)
    np.testing.assert_allclose(result, weights @ scores / weights.sum(axis=1), rtol=1e-9)


def test_windows_are_smoothed_with_windows_that_are_alike():
    spans = np.array([[4 * n, 4, 160_000 * n, 160_000 * (n + 1)] for n in range(6)])
    vectors = np.eye(2)[[0, 1, 0, 1, 0, 1]]
    scores = np.array([0.0, 1, 0.2, 0.8, 0.1, 0.9])
    frames = smooth_frame_scores(spans, scores, 40_000 * np.arange(24), 1.0, vectors)
    assert frames[::8] == pytest.approx([0.1] * 3, abs=0.06)
    assert frames[4::8] == pytest.approx([0.9] * 3, abs=0.06)
    blurred = smooth_frame_scores(spans, scores, 40_000 * np.arange(24), 1.0)
    assert np.ptp(blurred) < np.ptp(frames) / 2
