"""Snapshots of a video's most abnormal windows: few, and spread over the video."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anybind_events.stream import EventStream
from anybind_vad.snapshots import SnapshotCollector, select_evenly
from anybind_vad.windows import VideoWindow

NO_EVENTS = EventStream([], [], [], [], 8, 6)


def make_window(number):
    return VideoWindow(
        16 * number, 16, 1000 * number, 1000 * number + 1000, NO_EVENTS, 15, np.zeros((6, 8, 3), np.uint8)
    )


def collect(scores, max_snapshots):
    collector = SnapshotCollector(max_snapshots)
    for number, score in enumerate(scores):
        collector.add(number, make_window(number), score)
    return collector


@given(st.lists(st.integers(0, 9), min_size=1, max_size=200), st.integers(1, 12))
def test_best_window_of_each_interval_has_a_snapshot(scores, max_snapshots):
    snapshots = collect(scores, max_snapshots).snapshots
    assert len(snapshots) <= max_snapshots
    size = 1
    while -(-len(scores) // size) > max_snapshots:
        size *= 2
    expected = [first + int(np.argmax(scores[first : first + size])) for first in range(0, len(scores), size)]
    assert [snapshot.first // 16 for snapshot in snapshots] == expected


def test_overlap_with_a_range_of_frames():
    (snapshot,) = collect([1.0], 4).snapshots
    assert snapshot.overlaps(15, 20)
    assert snapshot.overlaps(0, 0)
    assert not snapshot.overlaps(16, 20)


def test_selected_snapshots_are_nearest_to_the_middles_of_equal_intervals():
    snapshots = collect(range(8), 96).snapshots
    assert [snapshot.first // 16 for snapshot in select_evenly(snapshots, 8000, 4)] == [0, 2, 4, 6]
    assert select_evenly([], 8000, 4) == []
