"""Pictures of a film's most abnormal moments: a bounded number of them, spread over the film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anybind.plugin import modalities, pages
from anybind_vad.windows import VideoWindow, shrink_image

MAX_SNAPSHOTS = 96
"""Moments that are kept, at most; half of that at least, in a film that has as many windows."""
SNAPSHOT_SIDE = 320
"""Longest side of a picture."""


@dataclass(frozen=True)
class Snapshot:
    """A moment: the pictures of one window.

    Attributes:
        score: the window's.
        first, frames: its frames.
        middle_us: the middle of its time.
        frame: its picture, as a data URI; empty where the film was played without.
        events: its events as a picture, likewise; empty where there were none.
    """

    score: float
    first: int
    frames: int
    middle_us: int
    frame: str
    events: str

    def overlaps(self, first: int, last: int) -> bool:
        """Whether it shows any of the frames from `first` to `last`."""
        return self.first <= last and first < self.first + self.frames


class SnapshotCollector:
    """Keeps the window of the largest score out of each so many, and doubles that number when it holds too many."""

    def __init__(self, max_snapshots: int = MAX_SNAPSHOTS) -> None:
        self.max_snapshots = max_snapshots
        self._span = 1
        self._best: dict[int, Snapshot] = {}

    @property
    def snapshots(self) -> list[Snapshot]:
        """What is kept, in the order of time."""
        return [self._best[place] for place in sorted(self._best)]

    def add(self, number: int, window: VideoWindow, score: float) -> None:
        """Show it a window, by its number; pictures are made of those only that are kept."""
        place = number // self._span
        if place in self._best and self._best[place].score >= score:
            return
        self._best[place] = _shot(window, score)
        if len(self._best) > self.max_snapshots:
            self._span *= 2
            merged: dict[int, Snapshot] = {}
            for former, shot in sorted(self._best.items()):
                held = merged.setdefault(former // 2, shot)
                if shot.score > held.score:
                    merged[former // 2] = shot
            self._best = merged


def _shot(window: VideoWindow, score: float) -> Snapshot:
    middle = (window.start_us + window.end_us) // 2
    frame = "" if window.image is None else pages.image_uri(shrink_image(window.image, SNAPSHOT_SIDE))
    events = ""
    if len(window.events):
        events = pages.image_uri(shrink_image(np.asarray(modalities.find_modality("event").show(window.events)), SNAPSHOT_SIDE))
    return Snapshot(score, window.first, window.frames, middle, frame, events)


def select_evenly(shots: Sequence[Snapshot], end_us: int, count: int) -> list[Snapshot]:
    """For each of `count` equal parts of a film's time, the shot that is nearest to its middle."""
    middles = [(2 * part + 1) * end_us / (2 * count) for part in range(count)]
    return [min(shots, key=lambda shot: abs(shot.middle_us - middle)) for middle in middles] if shots else []
