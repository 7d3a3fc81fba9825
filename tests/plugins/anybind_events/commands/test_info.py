"""`anybind info`: summaries of files, rate curves and rate charts."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind_events import inspection as info_module
from anybind_events.inspection import MAX_STEPS, RateCurve
from anybind_events.stream import EventStream


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Write a recording of a thousand events in two seconds, three of four ON."""
    times = 5_000_000 + np.linspace(0, 2_000_000, 1000).astype(np.int64)
    stream = EventStream(np.arange(1000) % 34, np.arange(1000) % 30, times, np.arange(1000) % 4 > 0, 34, 30)
    anybind.write(stream, tmp_path / "recording.npz")
    return tmp_path / "recording.npz"


def test_info_of_one_recording_is_one_json_object(cli, recording: Path) -> None:
    record = json.loads(cli("info", recording, "--json").out)
    assert record == {
        "file": str(recording),
        "format": "npz-events",
        "modality": "event",
        "events": 1000,
        "width": 34,
        "height": 30,
        "duration_us": 2_000_000,
        "start_us": 5_000_000,
        "rate": 500.0,
        "on_fraction": 0.75,
        "time_unit": "us",
        "time_unit_origin": "format",
        "notes": {},
    }


@pytest.mark.parametrize(
    ("name", "format", "events", "width", "height"),
    [
        ("davis346_with_frames.aedat4", "aedat4", 78_830, 346, 260),
        ("davis240.aedat4", "aedat4", 111_954, 320, 240),
        ("dvs.es", "es", 473_225, 320, 240),
        ("slider_depth.txt", "text-events", 50_000, 240, 180),
        ("evt3_small.reference.npy", "npy-events", 219_596, 1280, 720),
    ],
)
def test_info_of_real_recordings_matches_reference_values(
    cli, test_data: Path, name: str, format: str, events: int, width: int, height: int
) -> None:
    record = json.loads(cli("info", test_data / "events" / name, "--json").out)
    assert (record["format"], record["events"], record["width"], record["height"]) == (format, events, width, height)
    assert record["rate"] == pytest.approx(1e6 * events / record["duration_us"])


def test_the_table_of_one_file_has_units(cli, recording: Path) -> None:
    output = cli("info", recording).out
    for text in ("npz-events", "1000", "2.000 s", "500 events/s", "75.0 %"):
        assert text in output


def test_repairs_of_a_reader_are_notes_and_its_warning_is_printed(cli, recording: Path, tmp_path: Path) -> None:
    stream = anybind.read(recording)
    np.save(tmp_path / "cut.npy", np.rec.fromarrays([getattr(stream, name) for name in "xytp"], names="x,y,t,p"))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-5])
    with warnings.catch_warnings():
        warnings.simplefilter("always", anybind.AnybindWarning)
        ended = cli("info", tmp_path / "cut.npy", "--json")
    record = json.loads(ended.out)
    assert "cut.npy: truncated" in ended.err
    assert record["events"] == 999
    assert record["notes"] == {"truncated_bytes": 8}


def test_an_empty_recording_has_no_rate(cli, tmp_path: Path) -> None:
    anybind.write(EventStream([], [], [], [], 34, 34), tmp_path / "empty.npz")
    record = json.loads(cli("info", tmp_path / "empty.npz", "--json").out)
    assert (record["events"], record["duration_us"], record["start_us"]) == (0, 0, None)
    assert record["rate"] is record["on_fraction"] is None
    assert cli("info", tmp_path / "empty.npz").code == 0
    assert "no events" in cli("info", tmp_path / "empty.npz", "-o", tmp_path / "rate.png").error()


