"""Event Stream: the real recording compared with another reader, synthetic files of both types, and invalid files."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput
from anybind.reader import find_reader
from anybind_events.readers.es import EsReader
from anybind_events.stream import EventStream
from helpers.streams import list_contents, read_or_error

DVS, ATIS = 1, 2
WIDTH, HEIGHT = 320, 240


def header(kind: int = DVS, version: int = 2, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    return b"Event Stream" + bytes((version, 0, 0, kind)) + width.to_bytes(2, "little") + height.to_bytes(2, "little")


def pixel(x: int, y: int) -> bytes:
    """Pack a pixel; rows are counted from the bottom in the file."""
    return x.to_bytes(2, "little") + (HEIGHT - 1 - y).to_bytes(2, "little")


def dvs(events: Iterable[tuple[int, int, int, int]]) -> bytes:
    """Encode (time, x, y, polarity), by the specification."""
    packed, now = header(DVS), 0
    for time, x, y, p in events:
        overflows, rest = divmod(time - now, 127)
        packed += b"\xff" * overflows + bytes((rest << 1 | p,)) + pixel(x, y)
        now = time
    return packed


def atis(events: Iterable[tuple[int, int, int, int, int]]) -> bytes:
    """Encode (time, x, y, polarity, exposure measurement), by the specification."""
    packed, now = header(ATIS), 0
    for time, x, y, p, exposure in events:
        overflows, rest = divmod(time - now, 63)
        while overflows:
            packed += bytes((0b11111100 | min(overflows, 3),))
            overflows -= min(overflows, 3)
        packed += bytes((rest << 2 | p << 1 | exposure,)) + pixel(x, y)
        now = time
    return packed


@pytest.fixture
def read(tmp_path: Path):
    def read(raw: bytes, **options: object) -> EventStream:
        (tmp_path / "made.es").write_bytes(raw)
        return EsReader().read(tmp_path / "made.es", **options)

    return read


def test_the_real_recording_has_the_expected_events_and_sensor(test_data: Path) -> None:
    stream = anybind.read(test_data / "events/dvs.es")
    assert (len(stream), stream.width, stream.height, stream.notes) == (473_225, 320, 240, {})


def test_the_real_recording_matches_faery(test_data: Path) -> None:
    faery = pytest.importorskip("faery")
    path = test_data / "events/dvs.es"
    theirs, stream = faery.events_stream_from_file(path).to_array(), EsReader().read(path)
    np.testing.assert_array_equal(stream.t, theirs["t"].astype(np.int64))
    for name in "xyp":
        np.testing.assert_array_equal(getattr(stream, name), theirs[name])


def test_chunks_of_the_real_recording_add_up_to_it(test_data: Path) -> None:
    path = test_data / "events/dvs.es"
    parts, whole = list(EsReader().chunks(path, count=100_000)), EsReader().read(path)
    assert [len(part) for part in parts] == [100_000] * 4 + [73_225]
    for name in "xytp":
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


events = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.booleans(), st.booleans()),
    max_size=40,
)


def add_times(steps: list[tuple[int, int, int, bool, bool]]) -> list[tuple[int, int, int, int, int]]:
    times = np.cumsum([step[0] for step in steps]).tolist()
    return [(time, x, y, int(p), int(e)) for time, (_, x, y, p, e) in zip(times, steps, strict=True)]


@settings(deadline=None)
@given(steps=events)
def test_dvs_events_are_read_back(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    path, written = tmp_path_factory.getbasetemp() / "dvs.es", [event[:4] for event in add_times(steps)]
    path.write_bytes(dvs(written))
    stream = EsReader().read(path)
    assert list(zip(stream.t, stream.x, stream.y, stream.p, strict=True)) == written


@settings(deadline=None)
@given(steps=events)
def test_atis_changes_are_read_and_exposures_are_counted(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    path, written = tmp_path_factory.getbasetemp() / "atis.es", add_times(steps)
    path.write_bytes(atis(written))
    stream = EsReader().read(path)
    changes = [event[:4] for event in written if not event[4]]
    assert list(zip(stream.t, stream.x, stream.y, stream.p, strict=True)) == changes
    assert stream.notes.get("skipped_exposures", 0) == len(written) - len(changes)


def test_a_row_is_counted_from_the_top(read) -> None:
    assert read(header() + bytes((0, 0, 0, 0, 0))).y.tolist() == [HEIGHT - 1]


def test_a_reset_byte_does_not_change_the_clock(read) -> None:
    assert read(dvs([(5, 1, 2, 1)]) + b"\xfe" + bytes((2,)) + pixel(1, 2)).t.tolist() == [5, 6]
    assert read(atis([(5, 1, 2, 1, 0)]) + b"\xfc" + bytes((4,)) + pixel(1, 2)).t.tolist() == [5, 6]


@pytest.mark.parametrize("place", [(WIDTH, 0), (0, HEIGHT), (65_535, 0), (0, 65_535), (40_000, 0)])
def test_an_event_outside_the_sensor_is_dropped_and_counted(read, place: tuple[int, int]) -> None:
    outside = bytes((2,)) + b"".join(each.to_bytes(2, "little") for each in place)
    stream = read(dvs([(5, 1, 2, 1)]) + outside + bytes((2,)) + pixel(3, 4))
    assert list_contents(stream) == ([1, 3], [2, 4], [5, 7], [True, False], WIDTH, HEIGHT)
    assert stream.notes == {"outside": 1}


def test_a_recording_truncated_at_any_byte_gives_its_complete_events(tmp_path: Path) -> None:
    path, raw = tmp_path / "cut.es", dvs([(5, 1, 2, 1), (200, 3, 4, 0), (201, 5, 6, 1)])
    whole = {20, 25, 26, 31, 36}  # after the header, an event, an overflow, and two more events
    for length in range(20, len(raw)):
        path.write_bytes(raw[:length])
        if length in whole:
            stream = EsReader().read(path, strict=True)
        else:
            with pytest.raises(BadInput, match=r"cut\.es: truncated.*byte \d+"):
                EsReader().read(path, strict=True)
            with pytest.warns(AnybindWarning, match=r"cut\.es: truncated.*byte \d+"):
                stream = EsReader().read(path)
            assert 0 < stream.notes["truncated_bytes"] < 5
        assert stream.t.tolist() == [5, 200, 201][: sum(length >= end for end in (25, 31, 36))]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (header(0), "type 0 .generic."),
        (header(4), "type 4 .colour."),
        (header(9), "type 9 .unknown."),
        (header(version=1), "expected Event Stream version 2, got 1"),
        (header()[:17], "truncated.*byte 17"),
        (header()[:13], "truncated.*byte 13"),
        (header(width=0), "0x240"),
        (b"Event Streak" + header()[12:], "not an Event Stream recording"),
    ],
)
def test_an_unsupported_file_is_an_error_with_the_reason(read, raw: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=rf"made\.es.*{message}"):
        read(raw)


@settings(deadline=None)
@given(data=st.binary(max_size=200), kind=st.sampled_from([DVS, ATIS]))
def test_random_bytes_after_a_header_are_read(tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any.es"
    path.write_bytes(header(kind) + data)
    stream = read_or_error(EsReader().read, path)
    assert isinstance(stream, EventStream)
    assert EventStream(stream.x, stream.y, stream.t, stream.p, WIDTH, HEIGHT).t.tolist() == stream.t.tolist()


def test_a_mutated_real_recording_is_read_or_rejected(test_data: Path, tmp_path: Path) -> None:
    raw, rng = (test_data / "events/dvs.es").read_bytes(), random.Random(0)
    for _ in range(40):
        bent = bytearray(raw)
        for _ in range(5):
            bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
        del bent[rng.randrange(1, len(bent)) :]
        (tmp_path / "bent.es").write_bytes(bent)
        got = read_or_error(EsReader().read, tmp_path / "bent.es")
        assert isinstance(got, EventStream) or "bent.es" in str(got)


def test_the_format_is_detected_by_the_first_bytes(tmp_path: Path) -> None:
    assert EsReader().sniff(header())
    assert not EsReader().sniff(b"Event Strea")
    (tmp_path / "recording.raw").write_bytes(dvs([(1, 2, 3, 1)]))
    assert find_reader(tmp_path / "recording.raw").name == "es"
