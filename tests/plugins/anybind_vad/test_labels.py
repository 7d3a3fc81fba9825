"""Labels of frames, windows and videos."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind import AnybindWarning, BadInput
from anybind.dataset import Item
from anybind_vad.labels import compute_training_labels, compute_window_labels, get_frame_labels, get_video_label

FRAMES = st.lists(st.integers(0, 1), min_size=1, max_size=40)


def make_item(**notes):
    return Item(id="a", source=None, notes=notes)


@given(FRAMES, st.data())
def test_window_labels_equal_a_plain_count(frames, data):
    first = data.draw(st.integers(0, len(frames) - 1))
    count = data.draw(st.integers(1, len(frames) - first))
    inside = frames[first : first + count]
    arrays = np.array(frames), np.array([(first, count)])
    (label,), (training_label,) = compute_window_labels(*arrays), compute_training_labels(*arrays)
    assert label == int(inside.count(1) > inside.count(0))
    assert training_label == (label if label or not any(inside) else -1)


@pytest.mark.parametrize("span", [(-1, 2), (0, 0), (3, 2)])
def test_windows_beyond_the_labels_are_refused(span):
    with pytest.raises(BadInput, match="within 4 frame labels"):
        compute_window_labels(np.zeros(4), np.array([span]))


def test_frames_of_abnormal_segments_are_labelled():
    assert get_frame_labels(make_item(abnormal=[[1, 3], [5, 6]]), 6).tolist() == [0, 1, 1, 0, 0, 1]
    assert get_frame_labels(make_item(abnormal=[]), 3).tolist() == [0, 0, 0]


def test_frames_have_no_labels_if_only_the_video_is_labelled():
    assert get_frame_labels(make_item(abnormal=True), 3) is None
    assert get_frame_labels(make_item(), 3) is None


def test_segment_that_ends_after_the_video_is_cut_with_a_warning():
    with pytest.warns(AnybindWarning, match="frames 1 to 8 .* 4 frames"):
        assert get_frame_labels(make_item(abnormal=[[1, 9]]), 4).tolist() == [0, 1, 1, 1]


def test_video_with_an_abnormal_segment_is_abnormal():
    assert [get_video_label(make_item(abnormal=note)) for note in ([], [[0, 1]], True)] == [0, 1, 1]
    with pytest.raises(BadInput, match="a: the dataset has no label"):
        get_video_label(make_item())
