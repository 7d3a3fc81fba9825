"""DAT recordings, compared with a reference decoder and other libraries."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind import BadInput
from anybind_events.readers.dat import DatReader
from anybind_events.stream import EventStream
from helpers.streams import Row, event_streams, list_events

HEADER = b"% Data file containing CD events\n% Version 2\n% Width 1280\n% Height 720\n"
CD = b"\x0c\x08"
RANGE = 1 << 32


def decode(raw: bytes, width: int, height: int, version: int = 2) -> tuple[list[Row], dict[str, int]]:
    """Decode the events of a file one by one, by the format's specification."""
    events, notes, rounds, before, latest = [], {}, 0, 0, 0
    count = lambda name: notes.update({name: notes.get(name, 0) + 1})  # noqa: E731
    for time, pixel in struct.iter_unpack("<II", raw):
        if before - time > 2**31:
            rounds += 1
            count("clock_wraps")
        before = time
        if version == 2:
            x, y, p = pixel & 0x3FFF, pixel >> 14 & 0x3FFF, pixel >> 28 & 1
        else:
            x, y, p = pixel & 0x1FF, pixel >> 9 & 0xFF, pixel >> 17 & 1
        if x >= width or y >= height:
            count("outside")
            continue
        if rounds * RANGE + time < latest:
            count("backwards")
        latest = max(latest, rounds * RANGE + time)
        events.append((x, y, latest, bool(p)))
    return events, notes


def pack(*events: Row) -> bytes:
    return b"".join(struct.pack("<II", t % RANGE, x | y << 14 | p << 28) for x, y, t, p in events)


@pytest.fixture(scope="module", params=["ncars.dat", "ncars_obj_004397_td.dat"])
def recording(test_data: Path, request: pytest.FixtureRequest) -> Path:
    return test_data / "events" / request.param


@pytest.mark.filterwarnings("ignore:.*times decrease")
@settings(deadline=None)
@given(
    times=st.lists(st.one_of(st.integers(0, 9), st.integers(RANGE - 9, RANGE - 1), st.integers(0, RANGE - 1))),
    data=st.data(),
    version=st.sampled_from([0, 1, 2]),
)
def test_random_events_are_decoded_as_by_the_reference_decoder(
    folder: Path, times: list[int], data: st.DataObject, version: int
) -> None:
    pixels = st.one_of(
        st.integers(0, RANGE - 1), st.builds(lambda x, y, p: x | y << 14 | p << 28, *3 * [st.integers(0, 1)])
    )
    raw = b"".join(struct.pack("<II", time, data.draw(pixels)) for time in times)
    path = folder / "any.dat"
    path.write_bytes((f"% Version {version}\n" if version else "% Data file\n").encode() + CD + raw)
    stream = DatReader().read(path, size=(400, 300))
    assert (list_events(stream), stream.notes) == decode(raw, 400, 300, max(version, 1))


@settings(deadline=None)
@given(stream=event_streams(st.integers(0, RANGE - 1), st.integers(1, 16384), st.integers(1, 16384)))
def test_a_written_recording_is_read_back(folder: Path, stream: EventStream) -> None:
    path = folder / "round.dat"
    DatReader().write(stream, path)
    again = DatReader().read(path)
    assert list_events(again) == list_events(stream)
    assert (again.width, again.height, again.notes) == (stream.width, stream.height, {})


def test_a_written_recording_is_the_same_in_expelliarmus_and_faery(tmp_path: Path) -> None:
    faery, expelliarmus = pytest.importorskip("faery"), pytest.importorskip("expelliarmus")
    random = np.random.default_rng(0)
    times = np.sort(random.integers(0, RANGE, 500))
    x, y, p = random.integers(0, 1280, 500), random.integers(0, 720, 500), random.integers(0, 2, 500)
    DatReader().write(EventStream(x, y, times, p, 1280, 720), tmp_path / "ours.dat")
    theirs = faery.events_stream_from_file(str(tmp_path / "ours.dat"))
    assert theirs.dimensions() == (1280, 720)
    for name, column in (("x", x), ("y", y), ("t", times), ("on", p)):
        assert np.array_equal(theirs.to_array()[name], column), name
    theirs = expelliarmus.Wizard(encoding="dat").read(tmp_path / "ours.dat")
    for name, column in (("x", x), ("y", y), ("p", p)):
        assert np.array_equal(theirs[name], column), name


