"""`PolarityHistogram` compared with counts event by event."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from anybind_events.representations.polarity_histogram import PolarityHistogram
from anybind_events.stream import EventStream


def counts(stream: EventStream) -> np.ndarray:
    result = np.zeros((2, stream.height, stream.width))
    for x, y, p in zip(stream.x, stream.y, stream.p, strict=True):
        result[int(p), y, x] += 1
    return result


@settings(deadline=None)
@given(stream=...)
def test_channels_count_off_and_on_events(stream: EventStream) -> None:
    assert np.array_equal(PolarityHistogram()(stream), counts(stream))


@settings(deadline=None)
@given(stream=...)
def test_normalised_both_are_divided_by_the_largest_count_of_either(stream: EventStream) -> None:
    expected = counts(stream) / max(counts(stream).max(), 1)
    np.testing.assert_allclose(PolarityHistogram(normalise=True)(stream), expected, rtol=1e-6)


def test_counts_are_exact_beyond_float32() -> None:
    many = 2**24 + 4
    x, t, p = np.zeros(1, np.uint16), np.zeros(1, np.int64), np.ones(1, bool)
    columns = (np.broadcast_to(column, many) for column in (x, x, t, p))
    assert PolarityHistogram()(EventStream.from_valid(*columns, width=1, height=1)).ravel().tolist() == [0, many]
