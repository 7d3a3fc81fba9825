"""Images of a video's most abnormal windows: a bounded number, spread over the video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anybind.plugin import modalities, pages
from anybind_vad.windows import VideoWindow, shrink_image

MAX_SNAPSHOTS = 96
"""Largest number of snapshots; a video with as many windows has at least half of it."""
SNAPSHOT_SIDE = 320
"""Longest side of an image in pixels."""


@dataclass(frozen=True)
class Snapshot:
    """Images of one window.

    Attributes:
        score: window score.
        first, frames: first frame and number of frames.
        middle_us: middle of the window in microseconds.
        frame: middle frame as a data URI; empty for windows without images.
        events: rendering of the events as a data URI; empty if there are none.
    """

    score: float
    first: int
    frames: int
    middle_us: int
    frame: str
    events: str

    def overlaps(self, first: int, last: int) -> bool:
        """Return whether the window has one of the frames `first` to `last`."""
        return self.first <= last and first < self.first + self.frames


class SnapshotCollector:
    """The best-scored window of every n consecutive ones; n doubles whenever there are too many snapshots."""

    def __init__(self, max_snapshots: int = MAX_SNAPSHOTS) -> None:
        self.max_snapshots = max_snapshots
        self._windows_per_snapshot = 1
        self._best: dict[int, Snapshot] = {}

    @property
    def snapshots(self) -> list[Snapshot]:
        """The snapshots in temporal order."""
        return [self._best[position] for position in sorted(self._best)]

    def add(self, number: int, window: VideoWindow, score: float) -> None:
        """Add a window by its number; images are rendered only if it is the best of its interval."""
        position = number // self._windows_per_snapshot
        if position in self._best and self._best[position].score >= score:
            return
        self._best[position] = _make_snapshot(window, score)
        if len(self._best) > self.max_snapshots:
            self._windows_per_snapshot *= 2
            merged: dict[int, Snapshot] = {}
            for previous, snapshot in sorted(self._best.items()):
                best = merged.setdefault(previous // 2, snapshot)
                if snapshot.score > best.score:
                    merged[previous // 2] = snapshot
            self._best = merged


def _make_snapshot(window: VideoWindow, score: float) -> Snapshot:
    middle = (window.start_us + window.end_us) // 2
    frame = "" if window.image is None else pages.image_uri(shrink_image(window.image, SNAPSHOT_SIDE))
    events = ""
    if len(window.events):
        rendering = np.asarray(modalities.find_modality("event").show(window.events))
        events = pages.image_uri(shrink_image(rendering, SNAPSHOT_SIDE))
    return Snapshot(score, window.first, window.frames, middle, frame, events)


def select_evenly(snapshots: Sequence[Snapshot], end_us: int, count: int) -> list[Snapshot]:
    """Select `count` snapshots: those nearest to the middles of equal intervals of the video."""
    middles = [(2 * number + 1) * end_us / (2 * count) for number in range(count)]
    if not snapshots:
        return []
    return [min(snapshots, key=lambda snapshot: abs(snapshot.middle_us - middle)) for middle in middles]
