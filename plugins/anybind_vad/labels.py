"""What is known of a film: which of its frames are abnormal, or only whether some are.

A data set of films says it in `Item.notes`: `abnormal` is a list of pairs, the first frame of an abnormal part and the
frame behind its last, counted from 0; or True, where it is only known that some part is; `split` is `train` or `test`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from anybind import AnybindWarning
from anybind.plugin import BadInput, Item


def get_frame_labels(item: Item, count: int) -> np.ndarray | None:
    """The labels of a film's frames, (count,) int64, 0 or 1; None where they are not known.

    Warns of a part that ends behind the film, and takes what is inside.
    """
    parts = item.notes.get("abnormal")
    if not isinstance(parts, Sequence):
        return None
    labels = np.zeros(count, np.int64)
    for first, behind in parts:
        if behind > count:
            told = f"{item.id}: frames {first} to {behind - 1} are said to be abnormal, and the film has {count} frames"
            warnings.warn(told, AnybindWarning, stacklevel=2)
        labels[first:behind] = 1
    return labels


def get_video_label(item: Item) -> int:
    """1 for a film of which some part is abnormal, 0 for others; raises `BadInput` where it is not known."""
    if "abnormal" not in item.notes:
        raise BadInput(f"the data set does not say of {item.id} whether something in it is abnormal")
    return int(bool(item.notes["abnormal"]))


def compute_window_labels(frames: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """The label of each window: 1 where more than half of its frames are abnormal, else 0. A tie is 0.

    Args:
        frames: (n,) labels of the film's frames, 0 or 1.
        spans: (n, 2 or more): first frame and number of frames of each window, inside the video.

    Raises:
        BadInput: a window that is empty or reaches beyond the labels.
    """
    return (2 * _abnormal_frames(frames, spans) > spans[:, 1]).astype(np.int64)


def compute_training_labels(frames: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """As `majority_labels`, but -1, not to be learned from, for windows labelled 0 that have abnormal frames."""
    return np.where(_abnormal_frames(frames, spans) > 0, 2 * compute_window_labels(frames, spans) - 1, 0)


def _abnormal_frames(frames: np.ndarray, spans: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0], np.cumsum(np.asarray(frames) != 0)])
    firsts, counts = spans[:, 0], spans[:, 1]
    for first, count in spans[(firsts < 0) | (counts < 1) | (firsts + counts > len(frames)), :2].tolist():
        raise BadInput(f"a window of frames {first} to {first + count - 1} does not fit {len(frames)} labels")
    return sums[firsts + counts] - sums[firsts]
