"""Event topics in ROS 1 bags, ROS 2 bags and MCAP files, written by the packages rosbags and mcap."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind.errors import BadInput, BadOption, MissingExtra, PluginError
from anybind.reader import find_reader
from anybind_events import ros_examples as ros
from anybind_events.examples import EVENTS, pack_evt3
from helpers import fuzz_readers as fuzz
from helpers.streams import list_events

pytest.importorskip("rosbags")
SUFFIXES = (".bag", ".db3", ".mcap")
EVENT = st.tuples(st.integers(0, 239), st.integers(0, 179), st.integers(0, 3_000_000_000), st.booleans())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_real_recordings_have_the_published_counts(suffix: str, test_data: Path):
    """The counts and first times are those of the tests of event_camera_py, which has recorded these files."""
    stream = anybind.read(test_data / f"more_events/ros_events{suffix}")
    off_events, on_events, size, first_us = (
        (360_223, 211_043, (346, 260), 1_744_227_144_732_712)
        if suffix == ".mcap"
        else (218_291, 125_183, (640, 480), 7_139_845)
    )
    assert (int((~stream.p).sum()), int(stream.p.sum())) == (off_events, on_events)
    assert ((stream.width, stream.height), int(stream.t[0])) == (size, first_us)


def test_the_bag_of_ros_1_and_that_of_ros_2_have_the_same_events(test_data: Path):
    first, second = (anybind.read(test_data / f"more_events/ros_events.{suffix}") for suffix in ("bag", "db3"))
    for name in "xytp":
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_chunks_of_a_real_recording_are_the_recording(suffix: str, test_data: Path):
    path = test_data / f"more_events/ros_events{suffix}"
    whole, chunks = anybind.read(path), list(anybind.read_chunks(path, count=50_000))
    assert len(chunks) > 5
    for name in "xytp":
        np.testing.assert_array_equal(np.concatenate([getattr(each, name) for each in chunks]), getattr(whole, name))
    assert sum(each.notes.get("skipped_triggers", 0) for each in chunks) == whole.notes.get("skipped_triggers", 0)


def test_info_and_a_time_range_of_a_real_recording(cli, test_data: Path, tmp_path: Path):
    path = test_data / "more_events/ros_events.mcap"
    info = json.loads(cli("info", path, "--json").out)
    assert (info["format"], info["events"], info["width"], info["height"]) == ("rosbag-events", 571_266, 346, 260)
    cli("convert", path, tmp_path / "part.npz", "--start", "100ms", "--end", "200ms")
    part, whole = anybind.read(tmp_path / "part.npz"), anybind.read(path)
    expected = whole.between(100_000, 200_000)
    assert list_events(part) == list_events(expected)


@pytest.mark.parametrize("compression", ["", "bz2", "lz4", "zstd"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_compression_is_read(suffix: str, compression: str, tmp_path: Path):
    if compression and (suffix == ".bag") == (compression == "zstd"):
        pytest.skip("not a compression of this format")
    if suffix != ".bag" and compression not in ("", "zstd"):
        pytest.skip("not a compression that the writer offers")
    path, is_ros1 = tmp_path / f"made{suffix}", suffix == ".bag"
    arrays = [ros.make_event_array(EVENTS[start : start + 70], is_ros1=is_ros1) for start in range(0, 300, 70)]
    ros.write_bag(path, {ros.TOPIC: arrays}, compression=compression)
    stream = anybind.read(path)
    assert (list_events(stream), stream.width, stream.height) == (EVENTS, 240, 180)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), suffix=st.sampled_from(SUFFIXES), cuts=st.lists(st.integers(0, 12), max_size=3))
def test_any_listed_events_are_read_back(data: st.DataObject, suffix: str, cuts: list[int], folder: Path):
    events = sorted(data.draw(st.lists(EVENT, max_size=12)), key=lambda event: event[2])
    edges = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    parts = [events[first:last] for first, last in pairwise(edges)]
    is_ros1, path = suffix == ".bag", folder / f"listed{suffix}"
    ros.write_bag(path, {ros.TOPIC: [ros.make_event_array(part, is_ros1=is_ros1) for part in parts]})
    assert list_events(anybind.read(path)) == events


def pack_mono(events: list, base_ns: int) -> bytes:
    return b"".join(struct.pack("<Q", on << 63 | y << 48 | x << 32 | us * 1000 - base_ns) for x, y, us, on in events)


def pack_libcaer(events: list, base_ns: int) -> bytes:
    return b"".join(struct.pack("<Ii", x << 17 | y << 2 | on << 1 | 1, us - base_ns // 1000) for x, y, us, on in events)


def pack_libcaer_cmp(events: list, base_ns: int) -> bytes:
    words = []
    for x, y, us, on in events:
        us -= base_ns // 1000
        words += [us >> 12, 1 << 12 | us & 4095, 2 << 12 | x, 3 << 12 | on << 11 | y]
    return struct.pack(f"<{len(words)}H", *words)


def pack_evt3_events(events: list, base_ns: int) -> bytes:
    return b"".join(pack_evt3(*event) for event in events)


PACKERS = {
    "mono": pack_mono,
    "libcaer": pack_libcaer,
    "libcaer_cmp": pack_libcaer_cmp,
    "evt3": pack_evt3_events,
}


@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize("encoding", PACKERS)
def test_every_encoding_is_read(encoding: str, is_bigendian: bool, tmp_path: Path):
    parts, packets, base_ns = [EVENTS[:100], EVENTS[100:]], [], 0
    for number, part in enumerate(parts):
        content = PACKERS[encoding](part, base_ns := part[0][2] * 1000)
        if is_bigendian:
            width = {"mono": "u8", "libcaer": "u4"}.get(encoding, "u2")
            content = np.frombuffer(content, width).byteswap().tobytes()
        options = {"seq": number, "time_base": base_ns, "is_bigendian": is_bigendian}
        packets.append(ros.make_packet(content, encoding, is_ros1=False, **options))
    ros.write_bag(tmp_path / "made.db3", {ros.TOPIC: packets})
    assert list_events(anybind.read(tmp_path / "made.db3")) == EVENTS


def test_vectors_of_libcaer_cmp_are_up_to_eight_pixels_of_a_column(tmp_path: Path):
    words = [0, 1 << 12 | 7, 2 << 12 | 30, 4 << 12 | 1 << 11 | 40, 5 << 12 | 0b10000101, 5 << 12 | 1]
    packet = ros.make_packet(struct.pack("<6H", *words), "libcaer_cmp", is_ros1=False, time_base=5000)
    ros.write_bag(tmp_path / "made.mcap", {ros.TOPIC: [packet]})
    expected = [(30, 40, 12, True), (30, 42, 12, True), (30, 47, 12, True), (30, 48, 12, True)]
    assert list_events(anybind.read(tmp_path / "made.mcap")) == expected


def test_the_clock_of_libcaer_rolls_over(tmp_path: Path):
    events = b"".join(struct.pack("<Ii", 1 << 17 | 1 << 2, time) for time in (2**31 - 5, 3))
    ros.write_bag(tmp_path / "made.db3", {ros.TOPIC: [ros.make_packet(events, "libcaer", is_ros1=False)]})
    assert anybind.read(tmp_path / "made.db3").t.tolist() == [2**31 - 5, 2**31 + 3]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_encoding_that_is_not_supported_is_named(suffix: str, tmp_path: Path):
    packet = ros.make_packet(bytes(8), "trigger", is_ros1=suffix == ".bag")
    ros.write_bag(tmp_path / f"made{suffix}", {ros.TOPIC: [packet]})
    with pytest.raises(
        BadInput, match=r"made\.\w+: the encoding 'trigger'.*supported: evt3, libcaer_cmp, libcaer, mono"
    ):
        anybind.read(tmp_path / f"made{suffix}")


def test_events_that_do_not_fit_their_encoding_are_an_error(tmp_path: Path):
    for encoding, content in (("mono", bytes(7)), ("evt3", bytes(3)), ("libcaer_cmp", b"\x00\x60")):
        ros.write_bag(tmp_path / "made.db3", {ros.TOPIC: [ros.make_packet(content, encoding, is_ros1=False)]})
        with pytest.raises(BadInput, match=r"made\.db3: .*(not whole words|damaged)"):
            anybind.read(tmp_path / "made.db3")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_several_topics_are_an_error_that_lists_them(cli, suffix: str, tmp_path: Path):
    path, is_ros1 = tmp_path / f"stereo{suffix}", suffix == ".bag"
    left, right = ([ros.make_event_array(part, is_ros1=is_ros1)] for part in (EVENTS[:10], EVENTS[10:30]))
    ros.write_bag(path, {"/left/events": left, "/right/events": right, "/text": [ros.make_text("a", is_ros1=is_ros1)]})
    with pytest.raises(BadInput, match="events of 2 sources; choose one with source=: 'left/events', 'right/events'"):
        anybind.read(path)
    assert list_events(anybind.read(path, source="/right/events")) == EVENTS[10:30]
    assert json.loads(cli("info", path, "--reader-option", "source=/left/events", "--json").out)["events"] == 10
    with pytest.raises(BadOption, match="no events of the source '/rigth/events'; did you mean 'right/events'"):
        anybind.read(path, source="/rigth/events")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_bag_without_events_is_an_error_that_lists_its_topics(suffix: str, tmp_path: Path):
    ros.write_bag(tmp_path / f"made{suffix}", {"/text": [ros.make_text("a", is_ros1=suffix == ".bag")]})
    with pytest.raises(BadInput, match=r"got: /text \(std_msgs/msg/String\)"):
        anybind.read(tmp_path / f"made{suffix}")


def test_events_outside_the_sensor_and_decreasing_times_are_noted(tmp_path: Path):
    events = [(1, 2, 50, True), (240, 2, 60, True), (3, 4, 40, False)]
    ros.write_bag(tmp_path / "made.db3", {ros.TOPIC: [ros.make_event_array(events, is_ros1=False)]})
    stream = anybind.read(tmp_path / "made.db3")
    assert list_events(stream) == [(1, 2, 50, True), (3, 4, 50, False)]
    assert dict(stream.notes) == {"outside": 1, "backwards": 1}
    assert len(anybind.read(tmp_path / "made.db3", size=(300, 200))) == 3


def test_missing_messages_are_noted(tmp_path: Path):
    numbers = (4, 5, 9)
    packets = [ros.make_packet(pack_mono(EVENTS[:2], 0), "mono", is_ros1=False, seq=number) for number in numbers]
    ros.write_bag(tmp_path / "made.db3", {ros.TOPIC: packets})
    assert anybind.read(tmp_path / "made.db3").notes["lost_messages"] == 3


def test_a_sensor_size_that_changes_or_is_missing_is_an_error(tmp_path: Path):
    for sizes, reason in (([(240, 180), (346, 260)], "changes from 240x180 to 346x260"), ([(0, 0)], "give size=")):
        packets = [ros.make_event_array(EVENTS[:3], is_ros1=False, size=size) for size in sizes]
        ros.write_bag(tmp_path / "made.db3", {ros.TOPIC: packets})
        with pytest.raises(BadInput, match=reason):
            anybind.read(tmp_path / "made.db3")
    assert anybind.read(tmp_path / "made.db3", size=(240, 180)).width == 240


def test_a_bag_in_several_files_is_read_by_its_metadata(tmp_path: Path):
    for number in range(2):
        part = EVENTS[150 * number : 150 * number + 150]
        ros.write_bag(tmp_path / f"bag_{number}.db3", {ros.TOPIC: [ros.make_event_array(part, is_ros1=False)]})
    metadata = "rosbag2_bagfile_information:\n  version: 5\n  compression_mode: {}\n  relative_file_paths:\n"
    names = "    - bag_0.db3\n    - bag_1.db3\n"
    (tmp_path / "metadata.yaml").write_text(metadata.format('""') + names)
    assert list_events(anybind.read(tmp_path / "metadata.yaml")) == EVENTS
    assert list_events(anybind.read(tmp_path / "bag_1.db3")) == EVENTS[150:]
    (tmp_path / "metadata.yaml").write_text(metadata.format("FILE") + names)
    with pytest.raises(BadInput, match="its files are compressed; decompress them"):
        anybind.read(tmp_path / "metadata.yaml")
    (tmp_path / "bag_1.db3").unlink()
    (tmp_path / "metadata.yaml").write_text(metadata.format("none") + names)
    with pytest.raises(BadInput, match=r"lists the file bag_1\.db3, which is missing"):
        anybind.read(tmp_path / "metadata.yaml")


@pytest.mark.parametrize("name", ["a?b.db3", "a%41.db3", "a#b.db3", "a b.mcap", "a%41.bag"])
def test_special_characters_in_a_name_are_read(name: str, tmp_path: Path):
    path = tmp_path / name
    ros.write_example(path, pack_evt3_events(EVENTS, 0))
    assert len(anybind.read(path)) == 300


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_content_decides_and_not_the_name(suffix: str, tmp_path: Path):
    ros.write_example(tmp_path / f"made{suffix}", pack_evt3_events(EVENTS, 0))
    shutil.move(tmp_path / f"made{suffix}", tmp_path / "made.raw")
    assert find_reader(tmp_path / "made.raw").name == "rosbag-events"
    assert len(anybind.read(tmp_path / "made.raw")) == 300


def test_mcap_of_another_writer_is_read(tmp_path: Path):
    writing = pytest.importorskip("mcap.writer")
    message = ros.make_event_array(EVENTS[:9], is_ros1=False)
    data = bytes(ros.serialize(message, is_ros1=False))
    for compression in writing.CompressionType:
        with (tmp_path / "made.mcap").open("wb") as file:
            writer = writing.Writer(file, compression=compression)
            writer.start(profile="ros2", library="test")
            schema = writer.register_schema(name=ros.EVENT_ARRAY, encoding="ros2msg", data=b"uint8 unused")
            channel = writer.register_channel(topic="/events", message_encoding="cdr", schema_id=schema)
            writer.add_message(channel_id=channel, log_time=1, publish_time=1, data=data)
            writer.finish()
        assert list_events(anybind.read(tmp_path / "made.mcap")) == EVENTS[:9]


def test_mcap_that_is_not_of_ros_2_is_named(tmp_path: Path):
    writing = pytest.importorskip("mcap.writer")
    with (tmp_path / "made.mcap").open("wb") as file:
        writer = writing.Writer(file)
        writer.start(profile="ros1", library="test")
        writer.finish()
    with pytest.raises(BadInput, match="expected an MCAP file of profile 'ros2', got 'ros1'"):
        anybind.read(tmp_path / "made.mcap")


def test_without_rosbags_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ros.write_example(tmp_path / "made.mcap", pack_evt3_events(EVENTS, 0))
    for name in [name for name in sys.modules if name.partition(".")[0] == "rosbags"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rosbags", None)
    with pytest.raises(MissingExtra, match=r"needs the package 'rosbags.*pip install 'anybind\[rosbag\]'"):
        anybind.read(tmp_path / "made.mcap")


def read_hostile(path: Path, **options: object) -> str:
    """Return the message of `BadInput` for a file; fail if it is read, or takes more than 64 MiB."""
    tracemalloc.start()
    try:
        with pytest.raises(BadInput) as error:
            anybind.read(path, **options)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value)
    assert not isinstance(error.value, PluginError)
    return str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".bag", ".mcap", ".db3"])
def test_a_chunk_that_inflates_without_end_is_an_error(suffix: str, tmp_path: Path):
    path, is_ros1 = tmp_path / f"bomb{suffix}", suffix == ".bag"
    bomb = ros.make_packet(bytes(100 << 20), "mono", is_ros1=is_ros1)
    ros.write_bag(path, {ros.TOPIC: [bomb]}, compression="bz2" if is_ros1 else "zstd")
    assert path.stat().st_size < 1 << 17
    assert "inflates to more than" in read_hostile(path)


def pack_record(**fields: bytes) -> bytes:
    """Pack the header of a record of a ROS 1 bag."""
    parts = [f"{name}=".encode() + value for name, value in fields.items()]
    header = b"".join(struct.pack("<I", len(part)) + part for part in parts)
    return struct.pack("<I", len(header)) + header


def test_a_bag_whose_index_repeats_itself_is_an_error(tmp_path: Path):
    """A megabyte of records that all point to one long index would take gigabytes."""
    path, n_copies = tmp_path / "made.bag", 500
    ros.write_bag(path, {ros.TOPIC: [ros.make_event_array(EVENTS[:1], is_ros1=True)] * 500})
    content = bytearray(path.read_bytes())
    position = content.index(b"chunk_pos=") + 10
    chunk = bytes(content[position : position + 8])
    record = pack_record(op=b"\6", ver=struct.pack("<I", 1), chunk_pos=chunk, start_time=bytes(8), end_time=bytes(8),
                         count=struct.pack("<I", 1)) + struct.pack("<3I", 8, 0, 500)  # fmt: skip
    count = content.index(b"chunk_count=") + 12
    n_chunks = int.from_bytes(content[count : count + 4], "little")
    content[count : count + 4] = struct.pack("<I", n_chunks + n_copies)
    path.write_bytes(bytes(content) + record * n_copies)
    assert "its index repeats parts of the file" in read_hostile(path)


def test_a_database_that_computes_its_messages_is_an_error(tmp_path: Path):
    path = tmp_path / "made.db3"
    ros.write_example(path, pack_evt3_events(EVENTS, 0))
    with sqlite3.connect(path) as database:
        database.execute("alter table messages add column more blob generated always as (zeroblob(1000000000))")
    assert "the content of 'messages' is computed" in read_hostile(path)
    ros.write_example(path, pack_evt3_events(EVENTS, 0))
    with sqlite3.connect(path) as database:
        database.execute("alter table messages rename to stored")
        endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i as id, 1 as topic_id,"
        database.execute(f"create view messages as {endless} i as timestamp, zeroblob(100) as data from n")
    assert "the content of 'messages' is computed" in read_hostile(path)


def test_messages_in_a_log_beside_the_database_are_not_lost_silently(tmp_path: Path):
    path = tmp_path / "made.db3"
    ros.write_example(path, pack_evt3_events(EVENTS, 0))
    path.with_name("made.db3-wal").write_bytes(b"log")
    assert "its last messages are in made.db3-wal" in read_hostile(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_bag_is_an_error_that_says_how_to_repair_it(suffix: str, tmp_path: Path):
    path = tmp_path / f"made{suffix}"
    ros.write_example(path, pack_evt3_events(EVENTS, 0))
    content = path.read_bytes()
    for length in (len(content) - 1, len(content) // 2, 100):
        path.write_bytes(content[:length])
        assert str(path) in read_hostile(path)


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["", "compressed"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_bag_is_read_or_rejected(suffix: str, compression: str, tmp_path: Path):
    path, is_ros1 = tmp_path / f"whole{suffix}", suffix == ".bag"
    packets = [ros.make_packet(pack_evt3_events(EVENTS[:100], 0), "evt3", is_ros1=is_ros1, seq=n) for n in range(3)]
    ros.write_bag(path, {ros.TOPIC: packets}, compression=compression and ("bz2" if is_ros1 else "zstd"))
    content = path.read_bytes()
    for seed in range(100):
        damaged = fuzz.damage_content(content, seed)
        fault = fuzz.find_broken_rule(damaged, suffix, tmp_path, chunks=seed % 3 == 2, reader="rosbag-events")
        assert fault is None, f"seed {seed}: {fault}"