def test_real_recordings_have_the_expected_events_on_the_sensor_of_n_cars(test_data: Path) -> None:
    for name, count in (("ncars.dat", 2_009), ("ncars_obj_004397_td.dat", 4_407)):
        stream = DatReader().read(test_data / "events" / name)
        assert (len(stream), stream.width, stream.height, stream.notes) == (count, 120, 100, {})


def test_a_real_recording_is_rewritten_byte_for_byte(recording: Path, tmp_path: Path) -> None:
    stream = DatReader().read(recording)
    DatReader().write(stream, tmp_path / "again.dat")
    assert (tmp_path / "again.dat").read_bytes()[-8 * len(stream) :] == recording.read_bytes()[-8 * len(stream) :]


def test_clock_wraps_are_unwrapped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "round.dat"
    path.write_bytes(HEADER + CD + pack((1, 2, RANGE - 5, True), (3, 4, 3, False), (5, 6, 7, True)))
    stream = DatReader().read(path)
    assert list_events(stream) == [(1, 2, RANGE - 5, True), (3, 4, RANGE + 3, False), (5, 6, RANGE + 7, True)]
    assert stream.notes == {"clock_wraps": 1}


@pytest.mark.parametrize("damaged", [0, 2**31 - 1, 2**31 + 1001, 2**32 - 1])
def test_a_damaged_time_shifts_later_ones_by_at_most_one_clock_range(tmp_path: Path, damaged: int) -> None:
    path = tmp_path / "damaged.dat"
    path.write_bytes(HEADER + CD + pack((1, 1, 1000, True), (1, 1, damaged, True), (1, 1, 1001, True)))
    assert DatReader().read(path).t[2] in (1001, damaged, 1001 + RANGE)


def test_event_type_0_of_older_software_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.dat"
    path.write_bytes(b"% Data file containing Event2D events.\n% Version 2\n\x00\x08" + pack((303, 239, 5, True)))
    stream = DatReader().read(path)
    assert (list_events(stream), stream.width, stream.height) == ([(303, 239, 5, True)], 304, 240)


@pytest.mark.parametrize("message", [b"\x0e\x08", b"\x0c\x10", b"\x01\x04"])
def test_events_without_pixels_are_an_error_that_names_the_byte(tmp_path: Path, message: bytes) -> None:
    path = tmp_path / "triggers.dat"
    path.write_bytes(HEADER + message + bytes(8))
    with pytest.raises(
        BadInput, match=rf"triggers\.dat.*byte {len(HEADER)}, .*type {message[0]} and {message[1]} bytes"
    ):
        DatReader().read(path)


@pytest.mark.parametrize("rest", [b"", b"\x0c"])
def test_a_file_truncated_before_its_events_is_an_error_that_names_the_byte(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "short.dat"
    path.write_bytes(HEADER + rest)
    with pytest.raises(BadInput, match=rf"short\.dat: truncated at byte {len(HEADER)}"):
        DatReader().read(path)


@pytest.mark.parametrize(
    ("times", "size", "message"),
    [
        ([0, 0], (16385, 10), "16385x10.*npz"),
        ([0, 0], (10, 16385), "10x16385.*npz"),
        ([0, RANGE], (34, 34), "4294967295 us"),
        ([-1, 5], (34, 34), "4294967295 us"),
    ],
)
def test_unsupported_sensor_sizes_and_times_are_not_written(
    tmp_path: Path, times: list[int], size: tuple[int, int], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        DatReader().write(EventStream([0, 0], [0, 0], times, [True, True], *size), tmp_path / "out.dat")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("head", "ours"),
    [
        (HEADER + CD, True),
        (b"% Version 2\n" + CD, True),
        (b"% Data file containing N9Chronocam7Event2dE events.\n% Version 2\n\x00\x08", True),
        (b"% Version 2\n\\documentclass", False),
        (b"% evt 2.0\n", False),
        (b"% format EVT3\n% Version 2\n", False),
        (CD + bytes(80), False),
        (b"x,y,t,p\n", False),
    ],
)
def test_the_format_is_detected_by_the_header(head: bytes, ours: bool) -> None:
    assert DatReader().sniff(head) is ours
