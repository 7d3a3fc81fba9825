"""From scores of windows to scores of frames, and to the parts of a film that are abnormal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPREADS = 3.0
"""How many standard deviations above the median of its scores a film's automatic threshold lies."""
REACH = 3.0
"""Where the Gaussian of `smooth_scores` ends, in its standard deviations."""


def compute_frame_scores(spans: np.ndarray, scores: np.ndarray, frames: int) -> np.ndarray:
    """Score each frame: the mean over the windows that it is in.

    Args:
        spans: (n, 2 or more): first frame and number of frames of each window.
        scores: (n,), one a window.
        frames: how many the video has; each is in a window.

    Returns:
        (frames,) float64.
    """
    total, count = np.zeros(frames), np.zeros(frames)
    for (first, length), score in zip(spans[:, :2].tolist(), scores, strict=True):
        total[first : first + length] += score
        count[first : first + length] += 1
    return total / count


def smooth_scores(scores: np.ndarray, times_us: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth frame scores by a Gaussian over presentation time, so that it is as wide where the frame rate varies.

    Args:
        scores: (n,), one a frame.
        times_us: (n,), when each is shown, in microseconds, never falling.
        seconds: standard deviation, 0 or more; 0 leaves the scores as they are. The Gaussian ends at three of them.
    """
    if not sigma:
        return scores
    times = times_us / 1e6
    total, weights = scores.astype(np.float64), np.ones(len(scores))
    for offset in range(1, len(scores)):
        apart = times[offset:] - times[:-offset]
        near = np.flatnonzero(apart <= REACH * sigma)
        if not len(near):
            break
        weight = np.exp(-0.5 * (apart[near] / sigma) ** 2)
        total[near] += weight * scores[near + offset]
        total[near + offset] += weight * scores[near]
        weights[near] += weight
        weights[near + offset] += weight
    return total / weights


def compute_threshold(scores: np.ndarray) -> float:
    """What is out of the ordinary in this film: three robust standard deviations above the median of its frames.

    The deviation is 1.4826 times the median distance to the median or, where more than half of the scores are
    the same, 1.2533 times the mean distance; both are the standard deviation of scores that are spread normally. It
    finds what is rare: in a film that is abnormal for most of its time, normal is what is out of the ordinary.
    """
    middle = float(np.median(scores))
    distances = np.abs(scores - middle)
    spread = 1.4826 * float(np.median(distances)) or 1.2533 * float(distances.mean())
    return middle + SPREADS * spread


@dataclass(frozen=True)
class Segment:
    """A part of a film in which every frame's score is above the threshold.

    Attributes:
        first, last: numbers of its first and its last frame, from 0.
        start, end: when the first is shown and the last is no longer, in seconds.
        peak_frame, peak: the first frame of its largest score, by number and in seconds.
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
    """The parts of a film whose frames' scores are above a threshold, in order.

    Args:
        scores: (n,), one a frame.
        times_us: (n,), when each is shown, in microseconds.
        end_us: when the last one is no longer shown.
        above: scores of it are not above it.
    """
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], scores > threshold, [0]])))
    seconds = np.append(times_us, end_us) / 1e6
    segments = []
    for first, behind in zip(bounds[::2].tolist(), bounds[1::2].tolist(), strict=True):
        peak = first + int(np.argmax(scores[first:behind]))
        told = float(seconds[first]), float(seconds[behind]), peak, float(seconds[peak]), float(scores[peak])
        segments.append(Segment(first, behind - 1, *told))
    return segments
