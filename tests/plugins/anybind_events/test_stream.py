"""`EventStream`: valid recordings, operations, and errors."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind_events.stream import EventStream, concatenate_streams
from helpers.streams import select_silently


def make_stream(**changed: object) -> EventStream:
    columns = {"x": [1, 2, 3], "y": [4, 5, 6], "t": [10, 20, 30], "p": [1, 0, 1], "width": 34, "height": 34}
    return EventStream(**{**columns, **changed})


@pytest.mark.parametrize(("name", "dtype"), [("x", np.uint16), ("y", np.uint16), ("t", np.int64), ("p", np.bool_)])
def test_columns_are_converted_to_their_types(name: str, dtype: type) -> None:
    wide = {each: np.array([1, 0, 1], dtype=np.int32) for each in "xyp"}
    for stream in (make_stream(), make_stream(**wide, t=np.array([1, 2, 3], dtype=np.int32))):
        assert len(stream) == 3
        assert getattr(stream, name).dtype == dtype
        assert stream.p.tolist() == [True, False, True]
        with pytest.raises(ValueError, match="read-only"):
            getattr(stream, name)[0] = 0


@pytest.mark.parametrize(
    "columns", [*({name: [1, 1]} for name in "xytp"), {name: np.ones((2, 2), dtype=np.int64) for name in "xytp"}]
)
def test_columns_of_different_lengths_or_two_dimensions_are_an_error(columns: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="one length"):
        make_stream(**columns)


def test_columns_of_the_right_type_are_shared_and_read_only():
    columns = {
        "x": np.array([1, 2], np.uint16),
        "y": np.array([3, 4], np.int16),
        "t": np.array([5, 6]),
        "p": np.array([1, 0], np.int8),
    }
    stream = EventStream(**columns, width=10, height=10)
    for name, column in columns.items():
        assert np.shares_memory(getattr(stream, name), column)
        assert not getattr(stream, name).flags.writeable
        assert column.flags.writeable


@pytest.mark.parametrize("name", ["x", "y", "t", "p"])
def test_the_callers_arrays_stay_writable_and_unchanged(name: str) -> None:
    arrays = {each: np.array([1, 1, 1], dtype=np.int64) for each in "xytp"}
    EventStream(**arrays, width=34, height=34)
    assert arrays[name].flags.writeable
    assert arrays[name].dtype == np.int64
    assert arrays[name].tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("value", [34, 70_000, -1])
def test_a_pixel_outside_the_sensor_is_an_error_that_names_the_event(name: str, value: float) -> None:
    # 70,000 would wrap into the sensor if it were cast to 16 bits before the check.
    with pytest.raises(BadInput, match=rf"event 1 is outside the sensor: {name} = {re.escape(str(value))}\b"):
        make_stream(**{name: np.array([0, value, value])})


def test_a_pixel_in_the_last_column_and_row_is_inside_the_sensor() -> None:
    stream = make_stream(x=[0, 0, 33], y=[0, 0, 20], height=21)
    assert (int(stream.x[2]), int(stream.y[2])) == (33, 20)


def test_width_limits_x_and_height_limits_y() -> None:
    make_stream(x=[9, 9, 9], y=[0, 0, 0], width=10, height=1)
    with pytest.raises(BadInput, match=r"event 0 .* y = 9"):
        make_stream(x=[0, 0, 0], y=[9, 9, 9], width=10, height=1)


def test_decreasing_time_is_an_error_that_names_the_event_and_both_times() -> None:
    with pytest.raises(BadInput, match=r"decreases at event 2: 20 us, then 19 us"):
        make_stream(t=[10, 20, 19])


def test_events_of_equal_time_are_valid() -> None:
    assert make_stream(t=[7, 7, 7]).duration_us == 0


def test_a_time_that_is_not_a_number_is_an_error() -> None:
    # Cast to an integer it would be a time some 292,000 years ago.
    with pytest.raises(BadInput):
        make_stream(t=np.array([np.nan, 20, 30]))


@pytest.mark.parametrize("size", [(0, 34), (34, 0), (-1, 34), (34, 65_536)])
def test_an_invalid_sensor_size_is_an_error_that_names_it(size: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match=f"{size[0]}x{size[1]}"):
        EventStream([], [], [], [], *size)


def test_a_recording_can_be_empty() -> None:
    stream = EventStream([], [], [], [], 34, 34)
    assert len(stream) == 0
    assert stream.duration_us == 0
    with pytest.warns(AnybindWarning, match="it has no events"):
        assert len(stream.between(0, 100)) == 0


def test_the_duration_is_from_the_first_event_to_the_last() -> None:
    assert make_stream(t=[100, 250, 1_000]).duration_us == 900


@given(
    times=st.lists(st.integers(-50, 50), max_size=20).map(sorted), start=st.integers(-60, 60), end=st.integers(-60, 60)
)
def test_between_excludes_the_end(times: list[int], start: int, end: int) -> None:
    count = len(times)
    # x is the event index, which identifies the selected events.
    stream = EventStream(range(count), [0] * count, times, [True] * count, 34, 1)
    selected = select_silently(stream.between, start, end, absolute=True)
    assert selected.x.tolist() == [number for number, time in enumerate(times) if start <= time < end]
    assert selected.t.tolist() == [time for time in times if start <= time < end]
    assert (selected.width, selected.height) == (34, 1)


@pytest.mark.parametrize("first", [0, 5_000_000, -70])
def test_between_is_relative_to_the_first_event_or_on_its_own_clock(first: int) -> None:
    stream = make_stream(t=[first, first + 10, first + 20])
    for start, end, expected in ((0, 20, [0, 10]), (10, None, [10, 20]), (None, 10, [0]), (None, None, [0, 10, 20])):
        times = [first + time for time in expected]
        assert stream.between(start, end).t.tolist() == times
        absolute = [None if time is None else first + time for time in (start, end)]
        assert stream.between(*absolute, absolute=True).t.tolist() == times


def test_a_time_range_without_events_is_a_warning() -> None:
    stream = make_stream(t=[1000, 1010, 1020])
    message = "no events from 30 us to 40 us, relative to the first event; it has events from 0 to 20 us"
    with pytest.warns(AnybindWarning, match=message):
        assert len(stream.between(30, 40)) == 0
    with pytest.warns(AnybindWarning, match="from 0 us to 5 us, on its own clock; it has events from 1000 to 1020 us"):
        assert len(stream.between(0, 5, absolute=True)) == 0
    assert [len(part) for part in make_stream(t=[0, 1, 100]).chunks(duration=10)][1:-1] == [0] * 9


def test_a_real_recording_of_a_running_clock_is_cut_from_its_first_event(test_data: Path) -> None:
    stream = anybind.read(test_data / "events/dvs128_walking.aedat")
    part = stream.between(100_000, 200_000)
    assert len(part) > 0
    assert part.t[0] >= stream.t[0] + 100_000
    assert part.t[-1] < stream.t[0] + 200_000


def test_between_does_not_change_the_recording() -> None:
    stream = make_stream()
    stream.between(5, 15)
    assert stream.t.tolist() == [10, 20, 30]


def test_a_stream_prints_its_count_its_sensor_and_its_duration() -> None:
    assert repr(make_stream()) == "EventStream(3 events, 34x34, 20 us)"


def make_timed_stream(t: list[int], width: int = 4, height: int = 3) -> EventStream:
    n = len(t)
    return EventStream(np.arange(n) % width, np.arange(n) % height, t, np.arange(n) % 2, width, height)


def test_sub_streams_are_views():
    stream = make_timed_stream([0, 10, 20, 30])
    for part in (stream.head(2), stream.between(5, 25), *stream.chunks(count=3), *stream.chunks(duration=15)):
        assert np.shares_memory(part.t, stream.t)
        assert not part.t.flags.writeable


def test_chunks_of_a_count_contain_every_event_once():
    assert [part.t.tolist() for part in make_timed_stream([0, 1, 2, 3, 4]).chunks(count=2)] == [[0, 1], [2, 3], [4]]


def test_chunks_of_a_duration_start_at_the_first_event_and_can_be_empty():
    parts = list(make_timed_stream([100, 105, 131]).chunks(duration=10))
    assert [part.t.tolist() for part in parts] == [[100, 105], [], [], [131]]


@pytest.mark.parametrize("options", [{}, {"count": 1, "duration": 1}, {"count": 0}, {"duration": -1}])
def test_chunks_need_one_positive_length(options):
    with pytest.raises(BadOption):
        make_timed_stream([0, 1]).chunks(**options)


def test_flips_are_involutions_and_a_time_flip_swaps_polarities():
    stream = make_timed_stream([0, 10, 20, 50])
    for flip in ("flip_horizontally", "flip_vertically", "flip_polarity", "flip_time"):
        once = getattr(stream, flip)()
        twice = getattr(once, flip)()
        assert any((getattr(once, name) != getattr(stream, name)).any() for name in "xytp")
        assert all((getattr(twice, name) == getattr(stream, name)).all() for name in "xytp")
    back = stream.flip_time()
    assert back.t.tolist() == [0, 30, 40, 50]
    assert back.p.tolist() == (~stream.p[::-1]).tolist()


def test_a_crop_keeps_the_window_and_moves_its_corner_to_the_origin():
    stream = EventStream([0, 2, 3, 3], [0, 1, 1, 2], [0, 1, 2, 3], [1, 0, 1, 0], 4, 3)
    crop = stream.crop(2, 1, 2, 1)
    assert (crop.x.tolist(), crop.y.tolist(), crop.t.tolist(), crop.width, crop.height) == (
        [0, 1],
        [0, 0],
        [1, 2],
        2,
        1,
    )


@pytest.mark.parametrize("window", [(-1, 0, 2, 2), (0, 0, 5, 1), (3, 0, 2, 1), (0, 0, 0, 1)])
def test_a_crop_beyond_the_sensor_is_an_error(window):
    with pytest.raises(BadOption, match="exceeds the sensor 4x3"):
        make_timed_stream([0, 1]).crop(*window)


def test_rescaling_keeps_every_event_and_maps_the_whole_sensor():
    stream = EventStream([0, 639, 320], [0, 479, 240], [0, 1, 2], [1, 1, 0], 640, 480)
    scaled = stream.rescale(224, 224)
    assert (scaled.x.tolist(), scaled.y.tolist()) == ([0, 223, 112], [0, 223, 112])


def test_downsampling_emits_one_event_per_block_size_of_net_events():
    stream = EventStream([0] * 9, [0] * 9, range(9), [1, 1, 0, 1, 1, 1, 0, 0, 0], 4, 2)
    # Sums 1 2 1 2 3 4 (event), then -1 -2 -3.
    coarse = stream.downsample(2)
    assert (coarse.t.tolist(), coarse.p.tolist(), coarse.width, coarse.height) == ([5], [True], 2, 1)


def test_concatenated_streams_must_have_one_sensor_size_and_be_in_order():
    first, second = make_timed_stream([0, 1]), make_timed_stream([1, 5])
    assert concatenate_streams([first, second]).t.tolist() == [0, 1, 1, 5]
    with pytest.raises(BadInput, match="time decreases"):
        concatenate_streams([second, first])
    with pytest.raises(BadInput, match="one sensor size"):
        concatenate_streams([first, make_timed_stream([9], width=5)])
    with pytest.raises(BadInput, match="at least one stream"):
        concatenate_streams([])


def test_fields_of_a_structured_array_are_used_without_a_copy():
    table = np.array([(1, 2, 3, True), (3, 1, 9, False)], dtype=[("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
    stream = EventStream(table["x"], table["y"], table["t"], table["p"], 4, 3)
    assert all(np.shares_memory(getattr(stream, name), table) for name in "xytp")
    assert (stream.x.tolist(), stream.p.tolist()) == ([1, 3], [True, False])


def test_torch_tensors_are_used_without_a_copy():
    torch = pytest.importorskip("torch")
    t = torch.tensor([3, 4])
    stream = EventStream(torch.tensor([1, 2], dtype=torch.int16), [0, 0], t, torch.tensor([True, False]), 4, 3)
    assert stream.t.__array_interface__["data"][0] == t.data_ptr()


def test_a_slice_of_events_is_a_view_on_the_same_sensor():
    stream = make_stream()
    first = stream[:2]
    assert (len(first), first.width, first.height) == (2, 34, 34)
    assert np.shares_memory(first.t, stream.t)
    assert stream[1:].t.tolist() == [20, 30]


def test_events_are_selected_by_index_indices_or_mask():
    stream = make_stream()
    assert stream[-1].t.tolist() == [30]
    assert stream[[0, 2]].x.tolist() == [1, 3]
    assert stream[stream.p].x.tolist() == [1, 3]


@pytest.mark.parametrize("events", [3, np.array([True])])
def test_a_missing_event_is_an_index_error(events: object) -> None:
    with pytest.raises(IndexError):
        make_stream()[events]


@pytest.mark.parametrize("events", [slice(None, None, -1), [1, 0]])
def test_events_selected_out_of_time_order_are_an_error(events: object) -> None:
    with pytest.raises(BadInput, match="decreases at event 1"):
        make_stream()[events]


@pytest.mark.parametrize("size", [34, 5000])
def test_a_notebook_shows_a_small_image_of_any_sensor(size: int) -> None:
    html = make_stream(width=size, height=size)._repr_html_()
    assert f"3 events, {size}x{size}" in html
    assert len(html) < 20_000


def test_a_notebook_shows_a_stream_without_events() -> None:
    assert "0 events" in make_stream()[:0]._repr_html_()


@pytest.mark.parametrize("side", [np.uint16(640), np.uint16(640).item(), 640.0, np.float32(640), np.array(640)])
def test_a_sensor_size_of_any_type_of_number_is_an_int(side: object) -> None:
    # The products of NumPy's 16-bit integers, as `x.max() + 1`, overflow: kernels wrote outside of their arrays.
    stream = EventStream([5], [5], [0], [1], side, side)
    assert [type(each) for each in (stream.width, stream.height)] == [int, int]
    assert type(stream.rescale(np.uint16(320), 240.0).height) is int
    assert type(stream.crop(0, 0, np.uint16(320), 240.0).width) is int
    assert stream.downsample(2.0).width == 320


@pytest.mark.parametrize("side", [None, "640", 4.5, float("nan"), True, [640]])
def test_a_sensor_size_that_is_not_a_whole_number_is_an_error(side: object) -> None:
    with pytest.raises(BadInput, match="invalid sensor size"):
        EventStream([0], [0], [0], [1], side, 640)


@pytest.mark.parametrize(
    "call",
    [
        lambda stream: stream.rescale(10.5, 10),
        lambda stream: stream.crop(0, 0, 1.5, 1),
        lambda stream: stream.downsample(1.5),
        lambda stream: stream.downsample(70_000),
        lambda stream: stream.chunks(duration="10ms"),
        lambda stream: stream.chunks(count=1.5),
        lambda stream: stream.between("soon"),
        lambda stream: stream.between(float("nan"), 3),
        lambda stream: stream.between(True),
        lambda stream: stream.filter(None),
        lambda stream: stream.filter([3]),
    ],
)
def test_invalid_numbers_and_times_are_invalid_options(call: Callable[[EventStream], object]) -> None:
    with pytest.raises(BadOption, match="expected"):
        call(EventStream([0, 1], [0, 1], [0, 9], [1, 0], 4, 3))


def test_between_takes_durations_as_windows_do() -> None:
    stream = EventStream([0, 1, 2], [0, 1, 2], [5, 20_000, 40_005], [1, 0, 1], 4, 3)
    assert list(stream.between("10ms", "30ms").t) == [20_000]
    assert list(stream.between(np.int64(0), np.uint16(10)).t) == [5]
    assert list(stream.between(10_000.5, float("inf")).t) == list(stream.between(10_001).t)
    assert list(stream.between(float("-inf"), 20_000.5).t) == list(stream.between(0, 20_001).t)


def pickle_and_load(stream: EventStream) -> EventStream:
    return pickle.loads(pickle.dumps(stream))  # noqa: S301 (its own bytes)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle_and_load])
def test_a_copied_or_pickled_stream_is_read_only(duplicate: Callable[[EventStream], EventStream]) -> None:
    stream = duplicate(EventStream([0, 1], [0, 1], [0, 9], [1, 0], 4, 3, {"wraps": 1}))
    assert list(stream.t) == [0, 9]
    assert stream.notes == {"wraps": 1}
    assert not any(getattr(stream, name).flags.writeable for name in "xytp")


@pytest.mark.parametrize("events", [None, [[0, 1]]])
def test_an_index_of_two_dimensions_is_an_index_error(events: object) -> None:
    with pytest.raises(IndexError, match="expected an index"):
        EventStream([0, 1], [0, 1], [0, 9], [1, 0], 4, 3)[events]
