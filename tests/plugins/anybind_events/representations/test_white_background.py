"""`GrayFrame` and `RedBlueFrame` against EventCLIP's description of its frames, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind_events.representations.white_background import GrayFrame, RedBlueFrame
from anybind_events.stream import EventStream

HOT = st.none() | st.floats(0.5, 10)


def shares(stream: EventStream, hot: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Counts of falls and of rises, without hot ones, over the largest of either."""
    found = np.zeros((2, stream.height, stream.width))
    for x, y, p in zip(stream.x, stream.y, stream.p, strict=True):
        found[int(p), y, x] += 1
    if hot is not None:
        found[found > found.mean() + hot * found.std() + 1e-9] = 0
    falls, rises = found / max(found.max(), 1)
    return falls, rises


@settings(deadline=None)
@given(stream=..., hot=HOT)
def test_gray_frame_matches_eventclip(stream: EventStream, hot: float | None) -> None:
    falls, rises = shares(stream, hot)
    cover = np.minimum(falls + rises, 1)
    expected = 127 / 255 * (falls + rises) * cover + (1 - cover)
    np.testing.assert_allclose(GrayFrame(hot=hot)(stream)[0], expected, rtol=1e-5)


@settings(deadline=None)
@given(stream=..., hot=HOT)
def test_red_blue_frame_matches_eventclip(stream: EventStream, hot: float | None) -> None:
    falls, rises = shares(stream, hot)
    cover = np.minimum(falls + rises, 1)
    expected = [rises * cover + (1 - cover), 1 - cover, falls * cover + (1 - cover)]
    np.testing.assert_allclose(RedBlueFrame(hot=hot)(stream), expected, rtol=1e-5, atol=1e-7)


@settings(deadline=None)
@given(stream=...)
def test_values_are_within_0_and_1(stream: EventStream) -> None:
    gray, colours = GrayFrame()(stream), RedBlueFrame()(stream)
    assert gray.min() >= 0.497
    assert colours.min() >= 0
    assert max(gray.max(), colours.max()) <= 1


def test_without_events_all_pixels_are_white() -> None:
    nothing = EventStream([], [], [], [], 3, 2)
    assert (GrayFrame()(nothing) == 1).all()
    assert (RedBlueFrame()(nothing) == 1).all()


def test_on_is_red_and_off_is_blue() -> None:
    stream = EventStream([0, 1], [0, 0], [0, 1], [True, False], 3, 1)
    assert RedBlueFrame()(stream)[:, 0].T.tolist() == [[1, 0, 0], [0, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize("frame", [GrayFrame, RedBlueFrame])
def test_a_hot_pixel_is_removed_and_does_not_dim_the_others(frame: type) -> None:
    busy = list(range(1, 400))
    broken = EventStream([0] * 5000 + busy, [0] * 5399, range(5399), [True] * 5399, 400, 1)
    sound = EventStream(busy, [0] * 399, range(399), [True] * 399, 400, 1)
    assert np.array_equal(frame()(broken), frame()(sound))
    assert not np.array_equal(frame(hot=None)(broken), frame()(sound))
