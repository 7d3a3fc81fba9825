"""AEDAT4: real recordings compared with two other readers, synthetic files of every kind, and damage."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind.reader import find_reader
from anybind_events.readers.aedat4 import Aedat4Reader, read_frames
from anybind_events.stream import EventStream
from helpers.streams import list_contents, read_or_error

EXPECTED_COUNTS = {"davis346_with_frames.aedat4": (78_830, 346, 260), "davis240.aedat4": (111_954, 320, 240)}
Event = tuple[int, int, int, int]
"""Time, column, row, polarity."""


def table(fields: Sequence[bytes | None], tail: bytes = b"", kind: bytes = b"EVTS", gap: int = 0) -> bytes:
    """Pack a FlatBuffer with its length in front: one table of these fields, followed by `tail`."""
    places, body = [], b""
    for field in fields:
        places.append(0 if field is None else 4 + gap + len(body))
        body += field or b""
    slots = struct.pack(f"<HH{len(places)}H", 4 + 2 * len(places), 4 + gap + len(body), *places)
    slots += bytes(-len(slots) % 4)
    start = 8 + len(slots)
    inner = struct.pack("<I", start) + kind + slots + struct.pack("<i", start - 8) + bytes(gap) + body + tail
    return struct.pack("<I", len(inner)) + inner


def event_packet(events: Sequence[Event], claimed: int | None = None, gap: int = 0) -> bytes:
    listed = b"".join(struct.pack("<qHHBxxx", *event) for event in events)
    count = struct.pack("<I", len(events) if claimed is None else claimed)
    return table([struct.pack("<I", 4)], count + listed, gap=gap)


def frame_packet(time: int, pixels: np.ndarray, kind: int) -> bytes:
    height, width = pixels.shape[:2]
    times = [struct.pack("<q", time)] + [None] * 4
    shape = [struct.pack("<bxxx", kind), struct.pack("<hxx", width), struct.pack("<hxx", height), None, None]
    listed = struct.pack("<I", pixels.size) + pixels.tobytes()
    return table([*times, *shape, struct.pack("<I", 4)], listed, kind=b"FRME")


def header(compression: int, table_at: int, xml: bytes) -> bytes:
    fields = [struct.pack("<i", compression), struct.pack("<q", table_at), struct.pack("<I", 4)]
    inner = table(fields, struct.pack("<I", len(xml)) + xml, kind=b"IOHE")[4:]
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(inner)) + inner


def source(number: int, kind: str, size: tuple[int, int] | None = (40, 30)) -> str:
    sides = f'<attr key="sizeX">{size[0]}</attr><attr key="sizeY">{size[1]}</attr>' if size else ""
    return f'<node name="{number}"><attr key="typeIdentifier">{kind}</attr><node name="info">{sides}</node></node>'


def make_xml(*sources: str) -> bytes:
    return f'<dv version="2.0"><node name="outInfo">{"".join(sources)}</node></dv>'.encode()


EVENTS_AND_FRAMES = make_xml(source(0, "EVTS"), source(1, "FRME"), source(2, "IMUS", None))
PACK = [bytes, lz4.frame.compress, lz4.frame.compress, zstandard.compress, zstandard.compress]


def recording(
    packets: Sequence[tuple[int, bytes]],
    compression: int = 1,
    xml: bytes = EVENTS_AND_FRAMES,
    closed: bool = True,
    table_bytes: bytes = b"a table",
) -> bytes:
    packed = [(number, PACK[compression](content)) for number, content in packets]
    body = b"".join(struct.pack("<iI", number, len(content)) + content for number, content in packed)
    start = len(header(compression, -1, xml))
    return header(compression, start + len(body) if closed else -1, xml) + body + (table_bytes if closed else b"")


@pytest.fixture
def read(tmp_path: Path):
    """Read bytes as a file of the format."""

    def read(raw: bytes, **options: object) -> EventStream:
        (tmp_path / "made.aedat4").write_bytes(raw)
        return Aedat4Reader().read(tmp_path / "made.aedat4", **options)

    return read


FIRST, SECOND = [(10, 1, 2, 1), (11, 39, 29, 0)], [(11, 3, 4, 1), (20, 5, 6, 1)]
TWO_PACKETS = [(0, event_packet(FIRST)), (2, b"inertial"), (0, event_packet(SECOND))]
BOTH = ([1, 39, 3, 5], [2, 29, 4, 6], [10, 11, 11, 20], [True, False, True, True], 40, 30)


@pytest.mark.parametrize("name", EXPECTED_COUNTS)
def test_a_real_recording_has_the_expected_events_and_sensor(test_data: Path, name: str) -> None:
    stream = anybind.read(test_data / "events" / name)
    assert (len(stream), stream.width, stream.height) == EXPECTED_COUNTS[name]
    assert stream.notes == {}


@pytest.mark.parametrize("name", EXPECTED_COUNTS)
def test_a_real_recording_matches_faery_and_aedat(test_data: Path, name: str) -> None:
    faery, aedat = pytest.importorskip("faery"), pytest.importorskip("aedat")
    path = test_data / "events" / name
    stream = Aedat4Reader().read(path)
    theirs = faery.events_stream_from_file(path).to_array()
    others = np.concatenate([packet["events"] for packet in aedat.Decoder(path) if "events" in packet])
    for column, on in ((theirs, "p"), (others, "on")):
        np.testing.assert_array_equal(stream.t, column["t"].astype(np.int64))
        np.testing.assert_array_equal(stream.x, column["x"])
        np.testing.assert_array_equal(stream.y, column["y"])
        np.testing.assert_array_equal(stream.p, column[on])


def test_a_real_recording_passes_the_stream_checks(test_data: Path) -> None:
    stream = Aedat4Reader().read(test_data / "events/davis240.aedat4")
    again = EventStream(stream.x, stream.y, stream.t, stream.p, stream.width, stream.height)
    assert len(again) == len(stream)


def test_frames_of_a_real_recording_match_aedat(test_data: Path) -> None:
    aedat = pytest.importorskip("aedat")
    path = test_data / "events/davis346_with_frames.aedat4"
    frames = read_frames(path)
    theirs = [packet["frame"] for packet in aedat.Decoder(path) if "frame" in packet]
    assert len(frames) == len(theirs) == 59
    for frame, their in zip(frames, theirs, strict=True):
        assert frame.start_us == their["t"]
        assert frame.image.shape == (260, 346, 3)
        np.testing.assert_array_equal(frame.image, np.repeat(their["pixels"][:, :, None], 3, axis=2))


def test_the_events_of_all_frames_add_up_to_the_recording(
    test_data: Path,
) -> None:
    path = test_data / "events/davis346_with_frames.aedat4"
    frames, whole = read_frames(path), Aedat4Reader().read(path)
    assert [frame.end_us for frame in frames[:-1]] == [frame.start_us for frame in frames[1:]]
    parts = [whole.between(frame.start_us, frame.end_us, absolute=True) for frame in frames]
    assert sum(map(len, parts)) == len(whole.between(frames[0].start_us, frames[-1].end_us, absolute=True))
    chosen = Aedat4Reader().read(path, frame=30)
    assert list_contents(chosen) == list_contents(parts[30])
    assert len(chosen) > 500


@pytest.mark.parametrize("compression", range(5))
def test_events_of_every_compression_are_read(read, compression: int) -> None:
    assert list_contents(read(recording(TWO_PACKETS, compression))) == BOTH


def test_events_of_any_table_layout_are_read(read) -> None:
    packets = [(0, event_packet(FIRST, gap=8)), (0, event_packet(SECOND))]
    assert list_contents(read(recording(packets))) == BOTH


def test_a_packet_without_an_event_list_has_no_events(read) -> None:
    assert list_contents(read(recording([(0, table([None])), *TWO_PACKETS]))) == BOTH


def test_a_recording_without_packets_is_empty_with_a_sensor_size(read) -> None:
    stream = read(recording([]))
    assert (len(stream), stream.width, stream.height) == (0, 40, 30)


@st.composite
def packets_of_events(draw: st.DrawFn) -> list[list[Event]]:
    event = st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 39), st.integers(0, 29), st.integers(0, 1))
    events = sorted(draw(st.lists(event, max_size=30)), key=lambda each: each[0])
    cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=4)))
    return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]


@settings(deadline=None)
@given(lists=packets_of_events(), compression=st.integers(0, 4), count=st.integers(1, 12))
def test_packed_events_are_read_whole_and_in_chunks(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[Event]], compression: int, count: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "packed.aedat4"
    path.write_bytes(recording([(0, event_packet(events)) for events in lists], compression))
    expected = [event for events in lists for event in events]
    stream = Aedat4Reader().read(path)
    assert list(zip(stream.t, stream.x, stream.y, stream.p, strict=True)) == expected
    parts = list(Aedat4Reader().chunks(path, count=count))
    assert [time for part in parts for time in part.t] == [event[0] for event in expected]
    assert all(len(part) >= count for part in parts[:-1])


def test_events_outside_the_sensor_are_dropped_and_counted(read) -> None:
    stream = read(recording([(0, event_packet([(1, 40, 0, 1), (2, 0, 30, 1), (3, 0xFFFF, 0, 1), (4, 7, 8, 0)]))]))
    assert list_contents(stream) == ([7], [8], [4], [False], 40, 30)
    assert stream.notes == {"outside": 3}


def test_decreasing_times_are_raised_and_counted_also_across_chunks(tmp_path: Path, read) -> None:
    raw = recording(
        [(0, event_packet([(10, 1, 1, 1), (7, 2, 2, 1)])), (0, event_packet([(9, 3, 3, 1), (12, 4, 4, 1)]))]
    )
    stream = read(raw)
    assert stream.t.tolist() == [10, 10, 10, 12]
    assert stream.notes == {"backwards": 2}
    parts = list(Aedat4Reader().chunks(tmp_path / "made.aedat4", count=1))
    assert [part.t.tolist() for part in parts] == [[10, 10], [10, 12]]
    assert [part.notes for part in parts] == [{"backwards": 1}, {"backwards": 1}]


def test_any_non_zero_polarity_is_on(read) -> None:
    stream = read(recording([(0, event_packet([(1, 0, 0, 2), (2, 0, 0, 0), (3, 0, 0, 255)]))]))
    assert stream.p.tolist() == [True, False, True]
    assert set(stream.p.view(np.uint8).tolist()) <= {0, 1}


def test_the_size_option_overrides_the_recorded_size(read) -> None:
    stream = read(recording(TWO_PACKETS), size=(10, 10))
    assert (stream.width, stream.height, stream.notes) == (10, 10, {"outside": 1})


def test_a_recording_without_a_sensor_size_needs_the_size_option(read) -> None:
    raw = recording(TWO_PACKETS, xml=make_xml(source(0, "EVTS", None), source(2, "IMUS")))
    with pytest.raises(BadInput, match=r"made\.aedat4.*size="):
        read(raw)
    assert list_contents(read(raw, size=(40, 30))) == BOTH


def test_several_event_streams_need_the_source_option(read) -> None:
    raw = recording(
        [(0, event_packet(FIRST)), (3, event_packet(SECOND))],
        xml=make_xml(source(3, "EVTS", (9, 9)), source(0, "EVTS")),
    )
    with pytest.raises(
        BadInput, match=r"made\.aedat4: events of 2 sources; choose one with source=: '3' \(9x9\), '0' \("
    ):
        read(raw)
    assert read(raw, source=0).t.tolist() == [10, 11]
    assert read(raw, source="3").t.tolist() == [11, 20]
    with pytest.raises(BadOption, match=r"no events of the source 1; there are: 0, 3"):
        read(raw, source=1)


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (16, 3), (24, 4)])
def test_gray_and_colour_frames_become_rgb(tmp_path: Path, kind: int, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, channels), dtype=np.uint8)
    (tmp_path / "made.aedat4").write_bytes(recording([(1, frame_packet(77, pixels, kind))]))
    (frame,) = read_frames(tmp_path / "made.aedat4")
    expected = np.repeat(pixels, 3, axis=2) if channels == 1 else pixels[:, :, [2, 1, 0]]
    np.testing.assert_array_equal(frame.image, expected)
    assert frame.start_us == 77


def test_the_last_frame_lasts_as_long_as_the_previous_one_or_for_ever(tmp_path: Path) -> None:
    path, gray = tmp_path / "made.aedat4", np.zeros((2, 2, 1), np.uint8)
    path.write_bytes(recording([*TWO_PACKETS, (1, frame_packet(11, gray, 0))]))
    assert Aedat4Reader().read(path, frame=0).t.tolist() == [11, 11, 20]
    path.write_bytes(recording([*TWO_PACKETS, (1, frame_packet(10, gray, 0)), (1, frame_packet(15, gray, 0))]))
    assert [(frame.start_us, frame.end_us) for frame in read_frames(path)] == [(10, 15), (15, 20)]


def test_a_missing_frame_is_an_error(read) -> None:
    with pytest.raises(BadOption, match=r"expected a frame from 0 to -1, got 0"):
        read(recording(TWO_PACKETS), frame=0)


def test_a_recording_without_frames_or_events_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "made.aedat4"
    path.write_bytes(recording(TWO_PACKETS, xml=make_xml(source(0, "EVTS"), source(2, "IMUS"))))
    with pytest.raises(BadInput, match=r"made\.aedat4.*no frames"):
        read_frames(path)
    path.write_bytes(recording([], xml=make_xml(source(2, "IMUS"))))
    with pytest.raises(BadInput, match=r"made\.aedat4.*no events"):
        Aedat4Reader().read(path)


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "never closed"])
def test_a_recording_truncated_at_any_byte_gives_its_complete_packets(tmp_path: Path, closed: bool) -> None:
    path, raw = tmp_path / "cut.aedat4", recording(TWO_PACKETS, 0, closed=closed)
    start = len(header(0, -1, EVENTS_AND_FRAMES))
    ends = [start]
    for _, content in TWO_PACKETS:
        ends.append(ends[-1] + 8 + len(content))
    for length in range(start, ends[-1]):
        path.write_bytes(raw[:length])
        if not closed and length in ends:  # the truncation is not detectable
            stream = Aedat4Reader().read(path, strict=True)
        else:
            with pytest.raises(BadInput, match=rf"cut\.aedat4: truncated.*byte {length}"):
                Aedat4Reader().read(path, strict=True)
            with pytest.warns(AnybindWarning, match=rf"cut\.aedat4: truncated.*byte {length}"):
                stream = Aedat4Reader().read(path)
            assert "truncated_bytes" in stream.notes
        assert stream.t.tolist() == ([] if length < ends[1] else [10, 11])


def test_a_recording_truncated_in_its_header_is_an_error(tmp_path: Path) -> None:
    raw = recording(TWO_PACKETS)
    for length in range(1, len(header(1, -1, EVENTS_AND_FRAMES))):
        (tmp_path / "cut.aedat4").write_bytes(raw[:length])
        with pytest.raises(BadInput, match=r"cut\.aedat4"):
            Aedat4Reader().read(tmp_path / "cut.aedat4")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (recording([(7, event_packet(FIRST))]), r"damaged packet at byte \d+: invalid stream"),
        (recording([(-1, event_packet(FIRST))]), r"damaged packet at byte \d+: invalid stream"),
        (recording([(0, event_packet(FIRST)[:-3])], 0), r"damaged packet at byte \d+.*list of events"),
        (recording([(0, event_packet(FIRST, claimed=2**32 - 1))]), r"damaged packet at byte \d+.*list of events"),
        (recording([(0, b"")], 0), r"damaged packet at byte \d+"),
        (recording([(0, b"\xff" * 40)]), r"damaged packet at byte \d+"),
        (recording([(0, table([struct.pack("<I", 2**31)]))]), r"damaged packet at byte \d+"),
        (
            recording([(0, event_packet(FIRST))]).replace(lz4.frame.compress(b"")[:4], b"none"),
            r"damaged packet at byte \d+",
        ),
        (header(9, -1, EVENTS_AND_FRAMES), r"unknown compression 9"),
        (header(0, -1, b"<dv><node>"), r"damaged header at byte 18"),
        (header(0, -1, b'<!DOCTYPE d [<!ENTITY e "e">]><dv></dv>'), r"damaged header at byte 18.*entities"),
        (header(0, -1, make_xml(source(0, "EVTS", (0, 0)).replace(">0<", ">many<"))), r"damaged header at byte 18"),
        (b"#!AER-DAT4.0\r\n" + struct.pack("<I", 8) + b"\xff" * 8, r"damaged header at byte 18"),
        (b"#!AER-DAT3.1\r\n", r"not an AEDAT4 recording"),
    ],
)
def test_damage_is_an_error_that_names_the_byte(read, raw: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=rf"made\.aedat4.*{message}"):
        read(raw)


@pytest.mark.parametrize("compression", [1, 3])
def test_an_incomplete_packet_is_an_error(read, compression: int) -> None:
    packed = PACK[compression](event_packet(FIRST * 50))[:-9]
    raw = header(compression, -1, EVENTS_AND_FRAMES) + struct.pack("<iI", 0, len(packed)) + packed
    with pytest.raises(BadInput, match=r"damaged packet at byte \d+"):
        read(raw)


def test_a_frame_with_missing_pixels_is_an_error(tmp_path: Path) -> None:
    packet = bytearray(frame_packet(5, np.zeros((4, 4, 1), np.uint8), 0))
    at = packet.index(struct.pack("<hxxhxx", 4, 4))
    packet[at : at + 2] = struct.pack("<h", 999)
    for content in (bytes(packet), frame_packet(5, np.zeros((4, 4, 1), np.uint8), 77)):
        (tmp_path / "made.aedat4").write_bytes(recording([(1, content)]))
        with pytest.raises(BadInput, match=r"made\.aedat4.*damaged packet at byte \d+"):
            read_frames(tmp_path / "made.aedat4")


def test_a_packet_with_a_false_unpacked_size_allocates_little_memory(read) -> None:
    packed = zstandard.ZstdCompressor().compress(event_packet(FIRST))
    false_packet = packed[:4] + b"\xe0" + struct.pack("<Q", 2**30) + packed[6:]  # eight bytes of content size
    raw = header(3, -1, EVENTS_AND_FRAMES) + struct.pack("<iI", 0, len(false_packet)) + false_packet
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"damaged packet at byte \d+"):
        read(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_a_packet_above_the_maximum_size_is_an_error(read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anybind_events.readers.aedat4_packets.MAX_PACKET_BYTES", 1000)
    with pytest.raises(BadInput, match=r"unpacks to more than 1000 bytes"):
        read(recording([(0, event_packet(FIRST * 100))], 3))


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """Return the file with flipped bits, removed bytes, or a piece copied to another position."""
    bent = bytearray(raw)
    for _ in range(rng.choice((1, 1, 4))):
        at, to = rng.randrange(len(bent)), rng.randrange(len(bent))
        match rng.randrange(4):
            case 0:
                bent[at] ^= 1 << rng.randrange(8)
            case 1:
                bent[at : at + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f"))
            case 2:
                del bent[at : at + rng.randrange(1, 40)]
            case _:
                bent[at : at + rng.randrange(30)] = bent[to : to + rng.randrange(30)]
        bent = bent or bytearray(b"#")
    return bytes(bent)


@pytest.mark.parametrize("compression", [0, 1, 3])
def test_a_mutated_recording_is_read_or_rejected(tmp_path: Path, compression: int) -> None:
    gray = np.zeros((3, 4, 1), np.uint8)
    raw, rng = recording([*TWO_PACKETS, (1, frame_packet(9, gray, 0))], compression), random.Random(compression)
    path = tmp_path / "bent.aedat4"
    for _ in range(300):
        path.write_bytes(mutated(raw, rng))
        got = read_or_error(Aedat4Reader().read, path)
        if isinstance(got, EventStream):
            EventStream(got.x, got.y, got.t, got.p, got.width, got.height)
        else:
            assert "bent.aedat4" in str(got)
        read_or_error(read_frames, path)


def test_a_mutated_real_recording_is_read_or_rejected(test_data: Path, tmp_path: Path) -> None:
    raw, rng = (test_data / "events/davis240.aedat4").read_bytes(), random.Random(0)
    path = tmp_path / "bent.aedat4"
    for _ in range(60):
        path.write_bytes(mutated(raw, rng))
        got = read_or_error(Aedat4Reader().read, path)
        assert isinstance(got, EventStream) or "bent.aedat4" in str(got)


def test_the_format_is_detected_by_the_first_line() -> None:
    assert Aedat4Reader().sniff(b"#!AER-DAT4.0\r\n...")
    assert not Aedat4Reader().sniff(b"#!AER-DAT3.1\r\n...")
    assert not Aedat4Reader().sniff(b"")


def test_the_reader_is_found_by_content(tmp_path: Path) -> None:
    (tmp_path / "recording.bin").write_bytes(recording(TWO_PACKETS))
    assert find_reader(tmp_path / "recording.bin").name == "aedat4"
    assert list_contents(anybind.read(tmp_path / "recording.bin")) == BOTH


@pytest.mark.parametrize("cut", [1, 5, 9, 40, 3000, 30_000])
def test_a_recording_truncated_in_a_packet_gives_the_packets_before(tmp_path: Path, cut: int) -> None:
    packets = [
        (0, event_packet([(time, 1, 1, 1) for time in range(start, start + 2500)])) for start in range(0, 7500, 2500)
    ]
    whole = recording(packets, compression=0, closed=False)
    (tmp_path / "cut.aedat4").write_bytes(whole[:-cut])
    with pytest.warns(anybind.AnybindWarning, match="truncated"):
        assert len(anybind.read(tmp_path / "cut.aedat4")) == 5000
