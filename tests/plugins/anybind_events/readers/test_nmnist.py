"""`.bin` recordings of N-MNIST and N-Caltech101, against a decoder that reads them event by event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput
from anybind.reader import find_reader
from anybind_events.readers.nmnist import BinReader
from anybind_events.stream import EventStream
from helpers.streams import event_streams, list_events


@pytest.fixture(scope="session")
def recording(test_data: Path) -> Path:
    return test_data / "events" / "nmnist.bin"


def decode(raw: bytes) -> list[tuple[int, int, int, bool]]:
    """Decode events (x, y, t, p) of a .bin file one by one, by the dataset's description."""
    events, clock = [], 0
    for at in range(0, len(raw), 5):
        x, y, word = raw[at], raw[at + 1], int.from_bytes(raw[at + 2 : at + 5], "big")
        if y == 240:
            clock += 8192
        else:
            events.append((x, y, clock + word % 2**23, word >= 2**23))
    return events


def repair_events(
    events: list[tuple[int, int, int, bool]], width: int, height: int
) -> list[tuple[int, int, int, bool]]:
    """Return the events inside the sensor, with decreasing times raised to the previous one."""
    settled, latest = [], -1
    for x, y, t, p in events:
        if x < width and y < height:
            latest = max(latest, t)
            settled.append((x, y, latest, p))
    return settled


def pack(*events: tuple[int, int, int, bool]) -> bytes:
    return b"".join(bytes([x, y]) + (t | p << 23).to_bytes(3, "big") for x, y, t, p in events)


def test_a_real_recording_has_the_expected_first_event(recording: Path) -> None:
    # The file begins with 07 0f 80 02 8e: x 7, y 15, then the polarity bit and 0x00028e = 654 us.
    assert list_events(anybind.read(recording))[0] == (7, 15, 654, True)


def test_a_real_recording_has_all_its_events_on_a_sensor_of_34_by_34(recording: Path) -> None:
    stream = anybind.read(recording)
    assert len(stream) == 4325
    assert (stream.width, stream.height) == (34, 34)


def test_a_real_recording_is_decoded_as_by_the_reference_decoder(recording: Path) -> None:
    assert list_events(anybind.read(recording)) == decode(recording.read_bytes())


def test_a_real_recording_is_rewritten_byte_for_byte(recording: Path, tmp_path: Path) -> None:
    anybind.write(anybind.read(recording), tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == recording.read_bytes()


@settings(deadline=None)
@given(stream=event_streams(st.integers(0, 2**23 - 1), st.integers(1, 256), st.integers(1, 240)).filter(len))
def test_a_written_recording_is_read_back(folder: Path, stream: EventStream) -> None:
    path = folder / "round.bin"
    BinReader().write(stream, path)
    again = BinReader().read(path, size=(stream.width, stream.height))
    assert list_events(again) == list_events(stream)
    assert (again.width, again.height) == (stream.width, stream.height)


@settings(deadline=None)
@given(stream=event_streams(st.integers(0, 2**23 - 1), st.integers(1, 256), st.integers(1, 240)).filter(len))
def test_a_written_file_is_the_same_in_the_reference_decoder(folder: Path, stream: EventStream) -> None:
    path = folder / "other.bin"
    BinReader().write(stream, path)
    assert decode(path.read_bytes()) == list_events(stream)


def test_a_recording_without_events_is_not_written_as_an_empty_file(tmp_path: Path) -> None:
    empty = EventStream(*(np.zeros(0, int),) * 3, np.zeros(0, bool), 34, 34)
    with pytest.raises(BadInput, match="choose another ending"):
        anybind.write(empty, tmp_path / "e.bin")


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_recording_truncated_in_an_event_gives_the_complete_ones_and_names_the_byte(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.bin"
    path.write_bytes(pack((1, 2, 3, True), (4, 5, 6, False), (7, 8, 9, True))[: 10 + cut])
    with pytest.warns(AnybindWarning, match=r"cut\.bin: truncated.*byte 10\b"):
        stream = anybind.read(path)
    assert list_events(stream) == [(1, 2, 3, True), (4, 5, 6, False)]
    assert stream.notes == {"truncated_bytes": cut}


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_recording_truncated_in_an_event_is_an_error_when_strict(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.bin"
    path.write_bytes(pack((1, 2, 3, True), (4, 5, 6, False), (7, 8, 9, True))[: 10 + cut])
    with pytest.raises(BadInput, match=r"cut\.bin: truncated.*byte 10\b"):
        anybind.read(path, strict=True)


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from([0, 33, 239, 240]), st.integers(0, 100), st.booleans()), max_size=20))
def test_row_240_is_a_clock_overflow_of_8192_us(folder: Path, steps: list[tuple[int, int, bool]]) -> None:
    # Times grow by the steps, so that no recording runs backwards.
    times = np.cumsum([0, *(step for _, step, _ in steps)]).tolist()[1:]
    raw = pack(*((row % 7, row, time, p) for (row, _, p), time in zip(steps, times, strict=True)))
    path = folder / "overflow.bin"
    path.write_bytes(raw)
    read = list_events(BinReader().read(path))
    assert read == decode(raw)
    assert len(read) == sum(row != 240 for row, _, _ in steps)


