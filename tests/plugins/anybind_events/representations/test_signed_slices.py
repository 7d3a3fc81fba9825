"""`SignedSlices` compared with signed sums over slices of equal duration, in float64."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind_events.representations.signed_slices import SignedSlices
from anybind_events.stream import EventStream


def sums(stream: EventStream, parts: int) -> np.ndarray:
    """Return ON minus OFF events; the first microsecond begins the first slice, and the last one ends the last."""
    signed = np.zeros((parts, stream.height, stream.width))
    for x, y, t, p in zip(stream.x, stream.y, stream.t, stream.p, strict=True):
        part = (int(t) - int(stream.t[0])) * parts // (stream.duration_us + 1)
        signed[part, y, x] += 1 if p else -1
    return signed


def levels(signed: np.ndarray, limit: float) -> np.ndarray:
    return 0.5 + 0.5 * np.clip(signed / limit, -1, 1)


@settings(deadline=None)
@given(stream=..., parts=st.integers(1, 5), limit=st.floats(0.5, 9))
def test_a_channel_is_the_signed_sum_of_its_slice_around_one_half(
    stream: EventStream, parts: int, limit: float
) -> None:
    frame = SignedSlices(parts, limit=limit)(stream)
    np.testing.assert_allclose(frame, levels(sums(stream, parts), limit), rtol=1e-6)


@settings(deadline=None)
@given(stream=..., percentile=st.floats(1, 100))
def test_the_limit_is_a_percentile_of_the_nonzero_sums(stream: EventStream, percentile: float) -> None:
    signed = sums(stream, 3)
    busy = np.abs(signed[signed != 0])
    limit = np.percentile(busy, percentile) if busy.size else 1.0
    frame = SignedSlices(limit_percentile=percentile)(stream)
    np.testing.assert_allclose(frame, levels(signed, float(limit)), rtol=1e-6)


def test_slices_have_equal_duration_and_not_equal_counts() -> None:
    stream = EventStream([0] * 6, [0] * 6, [0, 1, 2, 3, 50, 89], [True] * 6, 1, 1)
    assert SignedSlices(limit=4)(stream).ravel().tolist() == [1.0, 0.625, 0.625]


def test_without_events_all_values_are_one_half() -> None:
    assert (SignedSlices()(EventStream([], [], [], [], 3, 2)) == 0.5).all()


def test_one_event_saturates_its_slice() -> None:
    assert SignedSlices()(EventStream([0], [0], [7], [False], 1, 1)).ravel().tolist() == [0, 0.5, 0.5]


def test_the_default_limit_is_the_95th_percentile() -> None:
    assert SignedSlices() == SignedSlices(limit_percentile=95)
    assert SignedSlices(limit=3).limit_percentile is None
