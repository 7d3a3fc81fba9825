"""Windows of films: how samples of one modality are made of consecutive frames of another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from anybind import BadInput
from anybind.errors import BadOption
from anybind.modality import Window, derive_windows, find_modality


class Film:
    """Eight gray frames, each brighter than the one before it."""

    def frames(self, *, gray: bool) -> Iterator[tuple[int, np.ndarray]]:
        for number in range(8):
            yield 1000 * number, np.full((2, 3), 30 * number, np.uint8)


def windows(**options) -> list[Window]:
    return list(derive_windows("event", Film(), source="video", **options))


def test_windows_follow_each_other_and_the_last_one_may_be_shorter():
    made = windows(frames=3)
    assert [(each.first, each.frames) for each in made] == [(0, 3), (3, 3), (6, 2)]
    assert [(each.start_us, each.end_us) for each in made] == [(0, 3000), (3000, 6000), (6000, 8000)]
    assert [len(each.sample) for each in made] == [12, 18, 12]


def test_windows_are_of_16_frames_by_default():
    assert [(each.first, each.frames) for each in windows()] == [(0, 8)]


def test_windows_overlap_where_the_stride_is_shorter():
    assert [each.first for each in windows(frames=4, stride=2)] == [0, 2, 4]


@pytest.mark.parametrize("stride", [0, -1, 5])
def test_a_stride_that_leaves_frames_out_is_refused(stride):
    with pytest.raises(BadOption, match="the stride must be 1 to 4 frames"):
        windows(frames=4, stride=stride)


def test_a_window_of_no_frames_is_refused():
    with pytest.raises(BadOption, match="at least 1 frame, got 0"):
        windows(frames=0)


def test_an_option_that_the_modality_does_not_take_is_refused_with_those_it_takes():
    with pytest.raises(BadOption, match=r"windows of event from video: .*colour.*options: frames, stride, threshold"):
        windows(colour="red")


def test_what_windows_cannot_be_made_of_is_refused():
    with pytest.raises(BadInput, match="no text can be made from video"):
        derive_windows("text", Film(), source="video")
    with pytest.raises(BadInput, match="image has none"):
        derive_windows("event", np.zeros((4, 4, 3), np.uint8))


def test_a_modality_makes_no_windows_unless_it_says_how():
    with pytest.raises(BadInput, match="no windows of image can be made from video"):
        find_modality("image").derive_windows(Film(), "video", frames=1, stride=1)
