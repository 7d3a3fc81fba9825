"""`anybind convert` and `anybind render` of folders and several files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind_events import convert_folder, render_folder
from anybind_events.stream import EventStream
from helpers.streams import list_contents

BATCHES = {"convert": ("--format", "evt3"), "render": ("--format", "png")}
SUFFIXES = {"convert": ".raw", "render": ".png"}
BAD = b"not a recording"


@pytest.fixture
def stream() -> EventStream:
    numbers = np.arange(300)
    return EventStream(numbers % 34, numbers % 30, 100 * numbers, numbers % 3 > 0, 34, 34)


@pytest.fixture
def folder(tmp_path: Path, stream: EventStream) -> Path:
    """Make a folder of three recordings in three formats, with notes."""
    source = tmp_path / "source"
    (source / "day" / "night").mkdir(parents=True)
    for name in ("a.npz", "day/b.h5", "day/night/c.csv"):
        anybind.write(stream, source / name)
    (source / "notes.txt").write_text("recorded on a Monday\n")
    return source


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("command", BATCHES)
def test_a_folder_keeps_its_structure(cli, folder: Path, command: str) -> None:
    output = folder.with_name("out")
    ended = cli(command, folder, "-o", output, *BATCHES[command])
    suffix = SUFFIXES[command]
    assert ended.out == f"{output}: 3 {command}ed\n"
    assert list_files(output) == [f"a{suffix}", f"day/b{suffix}", f"day/night/c{suffix}"]


@pytest.mark.slow
def test_the_converted_recordings_of_a_folder_have_the_same_events(cli, folder: Path, stream: EventStream) -> None:
    output = folder.with_name("out")
    record = json.loads(cli("convert", folder, "-o", output, "--format", "aedat4", "--json").out)
    assert [Path(each["output"]).name for each in record["files"]] == ["a.aedat4", "b.aedat4", "c.aedat4"]
    assert {each["events"] for each in record["files"]} == {300}
    for path in output.rglob("*.aedat4"):
        assert list_contents(anybind.read(path))[:4] == list_contents(stream)[:4]


def test_several_files_and_folders_are_converted_into_one_folder(cli, folder: Path) -> None:
    output = folder.with_name("out")
    ended = cli("convert", folder / "a.npz", folder / "day", "-o", output, "--format", ".h5", "--json")
    assert len(json.loads(ended.out)["files"]) == 3
    assert list_files(output) == ["a.h5", "b.h5", "night/c.h5"]


@pytest.mark.parametrize("command", BATCHES)
def test_a_second_call_does_only_what_is_missing_or_older_than_its_file(cli, folder: Path, command: str) -> None:
    output, suffix = folder.with_name("out"), SUFFIXES[command]
    cli(command, folder, "-o", output, *BATCHES[command])
    (output / f"a{suffix}").unlink()
    old, recent = output / f"day/b{suffix}", output / f"day/night/c{suffix}"
    os.utime(old, (1, 1))
    mark = recent.stat().st_mtime_ns
    record = json.loads(cli(command, folder, "-o", output, *BATCHES[command], "--json").out)
    assert sorted(Path(each["output"]).name for each in record["files"]) == [f"a{suffix}", f"b{suffix}"]
    assert record["up_to_date"] == [str(recent)]
    assert recent.stat().st_mtime_ns == mark
    record = json.loads(cli(command, folder, "-o", output, *BATCHES[command], "--overwrite", "--json").out)
    assert (len(record["files"]), record["up_to_date"]) == (3, [])


def test_an_output_in_another_format_of_the_same_suffix_is_converted_again(cli, folder: Path) -> None:
    output = folder.with_name("out")
    cli("convert", folder, "-o", output, "--format", "evt2")
    record = json.loads(cli("convert", folder, "-o", output, "--format", "evt3", "--json").out)
    assert len(record["files"]) == 3
    assert {anybind.reader.find_reader(path).name for path in output.rglob("*.raw")} == {"evt3"}


@pytest.mark.parametrize("command", BATCHES)
def test_files_that_cannot_be_read_stop_the_command_or_are_skipped(cli, folder: Path, command: str) -> None:
    output, suffix = folder.with_name("out"), SUFFIXES[command]
    (folder / "day" / "bad.npz").write_bytes(BAD)
    assert "bad.npz" in cli(command, folder, "-o", output, *BATCHES[command]).error()
    assert f"day/bad{suffix}" not in list_files(output)
    ended = cli(command, folder, "-o", output, *BATCHES[command], "--skip-invalid", "--json")
    record = json.loads(ended.out)
    assert list(record["skipped"]) == [str(folder / "day" / "bad.npz")]
    assert len(record["files"]) + len(record["up_to_date"]) == 3
    assert list_files(output) == [f"a{suffix}", f"day/b{suffix}", f"day/night/c{suffix}"]


@pytest.mark.parametrize("command", BATCHES)
def test_an_output_that_cannot_be_written_is_no_invalid_file(cli, folder: Path, command: str) -> None:
    output = folder.with_name("out") / "day" / f"b{SUFFIXES[command]}"
    output.mkdir(parents=True)
    ended = cli(command, folder, "-o", folder.with_name("out"), *BATCHES[command], "--skip-invalid")
    assert ended.code == 2
    assert f"cannot write {output}" in ended.err


def test_a_folder_of_invalid_files_only_is_an_error(cli, tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(BAD)
    ended = cli("convert", tmp_path, "-o", tmp_path / "out", "--format", "h5", "--skip-invalid")
    assert ended.code == 2
    assert "no file could be converted" in ended.err


@pytest.mark.parametrize("command", BATCHES)
def test_two_recordings_of_one_name_are_refused_before_anything_is_written(
    cli, folder: Path, stream: EventStream, command: str
) -> None:
    anybind.write(stream, folder / "a.csv")
    error = cli(command, folder, "-o", folder.with_name("out"), *BATCHES[command]).error()
    assert f"{folder / 'a.csv'} and {folder / 'a.npz'} would both be written to" in error
    assert not folder.with_name("out").exists()


def test_an_output_that_is_a_source_is_refused(cli, folder: Path) -> None:
    error = cli("convert", folder, "-o", folder, "--format", "npz").error()
    assert f"{folder / 'a.npz'} would replace a recording that is to be read" in error


def test_outputs_below_the_source_folder_are_no_sources_of_the_next_call(cli, folder: Path) -> None:
    for _ in range(2):
        record = json.loads(cli("convert", folder, "-o", folder / "out", "--format", "evt3", "--json").out)
        assert len(record["files"]) + len(record["up_to_date"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("source", "-o", "out"), "give --format"),
        (("source", "out"), "source is a folder"),
        (("source/a.npz", "source/day/b.h5", "source"), "got 3 paths"),
        (("source", "-o", "out", "--format", "evt4"), "cannot be written in the format 'evt4'"),
        (("missing", "-o", "out", "--format", "evt3"), "cannot read missing"),
        (("source", "-o", "source/a.npz/out", "--format", "evt3"), "cannot make the folder"),
    ],
)
def test_invalid_arguments_are_one_line_errors(
    cli, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(folder.parent)
    assert message in cli("convert", *arguments).error()
    assert not Path("out").exists()


def test_render_refuses_a_format_that_is_no_image_or_animation(cli, folder: Path) -> None:
    assert (
        "expected a format of png, gif, mp4, got 'webm'"
        in cli("render", folder, "-o", folder.with_name("out"), "--format", "webm").error()
    )


def test_the_functions_take_folders_and_report_each_file(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.npz").write_bytes(BAD)
    skipped: list[str] = []
    batch = convert_folder(
        folder, tmp_path / "out", format="evt2", start=100, end=10_000, on_bad=lambda file, error: skipped.append(file)
    )
    assert [result.recording.events for result in batch.results if result.recording] == [99, 99, 99]
    assert skipped == [str(folder / "bad.npz")]
    rendered = render_folder(folder / "day", tmp_path / "images", representation="gray-frame")
    assert [Path(result.output).name for result in rendered.results] == ["b.png", "c.png"]
    with pytest.raises(anybind.BadInput, match=r"bad\.npz"):
        convert_folder(folder, tmp_path / "out", format="evt2")


@pytest.mark.slow
def test_a_killed_conversion_leaves_whole_files_and_continues(tmp_path: Path) -> None:
    source, output = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    n = np.arange(400_000)
    stream = EventStream(n % 640, n % 480, n, n % 3 > 0, 640, 480)
    for number in range(8):
        anybind.write(stream, source / f"{number}.dat")
    command = [sys.executable, "-m", "anybind.cli", "convert", str(source), "-o", str(output), "--format", "csv"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and len(list(output.glob("[0-9].csv"))) < 3:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = sorted(output.glob("[0-9].csv"))
    assert 3 <= len(whole) < 8
    assert all(len(anybind.read(path)) == len(n) for path in whole)
    record = json.loads(subprocess.run([*command, "--json"], check=True, capture_output=True).stdout)
    assert record["up_to_date"] == [str(path) for path in whole]
    assert len(record["files"]) == 8 - len(whole)
    assert [len(anybind.read(path)) for path in sorted(output.glob("[0-9].csv"))] == [len(n)] * 8


@pytest.mark.parametrize("command", ["convert", "render"])
def test_an_output_folder_with_the_name_of_a_file_is_refused(command: str, cli, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    outcome = cli(command, folder, "-o", output, *(["--format", "npz"] if command == "convert" else []))
    assert outcome.code == 2
    assert "expected a folder for the outputs of several recordings" in outcome.err
    assert not output.exists()
