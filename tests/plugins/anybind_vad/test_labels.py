"""Labels of windows by most of their frames, of films by what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind import AnybindWarning, BadInput
from anybind.dataset import Item
from anybind_vad.labels import get_video_label, get_frame_labels, compute_training_labels, compute_window_labels

FRAMES = st.lists(st.integers(0, 1), min_size=1, max_size=40)


def item(**notes):
    return Item(id="a", source=None, notes=notes)


@given(FRAMES, st.data())
def test_labels_of_windows_equal_a_plain_count(frames, data):
    first = data.draw(st.integers(0, len(frames) - 1))
    count = data.draw(st.integers(1, len(frames) - first))
    inside = frames[first : first + count]
    (label,), (lesson,) = (of(np.array(frames), np.array([(first, count)])) for of in (compute_window_labels, compute_training_labels))
    assert label == int(inside.count(1) > inside.count(0))
    assert lesson == (label if label or not any(inside) else -1)


@pytest.mark.parametrize("span", [(-1, 2), (0, 0), (3, 2)])
def test_windows_beyond_the_labels_are_refused(span):
    with pytest.raises(BadInput, match="does not fit 4 labels"):
        compute_window_labels(np.zeros(4), np.array([span]))


def test_frames_are_labelled_by_the_abnormal_parts():
    assert get_frame_labels(item(abnormal=[[1, 3], [5, 6]]), 6).tolist() == [0, 1, 1, 0, 0, 1]
    assert get_frame_labels(item(abnormal=[]), 3).tolist() == [0, 0, 0]


def test_frames_are_not_labelled_where_only_the_film_is():
    assert get_frame_labels(item(abnormal=True), 3) is None
    assert get_frame_labels(item(), 3) is None


def test_a_part_that_ends_behind_the_film_is_told():
    with pytest.warns(AnybindWarning, match="frames 1 to 8 .* 4 frames"):
        assert get_frame_labels(item(abnormal=[[1, 9]]), 4).tolist() == [0, 1, 1, 1]


def test_a_film_is_abnormal_when_a_part_is():
    assert [get_video_label(item(abnormal=told)) for told in ([], [[0, 1]], True)] == [0, 1, 1]
    with pytest.raises(BadInput, match="does not say of a"):
        get_video_label(item())
