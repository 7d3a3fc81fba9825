"""`GrayFrame` and `RedBlueFrame` compared with EventCLIP's description of its frames, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind_events.representations.white_background import GrayFrame, RedBlueFrame
from anybind_events.stream import EventStream

HOT = st.none() | st.floats(0.5, 10)


def fractions(stream: EventStream, hot: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return OFF and ON counts, without hot ones, as fractions of the largest of either."""
    counts = np.zeros((2, stream.height, stream.width))
    for x, y, p in zip(stream.x, stream.y, stream.p, strict=True):
        counts[int(p), y, x] += 1
    if hot is not None:
        counts[counts > counts.mean() + hot * counts.std() + 1e-9] = 0
    off, on = counts / max(counts.max(), 1)
    return off, on


@settings(deadline=None)
@given(stream=..., hot=HOT)
def test_gray_frame_matches_eventclip(stream: EventStream, hot: float | None) -> None:
    off, on = fractions(stream, hot)
    cover = np.minimum(off + on, 1)
    expected = 127 / 255 * (off + on) * cover + (1 - cover)
    np.testing.assert_allclose(GrayFrame(hot=hot)(stream)[0], expected, rtol=1e-5)


@settings(deadline=None)
@given(stream=..., hot=HOT)
def test_red_blue_frame_matches_eventclip(stream: EventStream, hot: float | None) -> None:
    off, on = fractions(stream, hot)
    cover = np.minimum(off + on, 1)
    expected = [on * cover + (1 - cover), 1 - cover, off * cover + (1 - cover)]
    np.testing.assert_allclose(RedBlueFrame(hot=hot)(stream), expected, rtol=1e-5, atol=1e-7)


@settings(deadline=None)
@given(stream=...)
def test_values_are_within_0_and_1(stream: EventStream) -> None:
    gray, colours = GrayFrame()(stream), RedBlueFrame()(stream)
    assert gray.min() >= 0.497
    assert colours.min() >= 0
    assert max(gray.max(), colours.max()) <= 1


def test_without_events_all_pixels_are_white() -> None:
    empty = EventStream([], [], [], [], 3, 2)
    assert (GrayFrame()(empty) == 1).all()
    assert (RedBlueFrame()(empty) == 1).all()


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
