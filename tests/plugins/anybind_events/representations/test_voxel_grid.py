"""`VoxelGrid` compared with the sum of Zhu et al. over all events and bins, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind_events.representations.kernels import BLOCK
from anybind_events.representations.voxel_grid import VoxelGrid
from anybind_events.stream import EventStream


def voxels(stream: EventStream, bins: int) -> np.ndarray:
    """Return the sum of p * max(0, 1 - |b - t'|) for each bin b, with t' from 0 to bins - 1."""
    grid = np.zeros((bins, stream.height, stream.width))
    duration = int(stream.t[-1]) - int(stream.t[0]) if len(stream) else 0
    for x, y, t, p in zip(stream.x, stream.y, stream.t, stream.p, strict=True):
        when = (bins - 1) * (int(t) - int(stream.t[0])) / duration if duration else 0.0
        for b in range(bins):
            grid[b, y, x] += (1 if p else -1) * max(0.0, 1 - abs(b - when))
    return grid


@settings(deadline=None)
@given(stream=..., bins=st.integers(1, 7))
def test_each_event_is_split_between_the_two_nearest_bins(stream: EventStream, bins: int) -> None:
    np.testing.assert_allclose(VoxelGrid(bins)(stream), voxels(stream, bins), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("events", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_more_events_than_a_block_are_all_counted(events: int) -> None:
    random = np.random.default_rng(events)
    t = np.sort(random.integers(0, 10_000, events))
    stream = EventStream(random.integers(0, 3, events), [0] * events, t, random.random(events) < 0.5, 3, 1)
    when = 4 * (t - t[0]) / (t[-1] - t[0])
    expected = np.zeros((5, 1, 3))
    for b in range(5):
        weight = np.where(stream.p, 1.0, -1.0) * np.maximum(0, 1 - np.abs(b - when))
        expected[b, 0] = np.bincount(stream.x, weights=weight, minlength=3)
    np.testing.assert_allclose(VoxelGrid(5)(stream), expected, atol=2e-3)


def test_the_first_event_is_in_the_first_bin_and_the_last_in_the_last() -> None:
    stream = EventStream([0, 0, 0], [0, 0, 0], [1000, 1250, 2000], [True, False, True], 1, 1)
    assert VoxelGrid(3)(stream).ravel().tolist() == [0.5, -0.5, 1.0]


def test_times_long_after_1970_keep_their_precision() -> None:
    stream = EventStream([0, 1, 2], [0, 0, 0], [2**60, 2**60 + 1, 2**60 + 4], [True] * 3, 3, 1)
    assert VoxelGrid(2)(stream)[:, 0].tolist() == [[1, 0.75, 0], [0, 0.25, 1]]


def standardise(grid: np.ndarray) -> np.ndarray:
    """Return the voxels that are not 0 with mean 0 and variance 1, or 0 if all are equal."""
    busy = np.abs(grid) > 1e-6
    result = np.zeros_like(grid)
    if busy.any():
        result[busy] = grid[busy] - grid[busy].mean()
        deviation = grid[busy].std()
        result[busy] /= deviation if deviation > 1e-12 else 1  # events 1 us of 500 s apart differ by 1e-9
    return result


@settings(deadline=None)
@given(stream=..., bins=st.integers(1, 7))
def test_normalised_voxels_equal_those_of_float64(stream: EventStream, bins: int) -> None:
    expected = standardise(voxels(stream, bins))
    np.testing.assert_allclose(VoxelGrid(bins, normalise=True)(stream), expected, rtol=1e-4, atol=1e-5)


def test_voxels_whose_events_cancel_are_0_in_normalisation() -> None:
    # In float32, 0.1 + 0.2 - 0.3 is 1e-8: a voxel that would move the mean of the others.
    times = [0, 100, 200, 300, 1000]
    stream = EventStream([1, 0, 0, 0, 1], [0] * 5, times, [True, True, True, False, False], 2, 1)
    raw, normalised = voxels(stream, 2), VoxelGrid(2, normalise=True)(stream)
    assert 0 < abs(raw[1, 0, 0]) < 1e-15
    assert normalised[1, 0, 0] == 0
    np.testing.assert_allclose(normalised, standardise(raw), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("duration", [10_000, 10**9, 10**14])
def test_many_cancelling_events_normalise_as_in_float64(duration: int) -> None:
    random = np.random.default_rng(duration % 97)
    times = np.sort(np.repeat(random.integers(0, duration, 20_000), 2))
    x, y = (np.repeat(random.integers(0, side, 20_000), 2) for side in (40, 30))
    # Each ON event has an OFF event at the same time in the same pixel, but for one pixel in ten.
    on = np.tile([True, False], 20_000)
    on[(x % 10 == 0) & (y == 3)] = True
    stream = EventStream(x, y, times, on, 40, 30)
    when = 4 * (times - times[0]) / (times[-1] - times[0])
    expected = np.zeros((5, 1200))
    for b in range(5):
        weight = np.where(on, 1.0, -1.0) * np.maximum(0, 1 - np.abs(b - when))
        expected[b] = np.bincount(y * 40 + x, weights=weight, minlength=1200)
    expected = standardise(expected.reshape(5, 30, 40))
    assert 10 < np.count_nonzero(expected) < 30
    np.testing.assert_allclose(VoxelGrid(5, normalise=True)(stream), expected, rtol=1e-4, atol=1e-5)


def test_normalised_equal_voxels_become_0() -> None:
    stream = EventStream([0, 1], [0, 0], [0, 0], [True, True], 3, 1)
    assert VoxelGrid(1, normalise=True)(stream).ravel().tolist() == [0, 0, 0]