def test_info_reads_a_recording_in_chunks(cli, recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_small_chunks(path: Path, **options: object):
        yield from anybind.read_chunks(path, count=7, **options)

    monkeypatch.setattr(info_module, "read", None)
    monkeypatch.setattr(info_module, "read_chunks", read_small_chunks)
    record = json.loads(cli("info", recording, "--json").out)
    assert (record["events"], record["duration_us"], record["on_fraction"]) == (1000, 2_000_000, 0.75)


def test_several_files_are_a_list_and_invalid_ones_can_be_skipped(cli, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK")
    assert "bad.npz" in cli("info", recording, tmp_path / "bad.npz").error()
    ended = cli("info", recording, tmp_path / "bad.npz", "--skip-invalid", "--json")
    record = json.loads(ended.out)
    assert [each["events"] for each in record["files"]] == [1000]
    assert list(record["skipped"]) == [str(tmp_path / "bad.npz")]
    assert "skipped 1" in ended.err
    assert cli("info", tmp_path / "bad.npz", "--skip-invalid").code == 2


@pytest.mark.parametrize(("width", "rate"), [(76, False), (120, True)])
def test_several_files_are_one_row_each(
    cli, recording: Path, monkeypatch: pytest.MonkeyPatch, width: int, rate: bool
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    image = recording.with_name("image_with_a_long_name.png")
    PIL.Image.new("RGB", (20, 10)).save(image)
    lines = cli("info", recording, image).out.splitlines()
    rows = [line for line in lines if recording.name in line or image.name in line]
    assert [row.split()[3::2][:3] for row in rows] == [["npz-events", "34x30", "1000"], ["image", "20x10", "│"]]
    assert max(map(len, lines)) <= width
    assert ("500 events/s" in rows[0]) is rate


def test_info_of_an_image_has_format_and_size(cli, tmp_path: Path) -> None:
    PIL.Image.new("RGB", (20, 10)).save(tmp_path / "image.png")
    record = json.loads(cli("info", tmp_path / "image.png", "--json").out)
    assert (record["format"], record["modality"], record["width"], record["height"]) == ("image", "image", 20, 10)
    assert "event rate" in cli("info", tmp_path / "image.png", "-o", tmp_path / "rate.png").error()


def test_reader_and_reader_options_can_be_selected(cli, tmp_path: Path) -> None:
    (tmp_path / "odd.data").write_text("1 2 10 1\n3 4 20 0\n")
    command = ("info", tmp_path / "odd.data", "--reader", "text-events", "--json", "--reader-option")
    record = json.loads(cli(*command, "size=[50,40]", "--reader-option", "time_unit=ms").out)
    assert (record["format"], record["width"], record["height"], record["duration_us"]) == (
        "text-events",
        50,
        40,
        10_000,
    )
    assert "NAME=VALUE" in cli(*command, "size").error()
    assert "colour" in cli(*command, "colour=red").error()


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_event_rate_chart_is_written(cli, recording: Path, tmp_path: Path, suffix: str) -> None:
    record = json.loads(cli("info", recording, "-o", tmp_path / f"rate{suffix}", "--json").out)
    assert record["output"] == str(tmp_path / f"rate{suffix}")
    assert (tmp_path / f"rate{suffix}").stat().st_size > 5000


def test_the_chart_draws_on_events_above_off_events(cli, recording: Path, tmp_path: Path) -> None:
    cli("info", recording, "-o", tmp_path / "rate.png")
    pixels = np.asarray(PIL.Image.open(tmp_path / "rate.png").convert("RGB")).astype(int)
    red = (pixels[:, :, 0] - pixels[:, :, 2] > 80).nonzero()
    blue = (pixels[:, :, 2] - pixels[:, :, 0] > 80).nonzero()
    assert len(red[0]) > 2 * len(blue[0]) > 1000
    assert np.median(red[0]) < np.median(blue[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "rate.jpeg"], "not a supported chart format; supported: .png, .pdf, .svg"),
        (["-o", "nowhere/rate.png"], "there is no folder"),
        (["recording.npz", "-o", "rate.png"], "give one file"),
        (["--reader", "nonsense"], "nonsense"),
    ],
)
def test_invalid_arguments_are_a_one_line_error(
    cli, recording: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(recording.parent)
    assert message in cli("info", recording, *arguments).error()
    assert [path.name for path in recording.parent.iterdir()] == ["recording.npz"]


@settings(deadline=None)
@given(
    times=st.lists(st.integers(0, 3000) | st.integers(0, 10**12), min_size=1, max_size=60).map(sorted),
    cuts=st.lists(st.integers(0, 60), max_size=4).map(sorted),
    start=st.integers(-(10**15), 10**15),
)
def test_a_rate_curve_counts_every_event_in_its_step(times: list[int], cuts: list[int], start: int) -> None:
    polarity = [time % 3 == 0 for time in times]
    zeros = [0] * len(times)
    stream = EventStream(zeros, zeros, [start + time for time in times], polarity, 1, 1)
    curve = RateCurve()
    for low, high in zip([0, *cuts], [*cuts, len(times)], strict=True):
        curve.add(stream.slice_events(low, high))
    span = times[-1] - times[0]
    assert span < MAX_STEPS * curve.step_us
    assert curve.step_us == 1 or span >= MAX_STEPS * curve.step_us // 2
    expected = np.zeros((2, MAX_STEPS), int)
    for time, rise in zip(times, polarity, strict=True):
        expected[int(rise), (time - times[0]) // curve.step_us] += 1
    np.testing.assert_array_equal(curve.counts, expected)
    edges, rates = curve.compute_rates()
    assert (edges[0], edges[-1]) == (0, span + 1)
    np.testing.assert_allclose((rates * np.diff(edges)).sum(axis=1) / 1e6, expected.sum(axis=1))