def test_an_event_after_two_overflows_is_16384_us_later(tmp_path: Path) -> None:
    path = tmp_path / "overflow.bin"
    path.write_bytes(pack((1, 1, 8000, True), (0, 240, 8191, False), (0, 240, 8191, False), (2, 2, 5, True)))
    stream = anybind.read(path)
    assert list_events(stream) == [(1, 1, 8000, True), (2, 2, 16_389, True)]
    assert stream.notes == {"clock_wraps": 2}


@pytest.mark.parametrize(
    ("x", "y", "size"),
    [
        (33, 33, (34, 34)),
        (34, 0, (240, 180)),
        (0, 34, (240, 180)),
        (239, 179, (240, 180)),
        (240, 0, (304, 240)),
        (0, 180, (304, 240)),
        (255, 239, (304, 240)),
    ],
)
def test_the_sensor_is_the_smallest_common_one_that_fits(tmp_path: Path, x: int, y: int, size: tuple[int, int]) -> None:
    path = tmp_path / "sensor.bin"
    path.write_bytes(pack((0, 0, 1, True), (x, y, 2, True), (0, 0, 3, True)))
    stream = anybind.read(path)
    assert (stream.width, stream.height) == size


def test_the_size_option_sets_the_sensor_size(tmp_path: Path) -> None:
    path = tmp_path / "sensor.bin"
    path.write_bytes(pack((3, 4, 1, True)))
    stream = anybind.read(path, size=(100, 50))
    assert (stream.width, stream.height) == (100, 50)


def test_an_event_outside_the_given_size_is_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "sensor.bin"
    path.write_bytes(pack((3, 4, 1, True), (3, 50, 9, True), (5, 6, 3, False)))
    stream = anybind.read(path, size=(100, 50))
    assert list_events(stream) == [(3, 4, 1, True), (5, 6, 3, False)]
    assert stream.notes == {"outside": 1}


def test_an_event_outside_every_sensor_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "beyond.bin"
    path.write_bytes(pack((3, 4, 1, True), (3, 241, 2, True)))
    with pytest.raises(BadInput, match=r"beyond\.bin.*row 241.*size="):
        anybind.read(path)


def test_a_decreasing_time_is_raised_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "backwards.bin"
    path.write_bytes(pack((1, 1, 500, True), (2, 2, 499, True), (3, 3, 400, False), (4, 4, 501, True)))
    stream = anybind.read(path)
    assert list_events(stream) == [(1, 1, 500, True), (2, 2, 500, True), (3, 3, 500, False), (4, 4, 501, True)]
    assert stream.notes == {"backwards": 2}


@settings(deadline=None)
@given(raw=st.lists(st.binary(min_size=5, max_size=5), max_size=9).map(b"".join))
def test_random_bytes_are_decoded_as_by_the_reference_decoder(folder: Path, raw: bytes) -> None:
    path = folder / "random.bin"
    path.write_bytes(raw)
    assert list_events(BinReader().read(path, size=(200, 230))) == repair_events(decode(raw), 200, 230)
    if all(y <= 240 for y in raw[1::5]):
        assert list_events(BinReader().read(path)) == repair_events(decode(raw), 256, 240)
    else:
        with pytest.raises(BadInput, match=r"random\.bin"):
            BinReader().read(path)


