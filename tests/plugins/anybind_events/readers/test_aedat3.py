"""AEDAT 3.1 recordings, compared with a reference decoder."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind_events.readers import blocks
from anybind_events.readers.aedat3 import Aedat3Reader
from helpers.streams import Row, list_events

HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS240C\r\n#Start-Time: 2017-01-01\r\n#!END-HEADER\r\n"
POLARITY, SPECIAL, FRAME, IMU6 = 1, 0, 2, 3
Event = tuple[int, int, int, bool, bool]


def packet(kind: int, size: int, offset: int, overflow: int, number: int, body: bytes) -> bytes:
    return struct.pack("<hhiiiiii", kind, 1, size, offset, overflow, number, number, number) + body


def polarities(events: list[Event], overflow: int = 0) -> bytes:
    """Pack a packet of events (x, y, t, on, valid)."""
    body = b"".join(struct.pack("<Ii", x << 17 | y << 2 | p << 1 | valid, t) for x, y, t, p, valid in events)
    return packet(POLARITY, 8, 4, overflow, len(events), body)


def decode(packets: list[tuple[int, list[Event]] | bytes], width: int, height: int) -> tuple[list[Row], dict[str, int]]:
    """Decode packets (overflow, events); bytes are packets of another type."""
    rows, notes, latest = [], {}, 0
    count = lambda name: notes.update({name: notes.get(name, 0) + 1})  # noqa: E731
    for each in packets:
        if isinstance(each, bytes):
            count("skipped_packets")
            continue
        overflow, events = each
        for x, y, t, p, valid in events:
            if not valid:
                count("skipped_invalid")
            elif x >= width or y >= height:
                count("outside")
            else:
                if overflow * 2**31 + t < latest:
                    count("backwards")
                latest = max(latest, overflow * 2**31 + t)
                rows.append((x, y, latest, p))
    return rows, notes


NUMBERS = st.one_of(st.integers(0, 250), st.integers(0, 32767))
EVENTS = st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(0, 2**31 - 1), st.booleans(), st.booleans()), max_size=8)
OTHERS = st.tuples(st.sampled_from([SPECIAL, FRAME, IMU6, 7, 300]), st.binary(min_size=1, max_size=40)).map(
    lambda pair: packet(pair[0], len(pair[1]), 4, 0, 1, pair[1])
)
PACKETS = st.lists(st.one_of(st.tuples(st.integers(0, 3), EVENTS), OTHERS), max_size=8)


@pytest.mark.filterwarnings("ignore:.*times decrease")
@settings(deadline=None)
@given(packets=PACKETS, block=st.sampled_from([64, 100, 1 << 19]))
def test_random_packets_are_decoded_as_by_the_reference_decoder(folder: Path, packets: list, block: int) -> None:
    path = folder / "any.aedat"
    path.write_bytes(HEADER + b"".join(p if isinstance(p, bytes) else polarities(p[1], p[0]) for p in packets))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", block)
        stream = Aedat3Reader().read(path)
    assert (list_events(stream), stream.notes) == decode(packets, 240, 180)
    assert (stream.width, stream.height) == (240, 180)


def test_upper_clock_bits_come_from_the_packet(tmp_path: Path) -> None:
    path = tmp_path / "late.aedat"
    path.write_bytes(HEADER + polarities([(1, 2, 2**31 - 1, True, True)]) + polarities([(3, 4, 0, False, True)], 1))
    assert list_events(Aedat3Reader().read(path)) == [(1, 2, 2**31 - 1, True), (3, 4, 2**31, False)]


@pytest.mark.parametrize("cut", range(1, 44))
def test_a_file_truncated_after_its_header_gives_its_complete_events(tmp_path: Path, cut: int) -> None:
    events: list[Event] = [(1, 2, 3, True, True), (4, 5, 6, False, True)]
    path = tmp_path / "cut.aedat"
    path.write_bytes((HEADER + polarities(events))[:-cut])
    whole = 0 if cut > 16 else (16 - cut) // 8
    at = len(HEADER) + (28 + 8 * whole if cut <= 16 else 0)
    with pytest.warns(AnybindWarning, match=rf"cut\.aedat: truncated.*byte {at} "):
        stream = Aedat3Reader().read(path)
    assert list_events(stream) == [event[:4] for event in events[:whole]]
    assert stream.notes["truncated_bytes"] > 0
    with pytest.raises(BadInput, match=rf"byte {at} "):
        Aedat3Reader().read(path, strict=True)


@pytest.mark.parametrize(
    "broken",
    [
        packet(POLARITY, 12, 4, 0, 1, bytes(12)),
        packet(POLARITY, 8, 0, 0, 1, bytes(8)),
        packet(FRAME, 0, 4, 0, 1, b""),
        packet(FRAME, -8, 4, 0, 1, bytes(8)),
        packet(POLARITY, 8, 4, -1, 1, bytes(8)),
        packet(POLARITY, 8, 4, 0, -1, bytes(8)),
    ],
)
def test_an_invalid_packet_is_an_error_that_names_its_byte(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "corrupt.aedat"
    before = polarities([(1, 2, 3, True, True)])
    path.write_bytes(HEADER + before + broken)
    with pytest.raises(BadInput, match=rf"corrupt\.aedat: corrupt at byte {len(HEADER + before)}\b"):
        Aedat3Reader().read(path)


@pytest.mark.parametrize("end", [1, 40, len(HEADER) - 1])
def test_a_file_truncated_in_its_header_is_an_error(tmp_path: Path, end: int) -> None:
    path = tmp_path / "header.aedat"
    path.write_bytes(HEADER[:end])
    with pytest.raises(BadInput, match=r"header\.aedat: truncated at byte \d+, inside the header"):
        Aedat3Reader().read(path)


def test_compressed_packets_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "compressed.aedat"
    path.write_bytes(HEADER.replace(b"RAW", b"SerializedTS"))
    with pytest.raises(BadInput, match=r"compressed\.aedat: expected RAW packets, got SerializedTS"):
        Aedat3Reader().read(path)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (b"#Source 1: DVS128", (128, 128)),
        (b"#Source 1: DAVIS346B", (346, 260)),
        (b"#-Source 0: DVS128\r\n#Source 1: DAVIS640", (640, 480)),
        (b"#Source 1: File", (240, 180)),
    ],
)
def test_the_sensor_size_is_that_of_the_source_or_the_smallest_that_fits(
    tmp_path: Path, source: bytes, size: tuple[int, int]
) -> None:
    path = tmp_path / "source.aedat"
    events: list[Event] = [(200, 100, 3, True, True)] if size[0] > 128 else []
    path.write_bytes(HEADER.replace(b"#Source 1: DAVIS240C", source) + polarities(events))
    stream = Aedat3Reader().read(path)
    assert (stream.width, stream.height, len(stream)) == (*size, len(events))


def test_start_and_end_are_relative_to_the_first_event_or_on_the_recordings_clock(tmp_path: Path) -> None:
    path = tmp_path / "part.aedat"
    path.write_bytes(HEADER + polarities([(1, 2, t, True, True) for t in (10, 20, 30, 40)]))
    times = lambda **options: anybind.read(path, **options).t.tolist()  # noqa: E731
    assert times(start=10, end=30) == times(start=20, end=40, absolute=True) == [20, 30]
    assert times(start=15) == times(start=25, absolute=True) == [30, 40]
    assert times(end=1) == times(end=11, absolute=True) == [10]
    with pytest.warns(
        AnybindWarning, match=r"part\.aedat: no events from 50 us to 60 us, .*; it has events from 0 to 30"
    ):
        assert times(start=50, end=60) == []


SECOND_SOURCE = struct.pack("<hhiiiiii", POLARITY, 2, 8, 4, 0, 1, 1, 1) + struct.pack("<Ii", 7 << 17 | 8 << 2 | 1, 15)


@pytest.mark.parametrize("listed", [True, False])
def test_events_of_several_sources_are_never_merged(tmp_path: Path, listed: bool) -> None:
    path, header = tmp_path / "two.aedat", HEADER
    if listed:
        header = header.replace(b"DAVIS240C", b"DAVIS240C\r\n#Source 2: DVS128")
    else:
        header = header.replace(b"#Source 1: DAVIS240C\r\n", b"")
    first = polarities([(1, 2, 10, True, True)]) + polarities([(3, 4, 20, True, True)])
    path.write_bytes(header + first[:36] + SECOND_SOURCE + first[36:])
    names = r"'1' \(DAVIS240C\), '2' \(DVS128\)" if listed else "'1', '2'"
    with pytest.raises(BadInput, match=rf"two\.aedat: events of 2 sources; choose one with source=: {names}"):
        anybind.read(path)
    with pytest.raises(BadInput, match="2 sources"):
        list(anybind.read_chunks(path, count=10))
    for source, rows, width in ((1, [(1, 2, 10, True), (3, 4, 20, True)], 240), ("2", [(7, 8, 15, False)], 128)):
        stream = anybind.read(path, source=source)
        assert list_events(stream) == list_events(*anybind.read_chunks(path, source=source)) == rows
        assert stream.width == width or not listed
        assert stream.notes == {"skipped_packets": 3 - len(rows)}


def test_an_unknown_source_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "one.aedat"
    path.write_bytes(HEADER + polarities([(1, 2, 10, True, True)]))
    assert len(anybind.read(path, source=1)) == 1
    with pytest.raises(BadOption, match=r"one\.aedat: no events of the source 3; there are: 1"):
        anybind.read(path, source=3)
    with pytest.raises(BadOption, match="source: expected the number of a source, got 'left'"):
        anybind.read(path, source="left")
