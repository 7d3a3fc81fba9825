"""`anybind simulate`: recordings of images, videos and folders of frames."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

import anybind
from anybind_events.commands.simulation_options import HELP, list_option_parameters
from anybind_events.readers.npz import NpzReader
from anybind_events.simulation.models import MODELS
from anybind_events.simulation.motion import SENSOR, Motion, simulate_motion
from anybind_events.simulation.saccades import Saccades, simulate_saccades
from anybind_events.simulation.sensor_model import SensorModel
from anybind_events.simulation.video import contrast, frame_difference
from anybind_events.stream import EventStream, concatenate_streams
from helpers.command import Command
from helpers.streams import list_contents

FRAMES = np.random.default_rng(4).integers(0, 256, (12, 24, 32), dtype=np.uint8)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    PIL.Image.fromarray(FRAMES[0]).save(path)
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "gray"
        for frame in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "frames"
    root.mkdir()
    for number, frame in enumerate(FRAMES):
        PIL.Image.fromarray(frame).save(root / f"{number:03}.png")
    return root


def join_contents(parts: Iterable[EventStream]) -> tuple[object, ...]:
    return list_contents(concatenate_streams(list(parts)))


def test_an_image_is_simulated_by_saccades(cli: Command, image: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npz"
    ended = cli("simulate", image, "-o", output, "--seed", 3, "--threshold", 0.3, "--json")
    record = json.loads(ended.out)
    expected = simulate_saccades(anybind.read(image), sensor=SensorModel(threshold=0.3), seed=3)
    assert list_contents(anybind.read(output)) == list_contents(expected)
    assert record["model"] == "saccades"
    assert record["settings"] == {"seed": 3, **vars(Saccades()), **vars(SensorModel()), "threshold": 0.3}
    assert (record["events"], record["sensor"]) == (len(expected), [240, 180])
    assert record["duration_us"] == expected.duration_us


def test_an_image_is_simulated_by_motion_with_all_options_in_the_record(
    cli: Command, image: Path, tmp_path: Path
) -> None:
    options = ("--width", 60, "--height", 50, "--motion", "turn", "--shot-hz", 2, "--hot-pixels", 3)
    ended = cli("simulate", image, "-o", tmp_path / "out.npz", "--model", "motion", "--seed", 4, *options, "--json")
    record = json.loads(ended.out)
    motion, sensor = Motion(width=60, height=50, motion="turn"), replace(SENSOR, shot_hz=2.0, hot_pixels=3)
    expected = simulate_motion(anybind.read(image), motion, sensor, seed=4)
    assert list_contents(anybind.read(tmp_path / "out.npz")) == list_contents(expected)
    assert record["settings"] == {"seed": 4, **vars(motion), **vars(sensor)}
    assert record["sensor"] == [60, 50]


def test_every_option_of_a_model_is_an_option_of_the_command_with_its_default() -> None:
    options = {name for model in MODELS for name in model.defaults} - {"seed"}
    assert options == set(HELP)
    texts = {each.name: each.annotation.__metadata__[0].help for each in list_option_parameters()}
    assert texts["threshold"].endswith("[default: 0.25; 0.35 for eased-saccades; 25.0 for frame-difference]")
    assert texts["jitter"] == "Trembling of the hand: standard deviation in pixels. (motion) [default: 0.5]"
    assert texts["direction_degrees"].endswith("(motion) [default: at random]")


@pytest.mark.parametrize("name", ["out.h5", "out.npz"])
def test_a_video_is_simulated_by_frame_differences(cli: Command, video: Path, tmp_path: Path, name: str) -> None:
    ended = cli("simulate", video, "-o", tmp_path / name, "--json")
    record = json.loads(ended.out)
    recording = anybind.read(tmp_path / name)
    assert list_contents(recording) == join_contents(frame_difference(anybind.read(video)))
    assert (record["model"], record["settings"]) == ("frame-difference", {"threshold": 25.0, "difference": "luma"})
    assert (record["events"], record["frames"], record["sensor"]) == (len(recording), 12, [32, 24])
    assert record["duration_us"] == recording.duration_us == 10 * 50_000


def test_a_video_is_simulated_by_the_contrast_model(cli: Command, video: Path, tmp_path: Path) -> None:
    options = {"threshold": 0.4, "mismatch": 0.1, "refractory_us": 900.0, "leak_hz": 3.0, "shot_hz": 4.0}
    flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
    cli("simulate", video, "-o", tmp_path / "out.h5", "--model", "contrast", "--seed", 7, *flags)
    expected = contrast(anybind.read(video), sensor=SensorModel(**options), seed=7)
    assert list_contents(anybind.read(tmp_path / "out.h5")) == join_contents(expected)


def test_a_long_recording_is_written_in_chunks(
    cli: Command, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anybind_events.file_simulation.WRITE_BATCH_EVENTS", 1000)
    cli("simulate", video, "-o", tmp_path / "out.h5")
    assert list_contents(anybind.read(tmp_path / "out.h5")) == join_contents(frame_difference(anybind.read(video)))


def test_a_folder_of_frames_is_simulated(cli: Command, folder: Path, tmp_path: Path) -> None:
    ended = cli("simulate", folder, "-o", tmp_path / "out.npz", "--fps", 10)
    recording = anybind.read(tmp_path / "out.npz")
    assert np.unique(recording.t).tolist() == [100_000 * number for number in range(1, 12)]
    assert ended.out.strip() == (
        f"{tmp_path / 'out.npz'}: {len(recording)} events, 32x24, 1000000 us, by frame-difference"
    )


def test_the_default_frame_rate_of_a_folder_is_25(cli: Command, folder: Path, tmp_path: Path) -> None:
    cli("simulate", folder, "-o", tmp_path / "out.npz")
    assert anybind.read(tmp_path / "out.npz").t[0] == 40_000


@pytest.mark.parametrize(
    ("source", "option", "message"),
    [
        ("video", ("--fps", 10), "--fps applies to a folder"),
        ("image", ("--model", "contrast"), "no simulation 'contrast' of image"),
        ("video", ("--leak-hz", 2), "'frame-difference' has no option leak_hz"),
    ],
)
def test_an_option_of_another_source_or_model_is_an_error(
    cli: Command, request: pytest.FixtureRequest, tmp_path: Path, source: str, option: tuple[str, object], message: str
) -> None:
    path = request.getfixturevalue(source)
    assert message in cli("simulate", path, "-o", tmp_path / "a.h5", *option).error()


def test_a_recording_cannot_be_simulated(cli: Command, image: Path, tmp_path: Path) -> None:
    cli("simulate", image, "-o", tmp_path / "a.npz")
    ended = cli("simulate", tmp_path / "a.npz", "-o", tmp_path / "b.npz")
    assert "expected image or video to simulate events from, got event" in ended.error()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("a.pdf", "not a format that events can be written to"),
        ("none/a.h5", "there is no folder"),
        (".", "regular file"),
    ],
)
def test_an_invalid_output_is_reported_before_the_simulation(
    cli: Command, tmp_path: Path, output: str, message: str
) -> None:
    (tmp_path / "none.mp4").touch()
    assert message in cli("simulate", tmp_path / "none.mp4", "-o", tmp_path / output).error()


def test_a_read_only_format_is_reported_before_the_simulation(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(NpzReader, "write")
    (tmp_path / "none.mp4").touch()
    assert (
        "not a format that events can be written to"
        in cli("simulate", tmp_path / "none.mp4", "-o", tmp_path / "a.npz").error()
    )


def test_a_missing_source_is_an_error(cli: Command, tmp_path: Path) -> None:
    ended = cli("simulate", tmp_path / "none.mp4", "-o", tmp_path / "a.h5")
    assert f"cannot read {tmp_path / 'none.mp4'}" in ended.error()


@pytest.mark.parametrize("name", ["a.h5", "a.npz"])
def test_a_static_video_is_an_error_and_writes_no_file(cli: Command, tmp_path: Path, name: str) -> None:
    root = tmp_path / "still"
    root.mkdir()
    for number in range(3):
        PIL.Image.fromarray(FRAMES[0]).save(root / f"{number}.png")
    ended = cli("simulate", root, "-o", tmp_path / name)
    assert f"{root}: no pixel changes enough for an event; lower --threshold" in ended.error()
    assert [path.name for path in tmp_path.iterdir()] == ["still"]


def test_a_damaged_video_is_an_error_and_writes_no_file(cli: Command, video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(video.read_bytes()[:-4000])
    video.unlink()
    ended = cli("simulate", cut, "-o", tmp_path / "a.h5")
    assert str(cut) in ended.error()
    assert [path.name for path in tmp_path.iterdir()] == ["cut.mkv"]


def test_a_narrow_image_is_an_error_that_names_the_file(cli: Command, tmp_path: Path) -> None:
    path = tmp_path / "line.png"
    PIL.Image.fromarray(np.zeros((2, 1000, 3), np.uint8)).save(path)
    ended = cli("simulate", path, "-o", tmp_path / "a.npz")
    assert re.search(rf"{path}: image of 1000x2 pixels: expected an aspect ratio", ended.error())


def test_real_frames_are_simulated(cli: Command, tmp_path: Path, test_data: Path) -> None:
    frames = test_data / "ucsd_ped2" / "frames" / "01"
    ended = cli("simulate", frames, "-o", tmp_path / "a.h5", "--fps", 10, "--json")
    record = json.loads(ended.out)
    recording = anybind.read(tmp_path / "a.h5")
    assert len(recording) == record["events"] > 10_000
    assert (recording.width, recording.height) == (360, 240)
