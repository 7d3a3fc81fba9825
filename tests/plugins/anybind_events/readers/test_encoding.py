"""Recordings written as EVT2, EVT3 and AEDAT4, and read back."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind_events.readers.aedat4 import Aedat4Reader
from anybind_events.readers.aedat4_packets import FlatBufferTable
from anybind_events.readers.evt2 import Evt2Reader
from anybind_events.readers.evt3 import Evt3Reader
from anybind_events.stream import EventStream
from helpers.streams import event_streams, list_contents, list_events

READERS = {"evt2": Evt2Reader(), "evt3": Evt3Reader(), "aedat4": Aedat4Reader()}
SUFFIXES = {"evt2": ".raw", "evt3": ".raw", "aedat4": ".aedat4"}
LIMITS = {"evt2": 2048, "evt3": 2048, "aedat4": 32_768}
RANGES = {"evt2": 1 << 34, "evt3": 1 << 24}
# Around wraps of the clocks of both EVT formats, in a cluster, and anywhere.
TIMES = st.one_of(
    st.integers(0, 200),
    *(st.integers(length * k - 3, length * k + 3) for length in RANGES.values() for k in (1, 2, 5)),
    st.integers(0, 1 << 38),
)


def write(reader: str, stream: EventStream, folder: Path) -> Path:
    path = folder / f"written{SUFFIXES[reader]}"
    READERS[reader].write(stream, path)
    return path


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_recording_is_read_back_as_it_was_written(folder: Path, reader: str, data: st.DataObject) -> None:
    sides = st.integers(1, LIMITS[reader])
    stream = data.draw(event_streams(TIMES, sides, sides))
    back = READERS[reader].read(write(reader, stream, folder))
    assert list_contents(back) == list_contents(stream)
    assert set(back.notes) <= {"clock_wraps"}


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=40)
@given(data=st.data())
def test_chunks_give_the_same_events_as_a_whole_recording(folder: Path, reader: str, data: st.DataObject) -> None:
    stream = data.draw(event_streams(TIMES, st.just(300), st.just(200)))
    path = folder / f"chunks{SUFFIXES[reader]}"
    empty = stream.slice_events(0, 0)
    READERS[reader].write_chunks([empty, *stream.chunks(count=data.draw(st.integers(1, 5))), empty], path)
    assert list_events(READERS[reader].read(path)) == list_events(stream)


@pytest.mark.parametrize("reader", READERS)
def test_a_long_recording_of_many_blocks_is_read_back(tmp_path: Path, reader: str) -> None:
    random, n = np.random.default_rng(0), 600_000
    times = np.cumsum(random.integers(0, 400, n))
    x, y, p = random.integers(0, 1280, n), random.integers(0, 720, n), random.random(n) < 0.5
    stream = EventStream(x, y, times, p, 1280, 720)
    back = anybind.read(write(reader, stream, tmp_path))
    assert all(np.array_equal(getattr(back, name), getattr(stream, name)) for name in "xytp")


@pytest.mark.parametrize("reader", ["evt2", "evt3"])
@pytest.mark.parametrize("start_us", [1 << 24, 1_700_000_000_000_000, (1 << 59) - 100])
def test_a_recording_that_begins_after_clock_wraps_keeps_its_times(tmp_path: Path, reader: str, start_us: int) -> None:
    stream = EventStream([1, 2], [3, 4], [start_us, start_us + 70], [True, False], 640, 480)
    path = write(reader, stream, tmp_path)
    start = start_us // RANGES[reader] * RANGES[reader]
    assert (f"% t0 {start}\n".encode() in path.read_bytes()) == (start > 0)
    assert anybind.read(path).t.tolist() == stream.t.tolist()


@pytest.mark.parametrize("reader", ["evt2", "evt3"])
def test_the_header_names_encoding_and_sensor_as_prophesee_does(tmp_path: Path, reader: str) -> None:
    path = write(reader, EventStream([1], [2], [3], [True], 640, 480), tmp_path)
    lines = path.read_bytes().partition(b"% end\n")[0].decode().splitlines()
    version = {"evt2": "2.0", "evt3": "3.0"}[reader]
    assert f"% evt {version}" in lines
    assert f"% format {reader.upper()};height=480;width=640" in lines
    assert "% geometry 640x480" in lines


def test_evt2_words_are_those_of_the_specification(tmp_path: Path) -> None:
    path = write("evt2", EventStream([5, 6], [7, 8], [64 * 3 + 1, 64 * 3 + 2], [True, False], 640, 480), tmp_path)
    words = np.frombuffer(path.read_bytes().partition(b"% end\n")[2], "<u4").tolist()
    assert words == [8 << 28, 8 << 28 | 3, 1 << 28 | 1 << 22 | 5 << 11 | 7, 2 << 22 | 6 << 11 | 8]


def test_evt3_words_are_those_of_the_specification(tmp_path: Path) -> None:
    stream = EventStream([5, 6, 6], [7, 7, 8], [4096, 4096, 4099], [True, False, False], 640, 480)
    words = np.frombuffer(write("evt3", stream, tmp_path).read_bytes().partition(b"% end\n")[2], "<u2").tolist()
    high, low, row, column = 8 << 12, 6 << 12, 0, 2 << 12
    first = [high, high | 1, low, row | 7, column | 1 << 11 | 5, column | 6]
    assert words == [*first, low | 3, row | 8, column | 6]


@pytest.mark.parametrize("reader", READERS)
def test_recordings_beyond_the_limits_are_errors_that_name_them(tmp_path: Path, reader: str) -> None:
    side = LIMITS[reader] + 1
    with pytest.raises(anybind.BadInput, match=f"up to {side - 1}x{side - 1}, got {side}x10"):
        write(reader, EventStream([1], [1], [1], [1], side, 10), tmp_path)
    with pytest.raises(anybind.BadInput, match=r"times from 0 to .* us, got -7 us"):
        write(reader, EventStream([1], [1], [-7], [1], 10, 10), tmp_path)


@pytest.mark.parametrize("reader", READERS)
def test_chunks_out_of_order_or_of_two_sensors_are_errors(tmp_path: Path, reader: str) -> None:
    late, early = (EventStream([1], [1], [time], [1], 10, 10) for time in (9, 5))
    with pytest.raises(anybind.BadInput, match="time decreases from one chunk to the next: 9 us, then 5 us"):
        READERS[reader].write_chunks([late, early], tmp_path / "out.raw")
    with pytest.raises(anybind.BadInput, match="one sensor size"):
        READERS[reader].write_chunks([early, EventStream([1], [1], [9], [1], 20, 10)], tmp_path / "out.raw")


def test_a_pause_of_years_is_an_error_in_evt3(tmp_path: Path) -> None:
    with pytest.raises(anybind.BadInput, match="EVT3 supports pauses of up to"):
        write("evt3", EventStream([1, 1], [1, 1], [0, 1 << 50], [1, 1], 10, 10), tmp_path)


def test_the_table_of_an_aedat4_file_lists_its_packets(tmp_path: Path) -> None:
    n = 25_000
    stream = EventStream(np.zeros(n), np.zeros(n), 50 + np.arange(n), np.zeros(n, bool), 10, 10)
    data = write("aedat4", stream, tmp_path).read_bytes()
    header_size = struct.unpack_from("<I", data, 14)[0]
    position = FlatBufferTable(data[18 : 18 + header_size], prefixed=False).read_field(1, "<q")
    table = decompress(data[position:])
    assert int.from_bytes(table[:4], "little") == len(table) - 4
    entries = list_entries(table)
    assert [(count, first, last) for _, count, first, last in entries] == [
        (10_000, 50, 10_049), (10_000, 10_050, 20_049), (5_000, 20_050, 25_049)
    ]  # fmt: skip
    for offset, count, *_ in entries:
        size = struct.unpack_from("<I", data, offset - 4)[0]
        assert len(decompress(data[offset : offset + size])) == 32 + 16 * count


def list_entries(table: bytes) -> list[tuple[int, int, int, int]]:
    """List the place in the file, the number of events, and the first and last time of each packet."""
    root = FlatBufferTable(table)
    start = root.find_field(0)
    assert start is not None
    assert table[8:12] == b"FTAB"
    start += root.read_number("<I", start)
    entries = []
    for number in range(root.read_number("<I", start)):
        at = start + 4 + 4 * number
        entry = FlatBufferTable(table)
        entry.start = at + root.read_number("<I", at)
        entry.slots = entry.start - root.read_number("<i", entry.start)
        entries.append(tuple(entry.read_field(slot, "<q") for slot in (0, 2, 3, 4)))
    return entries


def decompress(data: bytes) -> bytes:
    return pytest.importorskip("lz4.frame").decompress(data)


@pytest.mark.parametrize("reader", READERS)
def test_writing_by_name_of_the_format(tmp_path: Path, reader: str) -> None:
    stream = EventStream([1], [2], [3], [True], 34, 34)
    path = tmp_path / f"named{SUFFIXES[reader]}"
    anybind.write(stream, path, format=reader)
    assert anybind.reader.find_reader(path).name == reader
    with pytest.raises(anybind.BadInput, match="expected the format"):
        anybind.write(stream, path, format="hdf5-events")
