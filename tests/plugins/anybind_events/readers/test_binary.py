"""Common behaviour of all binary formats: blocks, chunks, threads, damage, sensor sizes."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind.reader import find_reader
from anybind_events.examples import pack_aedat2, pack_aedat3, pack_evt2, pack_evt21
from anybind_events.readers import blocks
from anybind_events.readers.aedat2 import Aedat2Reader
from anybind_events.readers.aedat3 import Aedat3Reader
from anybind_events.readers.binary import BinaryReader
from anybind_events.readers.dat import DatReader
from anybind_events.readers.evt2 import Evt2Reader
from anybind_events.readers.evt3 import Evt3Reader
from anybind_events.readers.evt21 import Evt21Reader
from anybind_events.readers.nmnist import BinReader
from anybind_events.stream import EventStream
from helpers.streams import Row, list_events


class Format(NamedTuple):
    """A reader, a header with and one without a sensor size, and the packing of an event."""

    reader: BinaryReader
    sized: bytes
    unsized: bytes
    pack: Callable[[int, int, int, bool], bytes]


def pack_bin(x: int, y: int, t: int, p: bool) -> bytes:
    return bytes([x, y]) + (t | p << 23).to_bytes(3, "big")


def pack_dat(x: int, y: int, t: int, p: bool) -> bytes:
    return struct.pack("<II", t, x | y << 14 | p << 28)


def pack_evt3(x: int, y: int, t: int, p: bool) -> bytes:
    return struct.pack("<4H", 8 << 12 | t >> 12, 6 << 12 | t & 4095, y, 3 << 12 | p << 11 | x) + b"\x01\x50"


AEDAT3 = b"#!AER-DAT3.1\r\n#Source 1: %s\r\n#!END-HEADER\r\n"
AEDAT2 = b"#!AER-DAT2.0\r\n# AEChip: DAVIS240C\r\n"
FORMATS = {
    "bin": Format(BinReader(), b"", b"", pack_bin),
    "dat": Format(DatReader(), b"% Version 2\n% Width 240\n% Height 180\n\x0c\x08", b"% Version 2\n\x0c\x08", pack_dat),
    "evt2": Format(Evt2Reader(), b"% evt 2.0\n% geometry 240x180\n", b"% evt 2.0\n", pack_evt2),
    "evt21": Format(Evt21Reader(), b"% evt 2.1\n% geometry 240x180\n", b"% evt 2.1\n", pack_evt21),
    "evt3": Format(Evt3Reader(), b"% evt 3.0\n% geometry 240x180\n", b"% evt 3.0\n", pack_evt3),
    "aedat2": Format(Aedat2Reader(), AEDAT2, AEDAT2, pack_aedat2),
    "aedat3": Format(Aedat3Reader(), AEDAT3 % b"DAVIS240C", AEDAT3 % b"File", pack_aedat3),
}
EVENTS: list[Row] = [(i * 7 % 240, i * 5 % 180, i * 90, i % 3 == 0) for i in range(400)]


@pytest.fixture(params=FORMATS)
def binary_format(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


def write(path: Path, binary_format: Format, events: list[Row], header: bytes | None = None) -> Path:
    path.write_bytes(
        (binary_format.sized if header is None else header) + b"".join(binary_format.pack(*event) for event in events)
    )
    return path


def read_unless_refused(reader: BinaryReader, path: Path) -> EventStream | None:
    """Return the recording, or None if it is rejected with an error that names it."""
    try:
        return reader.read(path)
    except BadInput as error:
        refused = str(error)
    assert path.name in refused
    return None


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"bin"}))
def test_the_reader_is_found_by_content_and_gives_events(tmp_path: Path, name: str) -> None:
    result = find_reader(write(tmp_path / "found", FORMATS[name], EVENTS))
    assert (result.name, result.spec.modality) == (name, "event")


def test_the_columns_are_of_their_types_and_read_only(tmp_path: Path, binary_format: Format) -> None:
    stream = binary_format.reader.read(write(tmp_path / "made", binary_format, EVENTS))
    assert [getattr(stream, name).dtype for name in "xytp"] == [np.uint16, np.uint16, np.int64, np.bool_]
    assert not any(getattr(stream, name).flags.writeable for name in "xytp")
    assert list_events(stream) == EVENTS
    assert stream.notes == {}


@pytest.mark.parametrize("count", [1, 7, 64, 399, 400, 401, 10**9])
def test_chunks_have_the_requested_count_and_add_up_to_the_recording(
    tmp_path: Path, binary_format: Format, count: int
) -> None:
    parts = list(binary_format.reader.chunks(write(tmp_path / "made", binary_format, EVENTS), count=count))
    assert list_events(*parts) == EVENTS
    assert all(len(part) == count for part in parts[:-1])
    assert 0 < len(parts[-1]) <= count


@pytest.mark.parametrize("block", [64, 200, 1000])
@pytest.mark.parametrize("alone", [0, 1 << 24])
def test_block_size_and_threads_do_not_change_the_result(
    tmp_path: Path, binary_format: Format, block: int, alone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "made", binary_format, [*EVENTS, (9, 9, 5, True)])
    whole = binary_format.reader.read(path, size=(200, 150))
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block)
    monkeypatch.setattr(blocks, "PARALLEL_BLOCK_BYTES", block)
    monkeypatch.setattr(blocks, "SINGLE_THREAD_BYTES", alone)
    again = binary_format.reader.read(path, size=(200, 150))
    parts = list(binary_format.reader.chunks(path, count=50, size=(200, 150)))
    assert list_events(again) == list_events(*parts) == list_events(whole)
    assert again.notes == whole.notes
    assert {name: sum(part.notes.get(name, 0) for part in parts) for name in whole.notes} == whole.notes


def test_without_a_header_size_the_sensor_is_the_smallest_common_one_also_in_chunks(
    tmp_path: Path, binary_format: Format
) -> None:
    path = write(tmp_path / "made", binary_format, EVENTS, binary_format.unsized)
    whole = binary_format.reader.read(path)
    holding = [size for size in binary_format.reader.sensors if size[0] >= 240 and size[1] >= 180] or [(240, 180)]
    assert (whole.width, whole.height) == holding[0]
    for part in binary_format.reader.chunks(path, count=100):
        assert (part.width, part.height) == holding[0]


def test_events_outside_the_sensor_are_dropped_and_counted(tmp_path: Path, binary_format: Format) -> None:
    inside = [event for event in EVENTS if event[0] < 200 and event[1] < 150]
    stream = binary_format.reader.read(write(tmp_path / "made", binary_format, EVENTS), size=(200, 150))
    assert list_events(stream) == inside
    assert (stream.width, stream.height) == (200, 150)
    assert stream.notes == {"outside": len(EVENTS) - len(inside)}


def test_decreasing_times_are_raised_and_counted(tmp_path: Path, binary_format: Format) -> None:
    events = [(1, 1, 500, True), (2, 2, 499, True), (3, 3, 100, False), (4, 4, 501, True)]
    stream = binary_format.reader.read(write(tmp_path / "made", binary_format, events))
    assert list_events(stream) == [(1, 1, 500, True), (2, 2, 500, True), (3, 3, 500, False), (4, 4, 501, True)]
    assert stream.notes == {"backwards": 2}


def test_a_dropped_event_does_not_change_the_times_of_others(tmp_path: Path, binary_format: Format) -> None:
    if binary_format.reader is FORMATS["evt3"].reader:
        pytest.skip("its times come in words of their own")
    events = [(1, 1, 5, True), (239, 1, 900, True), (2, 2, 6, False)]
    assert list_events(binary_format.reader.read(write(tmp_path / "made", binary_format, events), size=(100, 100))) == [
        events[0],
        events[2],
    ]


def test_a_header_alone_is_a_recording_without_events(tmp_path: Path, binary_format: Format) -> None:
    path = write(tmp_path / "made", binary_format, [])
    assert len(binary_format.reader.read(path)) == 0
    (part,) = binary_format.reader.chunks(path, count=10)
    assert len(part) == 0


def test_a_truncated_file_gives_its_complete_events_whole_and_in_chunks(tmp_path: Path, binary_format: Format) -> None:
    path = write(tmp_path / "made", binary_format, EVENTS[:9])
    size = len(binary_format.pack(*EVENTS[0]))
    raw = path.read_bytes()
    cuts = {}
    for cut in range(1, size):
        path.write_bytes(raw[:-cut])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stream = binary_format.reader.read(path)
            parts = list(binary_format.reader.chunks(path, count=3))
        assert list_events(stream) == list_events(*parts) == EVENTS[:8]
        kinds = {(each.category, ": truncated" in str(each.message)) for each in caught}
        assert kinds <= {(AnybindWarning, True)}
        assert bool(caught) == ("truncated_bytes" in stream.notes) == ("truncated_bytes" in parts[-1].notes)
        cuts[cut] = bool(caught)
        if caught:
            with pytest.raises(BadInput, match=r"made: truncated: the data at byte \d+ "):
                binary_format.reader.read(path, strict=True)
            with pytest.raises(BadInput, match=": truncated"):
                list(binary_format.reader.chunks(path, count=3, strict=True))
    # A truncation between two words is not detectable in formats with several words per event.
    assert cuts[1]


@pytest.mark.parametrize("suffix", ["npz", "txt", "csv", "h5", "aedat4", "dat", "raw"])
def test_the_size_of_every_format_can_be_a_text_as_on_the_command_line(tmp_path: Path, suffix: str) -> None:
    x, y, t, p = map(np.array, zip(*EVENTS, strict=True))
    path = tmp_path / f"made.{suffix}"
    anybind.write(EventStream(x, y, t, p, 240, 180), path)
    stream = anybind.read(path, size="1280x720")
    assert (stream.width, stream.height) == (1280, 720)
    for wrong in ("1280", "1280x", "12x-7", "1280x720x3", "ax b"):
        with pytest.raises(BadOption, match="such as 640x480"):
            anybind.read(path, size=wrong)


@pytest.mark.parametrize("size", [(0, 10), (10, 65536), (-1, 5), (3,), (1, 2, 3)])
def test_an_invalid_size_is_an_error(tmp_path: Path, binary_format: Format, size: tuple[int, ...]) -> None:
    with pytest.raises(BadOption, match=r"size: expected width and height"):
        binary_format.reader.read(write(tmp_path / "made", binary_format, EVENTS), size=size)  # pyright: ignore[reportArgumentType]


def test_events_outside_every_common_sensor_need_the_size_option(tmp_path: Path) -> None:
    path = write(tmp_path / "made", FORMATS["evt2"], [(2000, 1500, 1, True)], b"% evt 2.0\n")
    for read in (Evt2Reader().read, lambda path: list(Evt2Reader().chunks(path, count=1))):
        with pytest.raises(BadInput, match=r"column 2000 or row 1500 .*size="):
            read(path)
    assert list_events(Evt2Reader().read(path, size=(2048, 2048))) == [(2000, 1500, 1, True)]


def test_notes_belong_to_the_chunk_of_their_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 8 * 10)
    events = [(i, 0, 100 if i == 25 else 10 * i, True) for i in range(60)]
    parts = list(DatReader().chunks(write(tmp_path / "made", FORMATS["dat"], events), count=10))
    assert [dict(part.notes) for part in parts] == [{}, {}, {"backwards": 1}, {}, {}, {}]


def test_the_start_time_of_the_header_is_added_once(tmp_path: Path) -> None:
    path = write(tmp_path / "made", FORMATS["dat"], EVENTS, b"% Version 2\n% T0 5000000\n\x0c\x08")
    moved = [(x, y, t + 5_000_000, p) for x, y, t, p in EVENTS]
    assert list_events(DatReader().read(path)) == list_events(*DatReader().chunks(path, count=60)) == moved


def test_unread_chunks_do_not_keep_the_file_open(tmp_path: Path) -> None:
    path = write(tmp_path / "made", FORMATS["dat"], EVENTS)
    parts = DatReader().chunks(path, count=60)
    assert len(next(parts)) == 60
    parts.close()
    with pytest.raises(StopIteration):
        next(parts)


def test_a_growing_file_is_read_to_its_end(tmp_path: Path, binary_format: Format) -> None:
    path = write(tmp_path / "made", binary_format, EVENTS[:20])
    with path.open("rb") as file:
        run = binary_format.reader._start_pass(file, path, None)
        write(path, binary_format, EVENTS)
        columns = blocks.EventColumns(run, 20)
        while run.decode_block(columns):
            pass
    assert list_events(columns.build_stream((240, 180), {})) == EVENTS


def test_memory_is_bounded_by_the_data_and_not_by_the_header(tmp_path: Path) -> None:
    claims = AEDAT3 % b"File" + struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, 2**31 - 1, 2**31 - 1, 2**31 - 1)
    (tmp_path / "claims").write_bytes(claims)
    (tmp_path / "wide").write_bytes(b"% evt 2.0\n% geometry 2048x2048\n" + bytes(40))
    tracemalloc.start()
    try:
        with pytest.warns(AnybindWarning, match="truncated"):
            Aedat3Reader().read(tmp_path / "claims")
        Evt2Reader().read(tmp_path / "wide")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_chunks_of_a_large_file_need_the_memory_of_a_block(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(FORMATS["dat"].sized + FORMATS["dat"].pack(1, 1, 1, True) * 3_000_000)
    tracemalloc.start()
    try:
        assert sum(len(part) for part in DatReader().chunks(path, count=1000)) == 3_000_000
        assert tracemalloc.get_traced_memory()[1] < 12 << 20  # the file has 24 MB
    finally:
        tracemalloc.stop()


def test_dense_vectors_with_several_events_per_word_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = [8 << 12, 3 << 12, *[4 << 12 | 4095] * 100] * 60
    path = tmp_path / "dense"
    path.write_bytes(b"% evt 3.0\n% geometry 1280x720\n" + np.array(text, "<u2").tobytes())
    whole = Evt3Reader().read(path)
    assert len(whole) == 60 * 1200
    assert np.array_equal(whole.x, np.tile(np.arange(1200), 60))
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 256)
    monkeypatch.setattr(blocks, "PARALLEL_BLOCK_BYTES", 256)
    monkeypatch.setattr(blocks, "SINGLE_THREAD_BYTES", 0)
    assert list_events(Evt3Reader().read(path)) == list_events(whole)


@settings(deadline=None, max_examples=150)
@given(name=st.sampled_from(sorted(FORMATS)), data=st.data())
def test_a_damaged_file_is_read_or_rejected(folder: Path, name: str, data: st.DataObject) -> None:
    binary_format = FORMATS[name]
    raw = bytearray(
        write(folder / "sound", binary_format, EVENTS[:60], data.draw(st.sampled_from(binary_format[1:3]))).read_bytes()
    )
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), min_size=1, max_size=8)
    ):
        raw[at] = value
    first, last = sorted(data.draw(st.tuples(*2 * [st.integers(0, len(raw))])))
    path = folder / "damaged"
    path.write_bytes(raw[:first] + raw[last:] if data.draw(st.booleans()) else raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnybindWarning)
        stream = read_unless_refused(binary_format.reader, path)
        if stream is None:
            return
        EventStream(stream.x, stream.y, stream.t, stream.p, stream.width, stream.height)  # checks the columns
        assert list_events(*binary_format.reader.chunks(path, count=13)) == list_events(stream)


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("nmnist.bin", BinReader()),
        ("ncars.dat", DatReader()),
        ("evt2.raw", Evt2Reader()),
        ("evt3_small.raw", Evt3Reader()),
        ("dvs128_walking.aedat", Aedat2Reader()),
    ],
)
def test_a_real_recording_with_flipped_bits_is_read_or_rejected_in_bounded_memory(
    test_data: Path, tmp_path: Path, name: str, reader: BinaryReader
) -> None:
    sound = np.fromfile(test_data / "events" / name, np.uint8)
    random = np.random.default_rng(0)
    for _ in range(10):
        bent = sound.copy()
        at = random.integers(0, len(bent), random.integers(1, 40))
        bent[at] ^= (1 << random.integers(0, 8, len(at))).astype(np.uint8)
        path = tmp_path / name
        path.write_bytes(bent[: random.integers(len(bent) // 2, len(bent))].tobytes())
        tracemalloc.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnybindWarning)
            stream = read_unless_refused(reader, path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 4 * len(bent) + (64 << 20)
        if stream is not None:
            EventStream(stream.x, stream.y, stream.t, stream.p, stream.width, stream.height)
