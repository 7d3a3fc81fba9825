"""`anybind convert`: conversion between all formats, whole or a time range, in chunks."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind_events import conversion as convert_module
from anybind_events.readers.aedat4 import Aedat4Reader
from anybind_events.readers.hdf5 import Hdf5Reader
from anybind_events.stream import EventStream
from helpers.streams import list_contents


@pytest.fixture
def stream() -> EventStream:
    numbers = np.arange(1000)
    return EventStream(numbers % 34, numbers % 30, 5000 + 100 * numbers, numbers % 3 > 0, 34, 34)


@pytest.fixture
def recording(tmp_path: Path, stream: EventStream) -> Path:
    anybind.write(stream, tmp_path / "recording.npz")
    return tmp_path / "recording.npz"


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".csv", ".tsv", ".txt", ".npz", ".bin", ".dat", ".raw", ".aedat4"])
def test_every_writable_format_preserves_a_recording(cli, recording: Path, stream: EventStream, suffix: str) -> None:
    output = recording.with_name(f"out{suffix}")
    record = json.loads(cli("convert", recording, output, "--json").out)
    assert record == {
        "file": str(recording),
        "format": "npz-events",
        "output": str(output),
        "events": 1000,
        "width": 34,
        "height": 34,
        "notes": {},
    }
    assert list_contents(anybind.read(output)) == list_contents(stream)


@pytest.mark.parametrize("suffix", [".h5", ".csv", ".npz", ".raw", ".aedat4"])
def test_conversion_preserves_a_real_recording(cli, test_data: Path, tmp_path: Path, suffix: str) -> None:
    path = test_data / "events/davis346_with_frames.aedat4"
    assert cli("convert", path, tmp_path / f"out{suffix}").out == (
        f"{tmp_path / f'out{suffix}'}: 78830 events of 346x260, from aedat4\n"
    )
    assert list_contents(anybind.read(tmp_path / f"out{suffix}")) == list_contents(Aedat4Reader().read(path))


@pytest.mark.parametrize("suffix", [".h5", ".csv", ".npz", ".raw", ".aedat4"])
def test_a_recording_is_converted_in_chunks(
    cli, recording: Path, stream: EventStream, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_small_chunks(path: Path, **options: object):
        yield from anybind.read_chunks(path, **{"count": 70, **options})

    monkeypatch.setattr(convert_module, "read_chunks", read_small_chunks)
    monkeypatch.setattr(convert_module, "read", None)
    output = recording.with_name(f"out{suffix}")
    assert cli("convert", recording, output).code == 0
    assert list_contents(anybind.read(output)) == list_contents(stream)


@pytest.mark.parametrize(("start", "end"), [(10_000, 50_000), (None, 250), (99_000, None), (0, None), (99_900, 10**9)])
@pytest.mark.parametrize("middle", [".npz", ".h5"])
def test_start_and_end_are_relative_to_the_first_event(
    cli, recording: Path, stream: EventStream, middle: str, start: int | None, end: int | None
) -> None:
    source, output = recording.with_name(f"middle{middle}"), recording.with_name("part.npz")
    anybind.write(stream, source)
    limits = [
        *(("--start", f"{start}us") if start is not None else ()),
        *(("--end", f"{end}us") if end is not None else ()),
    ]
    record = json.loads(cli("convert", source, output, *limits, "--json").out)
    expected = stream.between(start, end)
    assert list_contents(anybind.read(output)) == list_contents(expected)
    assert record["events"] == len(expected)


@pytest.mark.parametrize("middle", [".npz", ".h5", ".dat"])
def test_start_and_end_can_be_times_on_the_recordings_clock(
    cli, recording: Path, stream: EventStream, middle: str
) -> None:
    source, output = recording.with_name(f"middle{middle}"), recording.with_name("part.npz")
    anybind.write(stream, source)
    cli("convert", source, output, "--start", "15000us", "--end", "55000us", "--absolute")
    assert list_contents(anybind.read(output)) == list_contents(stream.between(15_000, 55_000, absolute=True))
    assert list_contents(anybind.read(output)) == list_contents(stream.between(10_000, 50_000))
    message = "no events from 0 us to 4999 us, on its own clock"
    assert message in cli("convert", source, output, "--start", "0us", "--end", "4999us", "--absolute").error()


def test_only_the_time_range_is_read_from_an_indexed_format(
    cli, recording: Path, stream: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = recording.with_name("source.h5")
    anybind.write(stream, source)
    requests, chunks = [], Hdf5Reader.chunks

    def record_chunks(self: Hdf5Reader, path: Path, *, count: int, **options: object):
        requests.append(options)
        yield from chunks(self, path, count=count, **options)

    monkeypatch.setattr(Hdf5Reader, "chunks", record_chunks)
    cli("convert", source, recording.with_name("part.csv"), "--start", "1000us", "--end", "2000us")
    assert requests == [{"start": 1000, "end": 2000, "absolute": False}]


def test_an_empty_time_range_is_an_error_and_writes_no_file(cli, recording: Path) -> None:
    output = recording.with_name("out.h5")
    assert (
        "no events from 200000 us to the last event, relative to the first"
        in cli("convert", recording, output, "--start", "200000us").error()
    )
    assert (
        "no events from 50 us to 60 us" in cli("convert", recording, output, "--start", "50us", "--end", "60us").error()
    )
    anybind.write(EventStream([], [], [], [], 34, 34), recording)
    assert "no events" in cli("convert", recording, output, "--end", "60us").error()
    assert not output.exists()


def test_an_empty_recording_keeps_its_sensor(cli, recording: Path) -> None:
    anybind.write(EventStream([], [], [], [], 99, 77), recording)
    assert cli("convert", recording, recording.with_name("out.h5")).code == 0
    assert list_contents(anybind.read(recording.with_name("out.h5"))) == ([], [], [], [], 99, 77)


def test_reader_and_reader_options_can_be_selected(cli, tmp_path: Path) -> None:
    (tmp_path / "odd.data").write_text("1 2 10 1\n3 4 20 0\n")
    options = ("--reader", "text-events", "--reader-option", "size=[50,40]", "--reader-option", "columns=yxtp")
    assert cli("convert", tmp_path / "odd.data", tmp_path / "out.h5", *options).code == 0
    expected = ([2, 4], [1, 3], [10, 20], [True, False], 50, 40)
    assert list_contents(anybind.read(tmp_path / "out.h5")) == expected


def test_a_recording_can_be_converted_in_place(cli, recording: Path, stream: EventStream) -> None:
    assert cli("convert", recording, recording).code == 0
    assert list_contents(anybind.read(recording)) == list_contents(stream)


def test_a_truncated_recording_is_converted_with_a_warning_and_a_note(cli, tmp_path: Path) -> None:
    (tmp_path / "cut.csv").write_text("x,y,t,p\n1,2,3,1\n1,2")
    with warnings.catch_warnings():
        warnings.simplefilter("always", anybind.AnybindWarning)
        ended = cli("convert", tmp_path / "cut.csv", tmp_path / "out.h5", "--json")
    record = json.loads(ended.out)
    assert "cut.csv: truncated" in ended.err
    assert (record["events"], record["notes"]) == (1, {"truncated_bytes": 3})


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.es", r"not a format that events can be written to; supported: .aedat4, .bin, .csv"),
        ("out.xyz", "not a format that events can be written to"),
        ("nowhere/out.h5", "there is no folder"),
        (".", "regular file"),
    ],
)
def test_an_invalid_output_is_a_one_line_error_and_leaves_no_file(
    cli, recording: Path, output: str, message: str
) -> None:
    assert message in cli("convert", recording, recording.parent / output).error()
    assert [path.name for path in recording.parent.iterdir()] == ["recording.npz"]


def test_an_unsupported_sensor_size_is_an_error_and_keeps_the_existing_file(cli, tmp_path: Path) -> None:
    anybind.write(EventStream([500], [1], [1], [1], 640, 480), tmp_path / "wide.npz")
    (tmp_path / "out.bin").write_text("kept")
    assert f"cannot write {tmp_path / 'out.bin'}" in cli("convert", tmp_path / "wide.npz", tmp_path / "out.bin").error()
    assert (tmp_path / "out.bin").read_text() == "kept"


def test_an_error_in_the_middle_of_a_file_names_the_file(cli, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("x,y,t,p\n1,2,3,1\n1,oops,4,1\n")
    assert f"{tmp_path / 'bad.csv'}: line 3" in cli("convert", tmp_path / "bad.csv", tmp_path / "out.h5").error()
    assert not (tmp_path / "out.h5").exists()


def test_samples_of_other_modalities_are_converted_without_a_time_range(cli, tmp_path: Path) -> None:
    PIL.Image.new("RGB", (20, 10), "red").save(tmp_path / "image.bmp")
    refused = cli("convert", tmp_path / "image.bmp", tmp_path / "out.png", "--start", "5us").error()
    assert "--filter apply to event recordings" in refused
    ended = cli("convert", tmp_path / "image.bmp", tmp_path / "out.png", "--json")
    assert json.loads(ended.out) == {
        "file": str(tmp_path / "image.bmp"), "format": "image", "output": str(tmp_path / "out.png")
    }  # fmt: skip
    assert anybind.read(tmp_path / "out.png").shape == (10, 20, 3)


@pytest.mark.parametrize("format", ["evt2", "evt3"])
def test_a_format_is_selected_by_name_among_those_of_a_suffix(
    cli, recording: Path, stream: EventStream, format: str
) -> None:
    output = recording.with_name("out.raw")
    cli("convert", recording, output, "--format", format)
    assert anybind.reader.find_reader(output).name == format
    assert list_contents(anybind.read(output)) == list_contents(stream)


@pytest.mark.parametrize(
    ("output", "format", "message"),
    [
        ("out.raw", "evt4", "cannot be written in the format 'evt4'; expected aedat4, dat, evt2, evt3"),
        ("out.raw", "evt21", "cannot be written in the format 'evt21'"),
        ("out.h5", "evt3", "files of format 'evt3' end in .raw"),
    ],
)
def test_a_format_that_does_not_fit_is_a_one_line_error(
    cli, recording: Path, output: str, format: str, message: str
) -> None:
    assert message in cli("convert", recording, recording.with_name(output), "--format", format).error()
    assert [path.name for path in recording.parent.iterdir()] == ["recording.npz"]


@pytest.mark.parametrize("suffix", [".raw", ".aedat4", ".dat", ".bin"])
@pytest.mark.parametrize(
    ("width", "first_us", "message"), [(40_000, 0, "supports sensors up to"), (34, -5, "times from 0")]
)
def test_a_recording_that_a_format_cannot_represent_is_an_error_and_keeps_the_existing_file(
    cli, tmp_path: Path, suffix: str, width: int, first_us: int, message: str
) -> None:
    anybind.write(EventStream([1, 1], [1, 1], [first_us, 9], [1, 0], width, 34), tmp_path / "odd.npz")
    output = tmp_path / f"out{suffix}"
    output.write_text("kept")
    error = cli("convert", tmp_path / "odd.npz", output).error()
    assert f"cannot write {output}" in error
    assert message in error
    assert output.read_text() == "kept"
