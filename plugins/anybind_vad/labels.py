"""Labels of videos, frames and windows.

A video dataset sets `Item.notes`: `abnormal` is a list of pairs (first frame, frame after the last) of the abnormal
segments, counted from 0; or True if only the label of the whole video is known. `split` is `train` or `test`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, Item


def get_frame_labels(item: Item, count: int) -> np.ndarray | None:
    """Return the labels of a video's frames, (count,) int64, 0 or 1; None if they are unknown.

    Segments that end after the video are cut, with a warning.
    """
    segments = item.notes.get("abnormal")
    if not isinstance(segments, Sequence):
        return None
    labels = np.zeros(count, np.int64)
    for first, end in segments:
        if end > count:
            message = f"{item.id}: frames {first} to {end - 1} are labelled abnormal, but the video has {count} frames"
            warnings.warn(message, AnybindWarning, stacklevel=2)
        labels[first:end] = 1
    return labels


def get_video_label(item: Item) -> int:
    """Return 1 for a video with an abnormal segment, else 0; raise `BadInput` if the label is unknown."""
    if "abnormal" not in item.notes:
        raise BadInput(f"{item.id}: the dataset has no label for this video (normal or abnormal)")
    return int(bool(item.notes["abnormal"]))


def compute_window_labels(frames: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Return the majority label of each window: 1 if more than half of its frames are abnormal, else 0.

    Args:
        frames: (n,) labels of the video's frames, 0 or 1.
        spans: (n, 2 or more): first frame and number of frames of each window, inside the video.

    Raises:
        BadInput: a window is empty or reaches beyond the labels.
    """
    return (2 * _count_abnormal(frames, spans) > spans[:, 1]).astype(np.int64)


def compute_training_labels(frames: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Return window labels as `compute_window_labels`, but -1 (ignored) for windows of 0 that have abnormal frames."""
    return np.where(_count_abnormal(frames, spans) > 0, 2 * compute_window_labels(frames, spans) - 1, 0)


def _count_abnormal(frames: np.ndarray, spans: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0], np.cumsum(np.asarray(frames) != 0)])
    firsts, counts = spans[:, 0], spans[:, 1]
    for first, count in spans[(firsts < 0) | (counts < 1) | (firsts + counts > len(frames)), :2].tolist():
        raise BadInput(
            f"expected a window within {len(frames)} frame labels, got frames {first} to {first + count - 1}"
        )
    return sums[firsts + counts] - sums[firsts]
