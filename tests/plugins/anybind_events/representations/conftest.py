"""Recordings for `@given(stream=...)`: few pixels, so that many events share one."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from anybind_events.stream import EventStream


@st.composite
def streams(draw: st.DrawFn) -> EventStream:
    """Draw recordings: without events, with one, all at one time, on sensors of one row, over years."""
    width, height = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    pixel = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), st.booleans())
    pixels = draw(st.lists(pixel, max_size=60))
    x, y, p = ([each[column] for each in pixels] for column in range(3))
    start = draw(st.sampled_from([0, -5, 1_700_000_000_000_000]))
    longest = draw(st.sampled_from([0, 1, 1000, 10**12]))
    gaps = draw(st.lists(st.integers(0, longest), min_size=len(pixels), max_size=len(pixels)))
    times = list(itertools.accumulate(gaps, initial=start))[1:]
    return EventStream(x, y, times, p, width, height)


st.register_type_strategy(EventStream, streams())
