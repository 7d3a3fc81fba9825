"""`AuthorFrame` against the published code's arithmetic, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind_events.representations.author_code import AuthorFrame
from anybind_events.stream import EventStream


def gray(stream: EventStream, limit: float = np.inf) -> np.ndarray:
    """Return the mean over polarities of (fraction - 0.5) * 2, the fraction of the largest count plus 1."""
    counts = np.zeros((2, stream.height, stream.width))
    for x, y, p in zip(stream.x, stream.y, stream.p, strict=True):
        counts[int(p), y, x] += 1
    counts = np.minimum(counts, limit)
    fractions = counts / (counts.max(axis=(1, 2), keepdims=True) + 1)
    return ((fractions - 0.5) * 2).mean(axis=0)


def make_row(events: int) -> EventStream:
    """Make a recording whose event i is on pixel i of a row."""
    return EventStream(range(events), [0] * events, range(events), [False] * events, events, 1)


@settings(deadline=None)
@given(stream=..., clamp=st.none() | st.floats(0.5, 5))
def test_three_channels_equal_the_mean_fraction_of_both_polarities(stream: EventStream, clamp: float | None) -> None:
    frame = AuthorFrame(clamp=clamp)(stream)
    assert frame.shape[0] == 3
    for channel in frame:
        np.testing.assert_allclose(channel, gray(stream, clamp or np.inf), rtol=1e-6, atol=1e-7)


@settings(deadline=None)
@given(stream=..., size=st.integers(1, 9))
def test_coordinates_are_scaled_to_the_size_for_any_aspect_ratio(stream: EventStream, size: int) -> None:
    frame = AuthorFrame(size=size)(stream)
    assert frame.shape == (3, size, size)
    np.testing.assert_allclose(frame[0], gray(stream.rescale(size, size)), rtol=1e-6, atol=1e-7)


@settings(deadline=None)
@given(stream=...)
def test_values_are_from_minus_1_without_events_to_below_1(stream: EventStream) -> None:
    frame = AuthorFrame()(stream)
    assert frame.min() >= -1
    assert frame.max() < 1
    assert (frame[0] == -1).sum() == stream.width * stream.height - len({*zip(stream.x, stream.y, strict=True)})


@pytest.mark.parametrize("seed", range(5))
def test_a_slice_is_contiguous(seed: int) -> None:
    seen = np.flatnonzero(AuthorFrame(events=30, seed=seed)(make_row(1000))[0, 0] > -1)
    assert seen.tolist() == list(range(seen[0], seen[0] + 30))


def test_the_seed_sets_the_position_of_the_slice() -> None:
    stream = make_row(1000)
    frames = [AuthorFrame(events=30, seed=seed)(stream).tobytes() for seed in (1, 1, 2)]
    assert frames[0] == frames[1] != frames[2]


def test_slices_reach_from_the_first_event_to_the_last() -> None:
    seen = [np.flatnonzero(AuthorFrame(events=4, seed=seed)(make_row(6))[0, 0] > -1)[0] for seed in range(40)]
    assert set(seen) == {0, 1, 2}


def test_a_recording_shorter_than_a_slice_is_used_whole() -> None:
    stream = make_row(30)
    assert np.array_equal(AuthorFrame(events=30)(stream), AuthorFrame(events=None)(stream))