def test_recordings_match_the_reader_of_tonic(recording: Path) -> None:
    tonic = pytest.importorskip("tonic.io")
    dtype = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])
    theirs, ours = tonic.read_mnist_file(str(recording), dtype=dtype), anybind.read(recording)
    assert all(np.array_equal(getattr(ours, name), theirs[name]) for name in "xytp")


@pytest.mark.parametrize("first", [(66, 77, 1000, True), (80, 75, 0x030400, False)], ids=["bitmap", "zip archive"])
def test_a_recording_that_resembles_another_format_is_read_by_its_suffix(
    tmp_path: Path, first: tuple[int, int, int, bool]
) -> None:
    # The pixel (66, 77) reads "BM" as text: on N-Caltech101's sensor a first event that does occur.
    path = tmp_path / "unlucky.bin"
    path.write_bytes(pack(first, *((x, 100, 0x030400 + x, True) for x in range(100))))
    assert list_events(anybind.read(path)) == decode(path.read_bytes())


@pytest.mark.parametrize(
    ("times", "size", "message"),
    [
        ([0, 0], (257, 34), "257x34.*npz"),
        ([0, 0], (34, 241), "34x241.*npz"),
        ([0, 0], (304, 240), "304x240.*npz"),
        ([0, 2**23], (34, 34), "8388607 us"),
        ([-1, 5], (34, 34), "8388607 us"),
    ],
)
def test_unsupported_sensor_sizes_and_times_are_not_written(
    tmp_path: Path, times: list[int], size: tuple[int, int], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        anybind.write(EventStream([0, 0], [0, 0], times, [True, True], *size), tmp_path / "out.bin")
    assert list(tmp_path.iterdir()) == []


def test_the_largest_sensor_and_the_latest_time_of_the_format_are_written(tmp_path: Path) -> None:
    anybind.write(EventStream([255], [239], [2**23 - 1], [True], 256, 240), tmp_path / "limit.bin")
    assert (tmp_path / "limit.bin").read_bytes() == b"\xff\xef\xff\xff\xff"


def test_the_reader_is_found_by_suffix(tmp_path: Path) -> None:
    path = tmp_path / "RECORDING.BIN"
    path.write_bytes(pack((1, 1, 500, True)))
    result = find_reader(path)
    assert (result.name, result.spec.modality) == ("nmnist-bin", "event")


def test_a_file_of_another_suffix_is_read_with_the_reader_option(tmp_path: Path) -> None:
    path = tmp_path / "recording.dat"
    path.write_bytes(pack((1, 1, 500, True)))
    assert list_events(anybind.read(path, reader="nmnist-bin")) == [(1, 1, 500, True)]


FOREIGN = {
    "random bytes": np.random.default_rng(0).integers(0, 240, 5000, dtype=np.uint8).tobytes(),
    "float32 weights": np.random.default_rng(1).normal(size=2000).astype("<f4").tobytes(),
    "int32 records": np.arange(2000, dtype="<i4").tobytes(),
    "64-bit words": np.random.default_rng(2).integers(0, 2**62, 1000).tobytes(),
}
"""Contents of `.bin` files of other programs."""


@pytest.mark.parametrize("content", FOREIGN)
def test_a_file_whose_times_run_backwards_is_not_a_recording(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(FOREIGN[content])
    message = r"weights\.bin: not a recording of this format: \d+ of \d+ times are below the previous one; expected"
    with pytest.raises(BadInput, match=message):
        anybind.read(path, size=(255, 255))
    with pytest.raises(BadInput, match=message):
        list(anybind.read_chunks(path, count=10, size=(255, 255)))


def test_a_recording_with_some_decreasing_times_is_read(tmp_path: Path) -> None:
    path = tmp_path / "jitter.bin"
    times = [10 * i - 15 * (i % 5 == 0) for i in range(1, 1000)]
    path.write_bytes(pack(*((1, 2, time, True) for time in times)))
    stream = anybind.read(path)
    assert len(stream) == 999
    assert stream.notes == {"backwards": 199}


def test_one_damaged_time_does_not_reject_a_recording(tmp_path: Path) -> None:
    # All later times are below the damaged one, but not below the previous one.
    path = tmp_path / "damaged.bin"
    path.write_bytes(pack((1, 2, 2**23 - 1, True), *((1, 2, time, True) for time in range(500))))
    with pytest.warns(AnybindWarning, match="500 of 501 times decrease"):
        assert anybind.read(path).notes == {"backwards": 500}
