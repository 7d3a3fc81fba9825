"""Files of several recordings, files cut inside their header, and clocks that were reset."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

import anybind
from anybind import AnybindWarning, BadInput
from anybind_events.disorder import TimeOrder
from anybind_events.stream import EventStream

EVENTS = 500
RANDOM = np.random.default_rng(3)
RAISED = r"times decrease and were raised to the previous one"
HEADERS = {
    ".raw": b"% date 2024-01-01 00:00:00\n% evt 2.0\n% geometry 640x4",
    ".dat": b"% Data file containing CD events.\n% Version 2\n% Wid",
    ".aedat": b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# AEChip: DVS128\r\n# Data format is int32 addr",
}
"""The beginnings of headers."""


def make_stream(start_us: int = 0) -> EventStream:
    x, y = RANDOM.integers(0, 34, EVENTS), RANDOM.integers(0, 34, EVENTS)
    t = start_us + np.cumsum(RANDOM.integers(50, 200, EVENTS))
    return EventStream(x, y, t, RANDOM.integers(0, 2, EVENTS), 34, 34)


def read_noting(path: Path) -> tuple[EventStream, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stream = anybind.read(path)
    return stream, "; ".join(str(each.message) for each in caught if each.category is AnybindWarning)


@pytest.mark.parametrize("suffix", [".bin", ".csv"])
@pytest.mark.parametrize("n_second", [EVENTS, EVENTS // 10])
def test_a_second_recording_whose_times_begin_again_is_a_warning(tmp_path: Path, suffix: str, n_second: int) -> None:
    anybind.write(make_stream(), tmp_path / f"a{suffix}")
    anybind.write(make_stream().head(n_second), tmp_path / f"b{suffix}")
    second = (tmp_path / f"b{suffix}").read_bytes()
    joined = tmp_path / f"joined{suffix}"
    joined.write_bytes(
        (tmp_path / f"a{suffix}").read_bytes() + second[second.find(b"\n") + 1 if suffix == ".csv" else 0 :]
    )
    with pytest.warns(AnybindWarning, match=rf"joined.*{RAISED}.*several recordings"):
        stream = anybind.read(joined)
    assert len(stream) == EVENTS + n_second
    with pytest.warns(AnybindWarning, match=RAISED):
        chunks = list(anybind.read_chunks(joined, count=77))
    assert sum(map(len, chunks)) == EVENTS + n_second


def test_a_clock_that_is_reset_in_the_middle_is_a_warning(tmp_path: Path) -> None:
    first, second = make_stream(500_000), make_stream()
    words = [event for each in (first, second) for event in zip(each.t, each.x, each.y, each.p, strict=True)]
    addresses = np.array([[x << 1 | y << 8 | (not p), t] for t, x, y, p in words], ">u4")
    path = tmp_path / "reset.aedat"
    path.write_bytes(b"#!AER-DAT2.0\r\n# AEChip: DVS128\r\n#End Of ASCII Header\r\n" + addresses.tobytes())
    with pytest.warns(AnybindWarning, match=rf"reset\.aedat: 500 of 1000 {RAISED}; the camera's clock was reset"):
        assert anybind.read(path).notes == {"backwards": 500}


def test_jitter_of_times_is_no_warning() -> None:
    times = TimeOrder()
    jittered = np.arange(10_000) * 100 - 3000 * (np.arange(10_000) % 9 == 0)
    _, count = times.raise_times(jittered)
    assert count > 1000
    assert not times.is_distorted


def test_a_second_array_of_a_file_is_a_warning(tmp_path: Path) -> None:
    stream = make_stream()
    table = np.stack([stream.t, stream.x, stream.y, stream.p], axis=1)
    with (tmp_path / "two.npy").open("wb") as file:
        np.save(file, table)
        n_first = file.tell()
        np.save(file, table)
    read, message = read_noting(tmp_path / "two.npy")
    assert (len(read), read.notes) == (EVENTS, {"trailing_bytes": n_first})
    assert f"two.npy: {n_first} bytes after the end of the recording are not read" in message
    with pytest.raises(BadInput, match="bytes after the end"):
        anybind.read(tmp_path / "two.npy", strict=True)


def test_a_second_aedat4_recording_is_a_warning(tmp_path: Path) -> None:
    anybind.write(make_stream(), tmp_path / "one.aedat4")
    content = (tmp_path / "one.aedat4").read_bytes()
    (tmp_path / "two.aedat4").write_bytes(content + content)
    read, message = read_noting(tmp_path / "two.aedat4")
    assert (len(read), read.notes) == (EVENTS, {"trailing_bytes": len(content)})
    assert "another recording" in message
    assert read_noting(tmp_path / "one.aedat4")[1] == ""


def test_data_before_an_archive_are_an_error(tmp_path: Path) -> None:
    anybind.write(make_stream(), tmp_path / "one.npz")
    content = (tmp_path / "one.npz").read_bytes()
    (tmp_path / "two.npz").write_bytes(content + content)
    with pytest.raises(BadInput, match=f"two.npz.*{len(content)} bytes before the archive"):
        anybind.read(tmp_path / "two.npz")


@pytest.mark.parametrize("suffix", HEADERS)
def test_a_file_cut_inside_its_header_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(HEADERS[suffix])
    with pytest.raises(BadInput, match=rf"cut\{suffix}.*: truncated at byte {len(HEADERS[suffix])}, inside the header"):
        anybind.read(path)


def test_seconds_beside_a_sensor_size_are_seconds(tmp_path: Path) -> None:
    stream = make_stream(2_000_000)
    columns = {"x": stream.x, "y": stream.y, "t": stream.t * 1e-6, "p": stream.p}
    np.savez(tmp_path / "seconds.npz", **columns, size=[40, 40])
    read = anybind.read(tmp_path / "seconds.npz")
    assert np.array_equal(read.t, stream.t)
    assert (read.width, read.time_unit.name) == (40, "s")


def test_offsets_of_times_are_added(tmp_path: Path) -> None:
    stream = make_stream()
    columns = {name: getattr(stream, name) for name in "xytp"}
    np.savez(tmp_path / "offset.npz", **columns, t_offset=np.int64(10**12))
    assert np.array_equal(anybind.read(tmp_path / "offset.npz").t, stream.t + 10**12)
    np.savez(tmp_path / "fraction.npz", **columns, t_offset=1.5)
    with h5py.File(tmp_path / "fraction.h5", "w") as file:
        file["t_offset"] = 1.5
        for name, column in columns.items():
            file[f"events/{name}"] = column
    for name in ("fraction.npz", "fraction.h5"):
        with pytest.raises(BadInput, match=f"{name}.*t_offset: expected whole microseconds"):
            anybind.read(tmp_path / name)


def test_seconds_beside_an_offset_of_zero_are_seconds_in_hdf5(tmp_path: Path) -> None:
    stream = make_stream(3_000_000)
    with h5py.File(tmp_path / "seconds.h5", "w") as file:
        file["t_offset"] = 0
        for name in "xyp":
            file[f"events/{name}"] = getattr(stream, name)
        file["events/t"] = stream.t * 1e-6
    assert np.array_equal(anybind.read(tmp_path / "seconds.h5").t, stream.t)


@pytest.mark.parametrize("layout", ["numbers", "M3ED", "bytes"])
def test_sensor_sizes_of_hdf5_beside_the_events_are_read(tmp_path: Path, layout: str) -> None:
    stream = make_stream()
    with h5py.File(tmp_path / "made.h5", "w") as file:
        group = file.create_group("prophesee/left")
        for name in "xytp":
            group[name] = getattr(stream, name)
        if layout == "numbers":
            group["width"], group["height"] = 1280, 720
        elif layout == "M3ED":
            group["calib/resolution"] = [1280, 720]
        else:
            file.attrs["geometry"] = np.bytes_(b"1280x720")
    read = anybind.read(tmp_path / "made.h5")
    assert (read.width, read.height) == (1280, 720)


def test_units_since_a_moment_are_units(tmp_path: Path) -> None:
    stream = make_stream()
    with h5py.File(tmp_path / "made.h5", "w") as file:
        for name in "xyp":
            file[name] = getattr(stream, name)
        file["t"] = stream.t * 1000
        file["t"].attrs["units"] = "nanoseconds since 2024-01-01"
    read = anybind.read(tmp_path / "made.h5")
    assert np.array_equal(read.t, stream.t)
    assert read.time_unit == ("ns", "attribute")


@pytest.mark.parametrize("header", ["x,y,t,p", ""])
@pytest.mark.parametrize(("off", "on"), [("False", "True"), ("false", "true"), ('"0"', '"1"')])
def test_booleans_and_quoted_numbers_of_text_are_read(tmp_path: Path, header: str, off: str, on: str) -> None:
    stream = make_stream(1_000_000)
    rows = zip(stream.x, stream.y, stream.t, stream.p, strict=True)
    lines = [f"{x},{y},{t},{on if p else off}" for x, y, t, p in rows]
    (tmp_path / "made.csv").write_text("\n".join([*([header] if header else []), *lines]))
    read = anybind.read(tmp_path / "made.csv")
    assert [np.array_equal(getattr(read, name), getattr(stream, name)) for name in "xytp"] == [True] * 4


@pytest.mark.parametrize("suffix", [".raw", ".dat"])
def test_many_events_outside_the_sensor_are_a_warning_unless_the_size_is_given(tmp_path: Path, suffix: str) -> None:
    x, y = RANDOM.integers(0, 64, 6000), RANDOM.integers(0, 64, 6000)
    path = tmp_path / f"made{suffix}"
    anybind.write(EventStream(x, y, np.arange(6000) * 10, x % 2 == 0, 64, 64), path)
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b"64x64", b"32x64").replace(b"Width 64", b"Width 32").replace(b"width=64", b"width=32")
    )
    n_outside = int((x >= 32).sum())
    with pytest.warns(
        AnybindWarning, match=f"made.*: {n_outside} of 6000 events are outside the sensor and were dropped"
    ):
        assert anybind.read(path).notes == {"outside": n_outside}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(anybind.read(path, size=(32, 64))) == 6000 - n_outside
        assert len(anybind.read(path, size=(64, 64))) == 6000
