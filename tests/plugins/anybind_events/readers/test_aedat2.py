"""AEDAT 2.0 recordings, against a decoder that reads them event by event.

No installed reader decodes these addresses: the reference is this plain transcription of iniVation's description
and of how jAER, which wrote the real recordings, takes columns and the DVS128's polarity.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind_events.readers.aedat2 import Aedat2Reader
from helpers.streams import Row, list_events

FIRST = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
DVS128 = FIRST + b"# HardwareInterface: DVS128-V1 0298\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
DAVIS240 = FIRST + b"# HardwareInterface: DAVIS FX3 0002-INI\r\n# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r\n"
RANGE = 1 << 32


def decode(raw: bytes, width: int, height: int, davis: bool) -> tuple[list[Row], dict[str, int]]:
    """Decode the events of a file one by one."""
    events, notes, rounds, before, latest = [], {}, 0, 0, 0
    count = lambda name: notes.update({name: notes.get(name, 0) + 1})  # noqa: E731
    for address, time in struct.iter_unpack(">II", raw):
        if before - time > 2**31:
            rounds += 1
            count("clock_wraps")
        before = time
        if davis and address >= 2**31:
            count("skipped_imu_samples" if address >> 10 & 3 == 3 else "skipped_frame_samples")
            continue
        if address >> 10 & 1 if davis else address & 0x80008000:
            count("skipped_triggers")
            continue
        if davis:
            x, y, on = width - 1 - (address >> 12 & 1023), height - 1 - (address >> 22 & 511), address >> 11 & 1
        else:
            x, y, on = 127 - (address >> 1 & 127), 127 - (address >> 8 & 127), address & 1 == 0
        if x < 0 or y < 0:
            count("outside")
            continue
        if rounds * RANGE + time < latest:
            count("backwards")
        latest = max(latest, rounds * RANGE + time)
        events.append((x, y, latest, bool(on)))
    return events, notes


TIMES = st.one_of(st.integers(0, 9), st.integers(RANGE - 9, RANGE - 1), st.integers(0, RANGE - 1))
EVENTS = st.lists(st.tuples(st.one_of(st.integers(0, 2**15 - 1), st.integers(0, RANGE - 1)), TIMES), max_size=30)


@pytest.mark.filterwarnings("ignore:.*times decrease")
@settings(deadline=None)
@given(events=EVENTS, camera=st.sampled_from([(DVS128, 128, 128, False), (DAVIS240, 240, 180, True)]))
def test_random_events_are_decoded_as_by_the_reference_decoder(
    folder: Path, events: list[tuple[int, int]], camera: tuple[bytes, int, int, bool]
) -> None:
    header, width, height, davis = camera
    raw = b"".join(struct.pack(">II", *event) for event in events)
    path = folder / "any.aedat"
    path.write_bytes(header + raw)
    stream = Aedat2Reader().read(path)
    assert (list_events(stream), stream.notes) == decode(raw, width, height, davis)
    assert (stream.width, stream.height) == (width, height)


@settings(deadline=None)
@given(data=st.data(), davis=st.booleans())
def test_encoded_events_are_decoded(folder: Path, data: st.DataObject, davis: bool) -> None:
    width, height = (240, 180) if davis else (128, 128)
    pixel = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), st.booleans())
    times = np.cumsum(data.draw(st.lists(st.integers(0, 2**31 - 1), max_size=20))).tolist()
    events = [(x, y, t, p) for t in times for x, y, p in [data.draw(pixel)]]
    raw = b""
    for x, y, t, p in events:
        column, row = width - 1 - x, height - 1 - y
        address = row << 22 | column << 12 | p << 11 if davis else row << 8 | column << 1 | (not p)
        raw += struct.pack(">II", address, t % RANGE)
    path = folder / "encoded.aedat"
    path.write_bytes((DAVIS240 if davis else DVS128) + raw)
    assert list_events(Aedat2Reader().read(path)) == events


@pytest.mark.parametrize(("name", "count"), [("dvs128_walking.aedat", 19_182), ("dvs128_walking_long.aedat", 70_304)])
def test_real_recordings_are_decoded_as_by_the_reference_decoder(test_data: Path, name: str, count: int) -> None:
    path = test_data / "events" / name
    stream = Aedat2Reader().read(path)
    assert (len(stream), stream.width, stream.height) == (count, 128, 128)
    raw = path.read_bytes()
    assert (list_events(stream), stream.notes) == decode(raw[len(raw) - 8 * count :], 128, 128, davis=False)


def test_times_of_a_real_recording_match_tonic(test_data: Path) -> None:
    tonic = pytest.importorskip("tonic.io")
    path = test_data / "events" / "dvs128_walking.aedat"
    theirs = tonic.read_davis_346(str(path))[2]  # decodes addresses of another camera, but the same times
    assert np.array_equal(Aedat2Reader().read(path).t, theirs["t"])


def test_a_real_recording_is_upright(test_data: Path) -> None:
    # The head is at the top, and the feet are at the bottom, where most events are.
    stream = Aedat2Reader().read(test_data / "events" / "dvs128_walking.aedat")
    early, late = stream.head(3000), stream.slice_events(len(stream) - 3000, len(stream))
    assert np.percentile(early.y, 90) > 100
    assert np.percentile(late.y, 90) < np.percentile(early.y, 90) - 10


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"# AEChip: eu.seebetter.ini.chips.davis.DAVIS240B\r\n", (240, 180)),
        (b"# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n", (346, 260)),
        (b"# AEChip: eu.seebetter.ini.chips.davis.Davis640\r\n", (640, 480)),
        (b"# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n", (128, 128)),
        (b"# HardwareInterface: DVS128-V1 0298\r\n", (128, 128)),
    ],
)
def test_the_sensor_size_follows_the_camera_in_the_header(tmp_path: Path, line: bytes, size: tuple[int, int]) -> None:
    path = tmp_path / "camera.aedat"
    path.write_bytes(FIRST + line + bytes(8))
    stream = Aedat2Reader().read(path)
    assert (stream.width, stream.height) == size
    assert (stream.x.tolist(), stream.y.tolist()) == ([size[0] - 1], [size[1] - 1])


def encode(events: list[Row], width: int, height: int, davis: bool) -> bytes:
    """Encode events as jAER does."""
    raw = b""
    for x, y, t, p in events:
        column, row = width - 1 - x, height - 1 - y
        address = row << 22 | column << 12 | p << 11 if davis else row << 8 | column << 1 | (not p)
        raw += struct.pack(">II", address, t)
    return raw


def make_events(width: int, height: int) -> list[Row]:
    """Return 200 events that reach both ends of a sensor."""
    return [(width * i // 200, height - 1 - height * i // 200, 10 * i, i % 3 == 0) for i in range(200)]


UNNAMED = [
    (b"#!AER-DAT2.0\r\n", "v2e", 346, 260, True),  # as of v2e, with one comment
    (b"#!AER-DAT2.0\r\n# This is a raw AE data file created by saveaerdat.m\r\n", "matlab", 240, 180, True),
    (FIRST + b"#End Of ASCII Header\r\n", "davis640", 640, 480, True),
    (FIRST, "dvs128", 128, 128, False),
]
"""Headers without a camera, the writer, and the sensor."""


@pytest.mark.parametrize(("header", "writer", "width", "height", "davis"), UNNAMED, ids=[row[1] for row in UNNAMED])
def test_an_unnamed_camera_is_recognised_by_its_addresses(
    tmp_path: Path, header: bytes, writer: str, width: int, height: int, davis: bool
) -> None:
    path, events = tmp_path / f"{writer}.aedat", make_events(width, height)
    path.write_bytes(header + encode(events, width, height, davis))
    message = rf"{writer}\.aedat: the header names no camera; .* {width}x{height} assumed .*; give camera="
    with pytest.warns(AnybindWarning, match=message):
        stream = Aedat2Reader().read(path)
    assert (stream.width, stream.height) == (width, height)
    assert list_events(stream) == events
    assert stream.notes == {"assumed_camera": 1}
    with pytest.warns(AnybindWarning, match=message):
        chunks = list(Aedat2Reader().chunks(path, count=70))
    assert list_events(*chunks) == events
    assert (chunks[0].width, chunks[0].height, chunks[0].notes) == (width, height, {"assumed_camera": 1})


@pytest.mark.parametrize(("camera", "width", "height"), [("davis346", 346, 260), ("DAVIS640", 640, 480)])
def test_the_camera_option_replaces_the_assumption(tmp_path: Path, camera: str, width: int, height: int) -> None:
    path, events = tmp_path / "unnamed.aedat", make_events(100, 90)
    path.write_bytes(FIRST + encode(events, width, height, davis=True))
    for stream in (Aedat2Reader().read(path, camera=camera), *Aedat2Reader().chunks(path, count=999, camera=camera)):
        assert (stream.width, stream.height, stream.notes) == (width, height, {})
        assert list_events(stream) == events
    # The header's name is replaced too: a DVS128 line above events of another camera.
    path.write_bytes(DVS128 + encode(events, width, height, davis=True))
    assert list_events(Aedat2Reader().read(path, camera=camera)) == events


def test_the_size_option_gives_the_sensor_of_an_unnamed_davis(tmp_path: Path) -> None:
    path, events = tmp_path / "unnamed.aedat", make_events(100, 90)
    path.write_bytes(FIRST + encode(events, 346, 260, davis=True))
    with pytest.warns(AnybindWarning, match="DAVIS 346x260 assumed"):
        stream = Aedat2Reader().read(path, size=(346, 260))
    assert list_events(stream) == events
    with pytest.raises(BadOption, match="size"), pytest.warns(AnybindWarning):
        Aedat2Reader().read(path, size=(346,))  # pyright: ignore[reportArgumentType]


def test_a_few_damaged_addresses_do_not_change_the_assumed_camera(tmp_path: Path) -> None:
    path, events = tmp_path / "damaged.aedat", make_events(128, 128)
    path.write_bytes(FIRST + encode(events, 128, 128, davis=False) + struct.pack(">II", 0x7FFF0000, 9999))
    with pytest.warns(AnybindWarning, match="DVS128 128x128 assumed"):
        assert list_events(Aedat2Reader().read(path))[:200] == events


def test_addresses_of_no_known_camera_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "other.aedat"
    path.write_bytes(FIRST + b"".join(struct.pack(">II", 0x7FFFF000 - (i << 23), i) for i in range(50)))
    with pytest.raises(BadInput, match=r"other\.aedat: the header names no camera, and the addresses fit neither"):
        Aedat2Reader().read(path)


def test_an_unknown_camera_option_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "unnamed.aedat"
    path.write_bytes(FIRST + bytes(8))
    with pytest.raises(BadOption, match=r"camera: expected dvs128, davis128, .*davis640, got 'davis'"):
        Aedat2Reader().read(path, camera="davis")


@pytest.mark.parametrize(
    ("folder_name", "name", "size", "extent"),
    [
        ("odd_files", "aedat2_davis346_unnamed_chip.aedat", (346, 260), (0, 345, 0, 259)),
        ("more_events", "aedat2_unnamed_bar_x.aedat", (240, 180), (51, 150, 79, 178)),
    ],
)
def test_real_recordings_without_a_camera_keep_all_events(
    test_data: Path, folder_name: str, name: str, size: tuple[int, int], extent: tuple[int, ...]
) -> None:
    path = test_data / folder_name / name
    if not path.exists():
        pytest.skip(f"needs {folder_name}/{name}")
    with pytest.warns(AnybindWarning, match="the header names no camera"):
        stream = Aedat2Reader().read(path)
    assert len(stream) in {1000, 10_000}
    assert (stream.width, stream.height) == size
    assert (stream.x.min(), stream.x.max(), stream.y.min(), stream.y.max()) == extent


@pytest.mark.parametrize(
    ("header", "name", "written", "davis", "right"),
    [
        (DVS128, "DVS128 128x128", (346, 260), True, "davis346"),
        (DAVIS240, "DAVIS 240x180", (128, 128), False, "dvs128"),
        (DAVIS240, "DAVIS 240x180", (640, 480), True, "davis640"),
    ],
)
def test_a_named_camera_that_the_addresses_do_not_fit_is_an_error(
    tmp_path: Path, header: bytes, name: str, written: tuple[int, int], davis: bool, right: str
) -> None:
    path, events = tmp_path / "wrong.aedat", make_events(*written)
    path.write_bytes(header + encode(events, *written, davis))
    message = rf"wrong\.aedat: the addresses do not fit the camera in the header, {name}; give camera="
    with pytest.raises(BadInput, match=message):
        Aedat2Reader().read(path)
    with pytest.raises(BadInput, match=message):
        list(Aedat2Reader().chunks(path, count=9))
    assert list_events(Aedat2Reader().read(path, camera=right)) == events


def test_a_given_camera_that_the_addresses_do_not_fit_is_a_warning(tmp_path: Path) -> None:
    path, events = tmp_path / "named.aedat", make_events(346, 260)
    path.write_bytes(FIRST + encode(events, 346, 260, davis=True))
    with pytest.warns(AnybindWarning, match=r"named\.aedat: the addresses do not fit camera='dvs128'"):
        Aedat2Reader().read(path, camera="dvs128")
    with pytest.warns(AnybindWarning, match="do not fit camera='davis240'"):
        assert Aedat2Reader().read(path, camera="davis240").notes["outside"] > 0


def test_the_cameras_of_real_recordings_fit_their_headers(test_data: Path) -> None:
    for name in ("events/dvs128_walking.aedat", "more_events/davis240c_imu_boxes.aedat"):
        if (test_data / name).exists():
            assert len(Aedat2Reader().read(test_data / name)) > 10_000


def test_an_unsupported_camera_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "cochlea.aedat"
    path.write_bytes(FIRST + b"# AEChip: ch.unizh.ini.jaer.chip.cochlea.CochleaAMS1c\r\n" + bytes(8))
    with pytest.raises(BadInput, match=r"cochlea\.aedat: unsupported camera .*CochleaAMS1c"):
        Aedat2Reader().read(path)


def test_events_that_resemble_a_header_line_are_decoded(tmp_path: Path) -> None:
    # 0x23 is "#": rows 140 to 143 of a DAVIS.
    path = tmp_path / "hash.aedat"
    events = b"".join(struct.pack(">II", 0x23000000 | x << 12, 10) for x in range(3))
    for end in (b"", b"#End Of ASCII Header\r\n"):
        path.write_bytes(DAVIS240 + end + events)
        assert list_events(Aedat2Reader().read(path)) == decode(events, 240, 180, davis=True)[0]
