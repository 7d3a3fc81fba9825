"""From window scores to frame scores, and to the abnormal segments of a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

THRESHOLD_STD = 3.0
"""Automatic threshold of a video: robust standard deviations above the median of its frame scores."""
TIME, SIMILARITY = "time", "similarity"
"""Smoothing of frame scores over time, or of window scores over time and similarity."""
TEMPERATURE = 0.1
"""Temperature of the weights by cosine similarity."""
KERNEL_RADIUS = 3.0
"""Radius of the Gaussian kernel of `smooth_scores`, in standard deviations."""


def compute_frame_scores(spans: np.ndarray, scores: np.ndarray, frames: int) -> np.ndarray:
    """Score each frame by the mean of the windows that contain it.

    Args:
        spans: (n, 2 or more): first frame and number of frames of each window.
        scores: (n,) window scores.
        frames: number of scored frames; each is in a window. See `count_scored_frames`.

    Returns:
        (frames,) float64.
    """
    total, count = np.zeros(frames), np.zeros(frames)
    for (first, length), score in zip(spans[:, :2].tolist(), scores, strict=True):
        total[first : first + length] += score
        count[first : first + length] += 1
    return total / count


def count_scored_frames(spans: np.ndarray) -> int:
    """Return the number of frames up to the end of the last window: all of the video, unless the last are dropped."""
    return int(spans[-1, 0] + spans[-1, 1])


def smooth_scores(
    scores: np.ndarray, times_us: np.ndarray, sigma: float, vectors: np.ndarray | None = None
) -> np.ndarray:
    """Smooth scores by a Gaussian over presentation time, also where the frame rate varies.

    Args:
        scores: (n,) scores of frames or windows.
        times_us: (n,) presentation times in microseconds, non-decreasing.
        sigma: standard deviation in seconds, 0 or more; 0 returns the scores unchanged. The kernel ends at 3 sigma.
        vectors: (n, d) unit vectors or zeros. Weights are multiplied by exp((cosine - 1) / 0.1), where two zero vectors
            have the cosine 1. [default: none]
    """
    if not sigma:
        return scores
    times = times_us / 1e6
    total, weights = scores.astype(np.float64), np.ones(len(scores))
    for offset in range(1, len(scores)):
        distances = times[offset:] - times[:-offset]
        near = np.flatnonzero(distances <= KERNEL_RADIUS * sigma)
        if not len(near):
            break
        weight = np.exp(-0.5 * (distances[near] / sigma) ** 2)
        if vectors is not None:
            cosines = np.einsum("nd,nd->n", vectors[near], vectors[near + offset]).astype(np.float64)
            cosines[~(vectors[near].any(axis=1) | vectors[near + offset].any(axis=1))] = 1
            weight *= np.exp((cosines - 1) / TEMPERATURE)
        total[near] += weight * scores[near + offset]
        total[near + offset] += weight * scores[near]
        weights[near] += weight
        weights[near + offset] += weight
    return total / weights


def smooth_frame_scores(
    spans: np.ndarray, scores: np.ndarray, times_us: np.ndarray, sigma: float, vectors: np.ndarray | None = None
) -> np.ndarray:
    """Compute frame scores, (frames,) float64, smoothed over time or, before that, over windows that are alike.

    Weights by similarity follow the score refinement of LAVAD (Zanella et al., Harnessing large language models for
    training-free video anomaly detection, 2024), which averages the scores of a video's most similar snippets by a
    softmax of similarity. Ours compares the embeddings of windows and ends at 3 sigma in time.

    Args:
        spans: (n, 4); see `VideoScores`.
        scores: (n,) window scores.
        times_us: (frames,) presentation times of the scored frames in microseconds.
        sigma: standard deviation in seconds, 0 or more.
        vectors: (n, d) embeddings of the windows, to smooth by similarity. [default: smooth frames over time only]
    """
    if vectors is None:
        return smooth_scores(compute_frame_scores(spans, scores, len(times_us)), times_us, sigma)
    smoothed = smooth_scores(scores, spans[:, 2:].mean(axis=1), sigma, vectors)
    return compute_frame_scores(spans, smoothed, len(times_us))


def compute_threshold(scores: np.ndarray) -> float:
    """Compute the automatic threshold of a video: three robust standard deviations above the median frame score.

    The standard deviation is 1.4826 times the median absolute deviation or, if more than half of the scores are equal,
    1.2533 times the mean absolute deviation; both estimate it for normally distributed scores. The threshold detects
    rare scores: in a video that is abnormal for most of its time, the normal frames are rare.
    """
    median = float(np.median(scores))
    deviations = np.abs(scores - median)
    std = 1.4826 * float(np.median(deviations)) or 1.2533 * float(deviations.mean())
    return median + THRESHOLD_STD * std


@dataclass(frozen=True)
class Segment:
    """A run of frames of a video with scores above the threshold.

    Attributes:
        first, last: numbers of its first and last frame, from 0.
        start, end: presentation time of the first frame and end of the last one, in seconds.
        peak_frame, peak: the first frame with the largest score, by number and in seconds.
        score: that score.
    """

    first: int
    last: int
    start: float
    end: float
    peak_frame: int
    peak: float
    score: float


def find_segments(scores: np.ndarray, times_us: np.ndarray, end_us: int, threshold: float) -> list[Segment]:
    """Find the segments of a video with frame scores above a threshold, in order.

    Args:
        scores: (n,) frame scores.
        times_us: (n,) presentation times in microseconds.
        end_us: end of the last frame in microseconds.
        threshold: scores must be larger than this.
    """
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], scores > threshold, [0]])))
    seconds = (np.append(times_us, end_us) / 1e6).tolist()
    segments = []
    for first, end in zip(bounds[::2].tolist(), bounds[1::2].tolist(), strict=True):
        peak = first + int(np.argmax(scores[first:end]))
        segments.append(Segment(first, end - 1, seconds[first], seconds[end], peak, seconds[peak], float(scores[peak])))
    return segments
