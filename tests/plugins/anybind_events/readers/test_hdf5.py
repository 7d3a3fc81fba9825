"""HDF5: our format, layouts of DSEC, Metavision and others, and damage."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind.reader import find_reader
from anybind_events.readers import hdf5, hdf5_layout
from anybind_events.readers.hdf5 import Hdf5Reader
from anybind_events.stream import EventStream
from helpers.streams import event_streams, list_contents, read_or_error, select_silently

COLUMNS = {"x": [1, 2, 3], "y": [4, 5, 6], "t": [10, 20, 30], "p": [1, 0, 1]}
EXPECTED = ([1, 2, 3], [4, 5, 6], [10, 20, 30], [True, False, True])


def make_stream(n: int, step: int = 137, start: int = 0, seed: int = 0) -> EventStream:
    """Make n events, some at equal times, with gaps of some milliseconds."""
    random = np.random.default_rng(seed)
    time = start + np.cumsum(random.integers(0, 2, n) * random.integers(0, 2 * step, n) ** 2 // step)
    x, y = random.integers(0, 346, n), random.integers(0, 260, n)
    return EventStream(x, y, time, random.integers(0, 2, n), 346, 260)


@pytest.fixture
def file(tmp_path: Path):
    """Make a file: datasets by path, then attributes of the root or, by `path@name`, of another object."""

    def make(datasets: dict[str, object], attributes: dict[str, object] | None = None, **how: object) -> Path:
        path = tmp_path / "made.h5"
        with h5py.File(path, "w") as make_stream:
            for name, data in datasets.items():
                make_stream.create_dataset(name, data=data, **(how if np.ndim(data) else {}))
            for name, value in (attributes or {}).items():
                owner, _, attribute = name.rpartition("@")
                make_stream[owner or "/"].attrs[attribute] = value
        return path

    return make


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    stream=event_streams(st.integers(-(2**62), 2**62) | st.integers(0, 5000)),
    cuts=st.lists(st.integers(0, 12), max_size=3).map(sorted),
)
@example(stream=EventStream([0, 0], [0, 0], [-(2**63), 2**63 - 1], [1, 0], 1, 1), cuts=[1])
def test_a_recording_written_whole_or_in_chunks_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, stream: EventStream, cuts: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5, "MAX_INDEX_MS", 100)
        anybind.write(stream, path)
        assert list_contents(anybind.read(path)) == list_contents(stream)
        Hdf5Reader().write_chunks(
            (stream.slice_events(a, b) for a, b in zip([0, *cuts], [*cuts, 99], strict=True)), path
        )
        assert list_contents(anybind.read(path)) == list_contents(stream)


@settings(deadline=None, max_examples=60)
@given(
    start=st.integers(-5_000, 250_000) | st.none(),
    end=st.integers(-5_000, 250_000) | st.none(),
    offset=st.sampled_from([0, 999, -(10**6), 1_589_163_147_368_868]),
    longest=st.sampled_from([3, 1 << 22]),
    seed=st.integers(0, 3),
)
def test_start_and_end_select_the_same_events_as_between(
    tmp_path_factory: pytest.TempPathFactory, start: int | None, end: int | None, offset: int, longest: int, seed: int
) -> None:
    path, stream = tmp_path_factory.getbasetemp() / "part.h5", make_stream(1500, start=offset, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5, "MAX_INDEX_MS", longest)  # shorter than the recording, or longer
        patch.setattr(hdf5_layout, "SEARCH_EVENTS", 16)
        Hdf5Reader().write(stream, path)
        low = None if start is None else offset + start
        high = None if end is None else offset + end
        part = select_silently(Hdf5Reader().read, path, start=low, end=high, absolute=True)
        relative = select_silently(Hdf5Reader().read, path, start=start, end=end)
    assert list_contents(part) == list_contents(select_silently(stream.between, low, high, absolute=True))
    assert list_contents(relative) == list_contents(select_silently(stream.between, start, end))


def test_times_of_a_range_have_a_unit_or_are_microseconds(tmp_path: Path) -> None:
    anybind.write(make_stream(5000), path := tmp_path / "a.h5")
    expected = list_contents(anybind.read(path, start=1000, end=3001))
    for start, end in (("1ms", "3001us"), (np.int32(1000), 3000.5), (999.5, np.float32(3001))):
        assert list_contents(anybind.read(path, start=start, end=end)) == expected
    assert list_contents(anybind.read(path, end=float("inf"))) == list_contents(anybind.read(path))
    for value in ("soon", float("nan"), True, [1]):
        with pytest.raises(BadOption, match="start: expected"):
            anybind.read(path, start=value)


def test_only_the_data_of_the_time_range_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = make_stream(300_000)
    Hdf5Reader().write(stream, tmp_path / "long.h5")
    taken = []
    times = hdf5_layout.EventDatasets.read_times
    monkeypatch.setattr(
        hdf5_layout.EventDatasets, "read_times", lambda self, a, b: taken.append(b - a) or times(self, a, b)
    )
    middle = int(stream.t[150_000])
    part = Hdf5Reader().read(tmp_path / "long.h5", start=middle, end=middle + 2000, absolute=True)
    assert list_contents(part) == list_contents(stream.between(middle, middle + 2000, absolute=True))
    assert sum(taken) < 2000


def test_written_files_open_in_plain_h5py_with_the_layout_of_dsec(tmp_path: Path) -> None:
    stream = EventStream([1, 2, 3, 4], [5, 6, 7, 8], [5000, 5999, 7000, 9001], [1, 0, 1, 0], 346, 260)
    anybind.write(stream, tmp_path / "ours.h5")
    with h5py.File(tmp_path / "ours.h5") as columns_in_file:
        assert dict(columns_in_file.attrs) == {"format": "anybind-events", "version": 1, "width": 346, "height": 260}
        assert columns_in_file["t_offset"][()] == 5000
        assert columns_in_file["events/t"][:].tolist() == [0, 999, 2000, 4001]
        assert columns_in_file["ms_to_idx"][:].tolist() == [0, 2, 2, 3, 3]
        assert [columns_in_file[f"events/{name}"].compression for name in "xytp"] == ["gzip"] * 4
        assert columns_in_file["events/p"][:].tolist() == [1, 0, 1, 0]


def test_chunks_out_of_order_are_not_written(tmp_path: Path) -> None:
    first, path = EventStream([1], [1], [10], [1], 34, 34), tmp_path / "out.h5"
    for second, message in (
        (EventStream([1], [1], [9], [1], 34, 34), "time decreases at event 1"),
        (EventStream([1], [1], [10], [1], 34, 33), "expected chunks of sensor size 34x34, got 34x33"),
    ):
        with pytest.raises(BadInput, match=message):
            Hdf5Reader().write_chunks([first, second], path)
    with pytest.raises(BadInput, match="at least one chunk to write"):
        Hdf5Reader().write_chunks([], path)


@pytest.mark.parametrize(
    "filter",
    [{}, hdf5plugin.Blosc(cname="zstd"), hdf5plugin.Zstd(), hdf5plugin.LZ4()],
    ids=["none", "blosc", "zstd", "lz4"],
)
def test_a_dsec_file_is_read_with_its_offset_and_sensor_size(file, filter: dict) -> None:
    columns = {f"events/{name}": np.array(column, "u4") for name, column in COLUMNS.items()}
    path = file({**columns, "ms_to_idx": [0, 3], "t_offset": 49_599_300_523}, chunks=True, **filter)
    stream = Hdf5Reader().read(path)
    assert (stream.width, stream.height) == (640, 480)
    assert stream.t.tolist() == [49_599_300_533, 49_599_300_543, 49_599_300_553]
    assert Hdf5Reader().read(path, start=1, end=20).x.tolist() == [2]


def test_a_wrong_index_is_ignored(file) -> None:
    time = np.arange(0, 10_000, 10)
    columns = {"x": time % 34, "y": time % 34, "t": time, "p": time % 2}
    for index in (np.zeros(10), np.full(10, 999), np.arange(10)[::-1] * 100, np.full(10, -5), np.full(10, 10**12)):
        path = file({**{f"events/{k}": v for k, v in columns.items()}, "ms_to_idx": index.astype(np.int64)})
        assert Hdf5Reader().read(path, start=3333, end=3355).t.tolist() == [3340, 3350]


def metavision(n: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    events = np.zeros(n, [("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")])
    events["t"], events["x"], events["p"] = np.arange(n) * 7, np.arange(n) % 1280, np.arange(n) % 2
    indexes = np.zeros(18, [("id", "u8"), ("ts", "i8")])
    indexes["ts"] = np.arange(18) * 2000
    indexes["id"] = np.searchsorted(events["t"], indexes["ts"])
    return events, indexes


def test_a_metavision_file_is_read_by_its_geometry_and_index(file, monkeypatch: pytest.MonkeyPatch) -> None:
    events, indexes = metavision()
    path = file({"CD/events": events, "CD/indexes": indexes, "EXT_TRIGGER/events": [1]}, {"geometry": "1280x720"})
    stream = Hdf5Reader().read(path)
    assert (len(stream), stream.width, stream.height) == (5000, 1280, 720)
    np.testing.assert_array_equal(stream.t, events["t"])
    taken, times = [], hdf5_layout.EventDatasets.read_times
    monkeypatch.setattr(
        hdf5_layout.EventDatasets, "read_times", lambda self, a, b: taken.append(b - a) or times(self, a, b)
    )
    for low, high in ((0, 5), (10_000, 10_100), (34_000, 10**6), (-5, -1), (10**6, 10**7)):
        part = select_silently(Hdf5Reader().read, path, start=low, end=high)
        assert part.t.tolist() == select_silently(stream.between, low, high).t.tolist()
    assert max(taken) < 1000


@pytest.mark.parametrize(
    "names", ["x y t p", "events/xs events/ys events/ts events/ps", "a/x a/y a/timestamps a/polarity"]
)
def test_plain_columns_are_found_in_any_group_by_common_names(file, names: str) -> None:
    path = file(dict(zip(names.split(), COLUMNS.values(), strict=True)), {"sensor_resolution": [180, 240]})
    assert list_contents(Hdf5Reader().read(path)) == (*EXPECTED, 240, 180)


def test_four_columns_in_one_dataset_are_x_y_t_and_p(file) -> None:
    table = np.array([[1, 2, 0.5, 1], [3, 4, 0.75, -1]])
    stream = Hdf5Reader().read(file({"davis/left/events": table, "davis/left/image_raw": np.zeros((2, 4, 4))}))
    assert list_contents(stream) == ([1, 3], [2, 4], [500_000, 750_000], [True, False], 34, 34)


def test_fractional_times_are_seconds_and_ranges_are_microseconds(file) -> None:
    path = file({**COLUMNS, "t": [1.5, 1.500001, 2.0]})
    assert Hdf5Reader().read(path).t.tolist() == [1_500_000, 1_500_001, 2_000_000]
    assert Hdf5Reader().read(path, start=1, end=500_000).x.tolist() == [2]


def test_whole_times_are_microseconds_or_from_1e17_on_nanoseconds_by_default(file) -> None:
    assert Hdf5Reader().read(file({**COLUMNS, "t": [1.0, 2.0, 3.0]})).t.tolist() == [1, 2, 3]
    assert Hdf5Reader().read(file({**COLUMNS, "t": [10**17, 10**17, 10**17 + 1999]})).t.tolist()[2] == 10**14 + 1
    assert Hdf5Reader().read(file(COLUMNS), time_unit="ms").t.tolist() == [10_000, 20_000, 30_000]
    with pytest.raises(BadOption, match="time_unit: expected s, ms, us, ns, got 'hours'"):
        Hdf5Reader().read(file(COLUMNS), time_unit="hours")


def test_without_a_recorded_size_the_sensor_is_the_smallest_common_one_also_in_chunks(file) -> None:
    path = file({**COLUMNS, "x": [1, 2, 200]})
    assert {(part.width, part.height) for part in Hdf5Reader().chunks(path, count=1)} == {(240, 180)}
    assert Hdf5Reader().read(path, size=(300, 200)).width == 300


def test_chunks_add_up_to_the_recording(tmp_path: Path) -> None:
    stream = make_stream(1000)
    Hdf5Reader().write(stream, tmp_path / "whole.h5")
    parts = list(Hdf5Reader().chunks(tmp_path / "whole.h5", count=300))
    assert [len(part) for part in parts] == [300, 300, 300, 100]
    assert np.concatenate([part.t for part in parts]).tolist() == stream.t.tolist()
    inside = list(
        Hdf5Reader().chunks(
            tmp_path / "whole.h5", count=300, start=int(stream.t[10]), end=int(stream.t[500]), absolute=True
        )
    )
    assert sum(map(len, inside)) == len(stream.between(int(stream.t[10]), int(stream.t[500]), absolute=True))


def test_several_recordings_need_the_source_option(file) -> None:
    left = {f"prophesee/left/{name}": column for name, column in COLUMNS.items()}
    right = {f"prophesee/right/{name}": column for name, column in {**COLUMNS, "x": [7, 8, 9]}.items()}
    path = file({**left, **right})
    with pytest.raises(
        BadInput, match=r"made\.h5: events of 2 sources; choose one with source=: 'prophesee/left', 'prophesee/right'"
    ):
        Hdf5Reader().read(path)
    assert Hdf5Reader().read(path, source="/prophesee/right").x.tolist() == [7, 8, 9]
    with pytest.raises(BadOption, match=r"no events of the source 'prophesee/lift'; did you mean 'prophesee/left'"):
        Hdf5Reader().read(path, source="prophesee/lift")


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"images": np.zeros((2, 3)), "depth/x": [1]}, r"made\.h5: expected event columns.*got: depth, images"),
        ({}, r"made\.h5: expected event columns.*got: nothing"),
        ({**COLUMNS, "t": [10, 20]}, r"made\.h5: expected event columns of one length"),
        ({**COLUMNS, "x": [1, -2, 3]}, r"made\.h5: event 1 is outside"),
        ({**COLUMNS, "x": [b"a", b"b", b"c"]}, r"made\.h5: expected 1-dimensional event columns of numbers"),
        ({**COLUMNS, "t_offset": [[]]}, r"made\.h5: cannot be read"),
    ],
)
def test_a_file_without_events_is_an_error_that_names_the_file(file, datasets: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Hdf5Reader().read(file(datasets))


def test_a_missing_hdf5_filter_is_named(file, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(COLUMNS, chunks=(3,), compression="gzip")
    monkeypatch.setattr(hdf5_layout, "ECF_FILTER", 1)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: False)
    with pytest.raises(BadInput, match=r"made\.h5: compressed by the HDF5 filter 1 \(Prophesee's ECF codec\)"):
        Hdf5Reader().read(path)


def test_external_events_are_an_error(tmp_path: Path, file) -> None:
    other = file(COLUMNS)
    with h5py.File(tmp_path / "linked.h5", "w") as linked:
        for name in "xytp":
            linked[name] = h5py.ExternalLink(other, name)
    with pytest.raises(BadInput, match=r"linked\.h5: expected event columns"):
        Hdf5Reader().read(tmp_path / "linked.h5")
    with h5py.File(tmp_path / "virtual.h5", "w") as virtual:
        for name in "xytp":
            layout = h5py.VirtualLayout((3,), "i8")
            layout[:] = h5py.VirtualSource(other, name, (3,))
            virtual.create_virtual_dataset(name, layout)
    with pytest.raises(BadInput, match=r"virtual\.h5: the events are in other files"):
        Hdf5Reader().read(tmp_path / "virtual.h5")


def test_a_small_file_with_a_huge_stated_size_allocates_little_memory(tmp_path: Path) -> None:
    for stored in (0, 10):
        with h5py.File(tmp_path / "lie.h5", "w") as lie:
            for name in "xytp":
                column = lie.create_dataset(name, (10**12,), "i8", chunks=(1 << 10,), compression="gzip")
                column[:stored] = np.arange(stored)
        tracemalloc.start()
        with pytest.raises(BadInput, match=r"lie\.h5: damaged: 1000000000000 events"):
            Hdf5Reader().read(tmp_path / "lie.h5")
        with pytest.raises(BadInput, match=r"lie\.h5: damaged"):
            next(Hdf5Reader().chunks(tmp_path / "lie.h5", count=10))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**24


def test_a_truncated_file_is_an_error_strict_or_not(tmp_path: Path) -> None:
    Hdf5Reader().write(make_stream(100), tmp_path / "cut.h5")
    raw = (tmp_path / "cut.h5").read_bytes()
    for length in range(1, len(raw), 97):
        (tmp_path / "cut.h5").write_bytes(raw[:length])
        for strict in (True, False):
            with pytest.raises(BadInput, match=r"cut\.h5: cannot be read as HDF5"):
                Hdf5Reader().read(tmp_path / "cut.h5", strict=strict)


@pytest.mark.slow
def test_a_written_file_with_a_flipped_bit_is_rejected_or_unchanged(tmp_path: Path) -> None:
    stream, rng = make_stream(200), random.Random(0)
    Hdf5Reader().write(stream, tmp_path / "bent.h5")
    raw, differ = (tmp_path / "bent.h5").read_bytes(), []
    for _ in range(300):
        bent, at = bytearray(raw), rng.randrange(len(raw))
        bent[at] ^= 1 << rng.randrange(8)
        (tmp_path / "bent.h5").write_bytes(bent)
        got = read_or_error(Hdf5Reader().read, tmp_path / "bent.h5")
        if isinstance(got, EventStream) and list_contents(got) != list_contents(stream):
            differ.append(at)
        assert isinstance(got, EventStream) or "bent.h5" in str(got)
    assert differ == []


def test_a_mutated_file_of_other_software_is_read_or_rejected(tmp_path: Path, file) -> None:
    path, rng = file({f"events/{name}": column for name, column in COLUMNS.items()}), random.Random(1)
    raw = path.read_bytes()
    for _ in range(300):
        bent = bytearray(raw)
        for _ in range(rng.choice((1, 3))):
            bent[rng.randrange(len(bent))] = rng.randrange(256)
        path.write_bytes(bent)
        got = read_or_error(Hdf5Reader().read, path)
        assert isinstance(got, EventStream) or "made.h5" in str(got)


def test_an_hdf5_file_is_detected_by_its_suffix(tmp_path: Path) -> None:
    Hdf5Reader().write(make_stream(3), tmp_path / "found.hdf5")
    head = (tmp_path / "found.hdf5").read_bytes()[:4096]
    assert Hdf5Reader().sniff(head) is None
    assert Hdf5Reader().sniff(b"HDF") is False
    assert find_reader(tmp_path / "found.hdf5").name == "hdf5-events"
