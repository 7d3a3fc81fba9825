"""Pictures of a film's most abnormal moments: few, and spread over the film."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anybind_events.stream import EventStream
from anybind_vad.snapshots import SnapshotCollector, select_evenly
from anybind_vad.windows import VideoWindow

NOTHING = EventStream([], [], [], [], 8, 6)


def window(number):
    return VideoWindow(16 * number, 16, 1000 * number, 1000 * number + 1000, NOTHING, np.zeros((6, 8, 3), np.uint8))


def filled(scores, most):
    gallery = SnapshotCollector(most)
    for number, score in enumerate(scores):
        gallery.add(number, window(number), score)
    return gallery


@given(st.lists(st.integers(0, 9), min_size=1, max_size=200), st.integers(1, 12))
def test_the_best_window_of_each_part_of_the_film_is_kept(scores, most):
    shots = filled(scores, most).snapshots
    assert len(shots) <= most
    parts = 1
    while -(-len(scores) // parts) > most:
        parts *= 2
    expected = [first + int(np.argmax(scores[first : first + parts])) for first in range(0, len(scores), parts)]
    assert [shot.first // 16 for shot in shots] == expected


def test_a_shot_knows_which_frames_it_shows():
    (shot,) = filled([1.0], 4).snapshots
    assert shot.overlaps(15, 20)
    assert shot.overlaps(0, 0)
    assert not shot.overlaps(16, 20)


def test_pictures_spread_over_a_film_are_those_nearest_to_the_middles_of_its_parts():
    shots = filled(range(8), 96).snapshots
    assert [shot.first // 16 for shot in select_evenly(shots, 8000, 4)] == [0, 2, 4, 6]
    assert select_evenly([], 8000, 4) == []
