"""Windows of recordings: boundaries, the last window, empty windows, events and regions."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind.errors import BadOption
from anybind.modality import find_modality
from anybind.plugin import windows
from anybind_events.stream import EventStream
from anybind_events.windows import divide_stream
from helpers.streams import draw_noise, event_streams, list_events, move_bar


def make_stream(*times: int) -> EventStream:
    columns = np.arange(len(times)) % 8
    return EventStream(columns, columns, np.array(times), columns % 2, 8, 8)


def describe(stream: EventStream, **options: object) -> list[tuple[int, int, list[int]]]:
    divided = divide_stream(stream, windows.WindowOptions(**options))
    return [(start, end, events.t.tolist()) for start, end, events in divided]


def test_windows_begin_every_stride_and_the_last_one_may_be_shorter():
    stream = make_stream(100, 105, 110, 119, 124)
    assert describe(stream, window=10) == [(0, 10, [100, 105]), (10, 20, [110, 119]), (20, 25, [124])]
    assert describe(stream, window=10, stride=8) == [
        (0, 10, [100, 105]),
        (8, 18, [110]),
        (16, 25, [119, 124]),
    ]


@pytest.mark.parametrize(("start", "end"), [("2ms", "1ms"), (500, 500), ("1s", 5)])
def test_an_end_that_is_not_after_the_start_is_an_error(start, end):
    with pytest.raises(BadOption, match="expected a time after the start"):
        make_stream(0, 3_000_000).windows(10, start=start, end=end)


def test_windows_without_events_are_empty_streams():
    lengths = [len(window) for window in make_stream(0, 35).windows(10)]
    assert lengths == [1, 0, 0, 1]


def test_windows_of_a_number_of_events():
    stream = make_stream(0, 1, 5, 9, 30)
    assert describe(stream, window="2ev") == [(0, 2, [0, 1]), (5, 10, [5, 9]), (30, 31, [30])]
    assert describe(stream, window="3ev", stride="2ev") == [(0, 6, [0, 1, 5]), (5, 31, [5, 9, 30])]


def test_windows_of_a_part_begin_at_its_start():
    stream = make_stream(50, 55, 60, 69, 74)
    assert describe(stream, start=4, end="0.02ms", window=10) == [(4, 14, [55, 60]), (14, 20, [69])]
    assert describe(stream, start=4, window="whole") == [(4, 25, [55, 60, 69, 74])]
    assert describe(stream, start=100, window=10) == []


@given(
    event_streams(st.integers(-1000, 1000)),
    st.integers(1, 700),
    st.integers(1, 700),
    st.none() | st.integers(0, 2000),
    st.none() | st.integers(1, 2000),
)
def test_every_event_lies_in_exactly_the_windows_that_cover_it(stream, length, stride, start, after):
    end = None if after is None else (start or 0) + after
    divided = list(divide_stream(stream, windows.WindowOptions(start, end, length, stride)))
    if not len(stream):
        assert divided == []
        return
    first, stop = start or 0, min(stream.duration_us + 1, 1 << 30 if end is None else end)
    for number, window in enumerate(divided):
        assert window.start_us == first + number * stride < stop
        assert window.end_us == min(window.start_us + length, stop)
        inside = [row for row in list_events(stream) if window.start_us <= row[2] - stream.t[0] < window.end_us]
        assert list_events(window.events) == inside
    assert bool(divided) == (first < stop)
    assert all(window.end_us < stop for window in divided[:-1])
    assert not divided or divided[-1].end_us == stop or divided[-1].start_us + stride >= stop


@given(event_streams(st.integers(-1000, 1000)), st.integers(1, 50), st.integers(1, 50))
def test_windows_of_events_cover_all_events_with_a_stride_up_to_the_length(stream, length, stride):
    divided = list(stream.windows(f"{length}ev", f"{stride}ev"))
    assert all(len(window) == length for window in divided[:-1])
    if stride <= length:
        assert sum(len(window) for window in divided) - (length - stride) * max(0, len(divided) - 1) == len(stream)


@pytest.mark.parametrize("length", ["50ms", "500ev", "auto", "whole"])
def test_windows_are_views(length: str):
    stream = move_bar(noise_hz=1)
    for window in stream.windows(length):
        assert all(np.shares_memory(getattr(window, name), getattr(stream, name)) for name in "xytp")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": "10 parsecs"}, "--window: expected a duration such as 100ms"),
        ({"window": "1.5ev"}, "--window: expected a whole number of events, got '1.5ev'"),
        ({"window": "0ms"}, "--window: expected at least 1 microsecond or event, got 0ms"),
        ({"window": "10ms", "stride": "5ev"}, "expected --window and --stride of one unit, got '10ms' and '5ev'"),
        ({"stride": "5ev"}, "expected --window and --stride of one unit"),
        ({"window": "whole", "stride": "5ms"}, "--stride needs windows"),
        ({"start": "-5ms"}, "--start: expected a duration"),
        ({"end": "nan"}, "--end: expected a duration"),
    ],
)
def test_invalid_options_say_what_was_expected(options: dict[str, str], message: str):
    with pytest.raises(BadOption, match=re.escape(message)):
        list(divide_stream(make_stream(0, 1), windows.WindowOptions(**options)))


def split(stream: EventStream, **options: object) -> list[windows.SampleWindow[EventStream]]:
    return list(find_modality("event").split(stream, windows.WindowOptions(**options)))


def test_short_recordings_are_one_unchanged_window():
    stream = move_bar(600_000 - 2000)
    (window,) = split(stream)
    assert window.is_whole
    assert window.sample is stream


def test_long_recordings_have_windows_of_a_length_chosen_by_content():
    divided = split(move_bar(1_000_000, speed=300))
    assert len(divided) > 2
    assert not any(window.is_whole or window.inactivity for window in divided[:-1])  # the last one is short
    (window,) = split(move_bar(1_000_000, speed=300), window="whole")
    assert window.is_whole


def test_a_region_of_interest_is_cropped_and_must_fit_the_sensor():
    (window,) = split(move_bar(), roi=(10, 20, 30, 10))
    assert (window.sample.width, window.sample.height, window.is_whole) == (30, 10, False)
    with pytest.raises(BadOption, match=re.escape("--roi: the window 30x10 at (50, 20) exceeds the sensor 64x64")):
        split(move_bar(), roi=(50, 20, 30, 10))


def test_windows_of_noise_and_without_events_are_named():
    noise = draw_noise(100_000, 5, 64, 64, seed=0)
    assert [window.inactivity for window in split(noise)] == ["nothing moved"]
    assert [window.inactivity for window in split(make_stream(0, 35), window=10)[1:3]] == ["no events"] * 2
