"""`anybind render`: recordings as images and animations."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.registry import list_parts
from anybind.spec import RepresentationSpec
from anybind_events.stream import EventStream

SECOND = 1_000_000


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Write ten ON events of a row, from left to right, one each tenth of a second; the clock starts at 5 s."""
    times = [5 * SECOND + step * SECOND // 10 for step in range(10)] + [6 * SECOND - 1]
    anybind.write(EventStream([*range(10), 9], [0] * 11, times, [True] * 11, 10, 4), tmp_path / "row.npz")
    return tmp_path / "row.npz"


def read_pixels(image: PIL.Image.Image) -> np.ndarray:
    """Return the image at one pixel per sensor pixel."""
    step = image.width // 10
    return np.asarray(image.convert("RGB"))[step // 2 :: step, step // 2 :: step]


def find_red_columns(image: PIL.Image.Image) -> list[int]:
    """Return the columns of the upper row that are more red than white."""
    return np.flatnonzero(read_pixels(image)[0, :, 1] < 160).tolist()


def read_gif(path: Path) -> list[PIL.Image.Image]:
    with PIL.Image.open(path) as gif:
        return [gif.seek(number) or gif.convert("RGB") for number in range(getattr(gif, "n_frames", 1))]


def read_mp4(path: Path) -> list[PIL.Image.Image]:
    with av.open(path) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def test_on_events_are_red_on_white_with_square_pixels(cli, recording: Path, tmp_path: Path) -> None:
    assert cli("render", recording, "-o", tmp_path / "a.png").code == 0
    image = PIL.Image.open(tmp_path / "a.png")
    assert image.size == (720, 288)
    assert find_red_columns(image) == list(range(10))
    assert (read_pixels(image)[1:] == 255).all()


def test_the_rendering_is_summarised_in_one_line(cli, recording: Path, tmp_path: Path) -> None:
    output = cli("render", recording, "-o", tmp_path / "a.png").out
    assert output == f"{tmp_path / 'a.png'}: 720x288, 11 events as polarity-histogram\n"


def test_json_output_describes_the_rendering(cli, recording: Path, tmp_path: Path) -> None:
    record = json.loads(cli("render", recording, "-o", tmp_path / "a.gif", "--window", "500000us", "--json").out)
    assert record == {
        "file": str(recording),
        "output": str(tmp_path / "a.gif"),
        "representation": {"representation": "polarity-histogram", "normalise": False},
        "sensor": [10, 4],
        "events": 11,
        "duration_us": SECOND - 1,
        "size": [720, 288],
        "frames": 2,
        "fps": 25.0,
        "window_us": 500_000,
    }


def test_the_rendered_range_is_relative_to_the_first_event(cli, recording: Path, tmp_path: Path) -> None:
    cli("render", recording, "-o", tmp_path / "a.png", "--start", "200000us", "--end", "500000us")
    assert find_red_columns(PIL.Image.open(tmp_path / "a.png")) == [2, 3, 4]


@pytest.mark.parametrize(
    "name",
    [part.name for part in list_parts(RepresentationSpec) if part.spec.modality == "event" and part.plugin == "events"],
)
def test_every_event_representation_can_be_rendered(cli, recording: Path, tmp_path: Path, name: str) -> None:
    assert cli("render", recording, "-o", tmp_path / "a.png", "--representation", name).code == 0
    assert len(np.unique(np.asarray(PIL.Image.open(tmp_path / "a.png")))) > 1


def test_representation_options_can_be_set(cli, recording: Path, tmp_path: Path) -> None:
    arguments = ["--representation", "voxel-grid", "--representation-option", "bins=2", "--json"]
    record = json.loads(cli("render", recording, "-o", tmp_path / "a.png", *arguments).out)
    assert record["representation"]["bins"] == 2


def test_the_rendered_range_can_be_on_the_recordings_clock(cli, recording: Path, tmp_path: Path) -> None:
    cli("render", recording, "-o", tmp_path / "a.png", "--start", "5200000us", "--end", "5500000us", "--absolute")
    assert find_red_columns(PIL.Image.open(tmp_path / "a.png")) == [2, 3, 4]
    error = cli("render", recording, "-o", tmp_path / "b.png", "--end", "500000us", "--absolute").error()
    assert "no events from the first event to 500000 us, on its own clock; it has events from 5000000 to" in error


def test_reader_options_choose_what_is_rendered(cli, recording: Path, tmp_path: Path) -> None:
    stream = anybind.read(recording)
    columns = {f"{side}_{name}": getattr(stream, name) for side in ("left", "right") for name in "xytp"}
    np.savez(tmp_path / "two.npz", **columns)
    assert "choose one with source=" in cli("render", tmp_path / "two.npz", "-o", tmp_path / "a.png").error()
    options = ("--reader", "npz-events", "--reader-option", "source=left", "--reader-option", "time_unit=ms")
    record = json.loads(cli("render", tmp_path / "two.npz", "-o", tmp_path / "a.png", *options, "--json").out)
    assert (record["events"], record["duration_us"]) == (len(stream), 1000 * stream.duration_us)


@pytest.mark.parametrize(("ending", "read_frames"), [(".gif", read_gif), (".mp4", read_mp4)])
def test_an_animation_shows_consecutive_windows(cli, recording: Path, tmp_path, ending, read_frames) -> None:
    path = tmp_path / f"a{ending}"
    assert cli("render", recording, "-o", path, "--window", "200000us", "--fps", 5).code == 0
    frames = read_frames(path)
    assert [find_red_columns(frame) for frame in frames] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert frames[0].size == (720, 288)


@pytest.mark.parametrize(("ending", "read_frames"), [(".gif", read_gif), (".mp4", read_mp4)])
def test_a_frame_can_have_a_fixed_number_of_events(cli, recording: Path, tmp_path, ending, read_frames) -> None:
    path = tmp_path / f"a{ending}"
    assert cli("render", recording, "-o", path, "--count", 4).code == 0
    assert [find_red_columns(frame) for frame in read_frames(path)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_window_without_events_is_a_white_frame(cli, recording: Path, tmp_path: Path) -> None:
    cli("render", recording, "-o", tmp_path / "a.mp4", "--window", "50000us")
    frames = read_mp4(tmp_path / "a.mp4")
    assert len(frames) == 20
    assert find_red_columns(frames[1]) == []


def test_an_animation_is_in_real_time_by_default(cli, recording: Path, tmp_path: Path) -> None:
    cli("render", recording, "-o", tmp_path / "a.mp4", "--fps", 10)
    with av.open(tmp_path / "a.mp4") as container:
        video = container.streams.video[0]
        assert video.average_rate == 10
        assert video.frames == 10


def test_a_gif_has_its_frame_rate_and_loops(cli, recording: Path, tmp_path: Path) -> None:
    cli("render", recording, "-o", tmp_path / "a.gif", "--window", "500000us", "--fps", 4)
    with PIL.Image.open(tmp_path / "a.gif") as gif:
        assert gif.info["duration"] == 250
        assert gif.info["loop"] == 0


def test_without_x264_a_video_is_mpeg_4(cli, recording: Path, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av.codec, "codecs_available", {"mpeg4"})
    cli("render", recording, "-o", tmp_path / "a.mp4", "--window", "500000us")
    with av.open(tmp_path / "a.mp4") as container:
        assert container.streams.video[0].codec.name == "mpeg4"
    assert [find_red_columns(frame) for frame in read_mp4(tmp_path / "a.mp4")] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_a_video_of_an_odd_size_is_one_pixel_larger(cli, tmp_path: Path) -> None:
    anybind.write(EventStream([0], [0], [0], [True], 801, 401), tmp_path / "odd.npz")
    assert cli("render", tmp_path / "odd.npz", "-o", tmp_path / "a.mp4").code == 0
    assert read_mp4(tmp_path / "a.mp4")[0].size == (802, 402)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "a.jpg"], "a.jpg: not a supported format; supported: .png, .gif, .mp4"),
        (["-o", "none/a.png"], "there is no folder"),
        (["-o", "a.png", "--window", "5us"], "--window and --count apply to .gif and .mp4"),
        (["-o", "a.gif", "--window", "5us", "--count", 5], "--window or --count, not both"),
        (["-o", "a.gif", "--count", 0], "at least 1 microsecond or event, got 0"),
        (["-o", "a.gif", "--fps", 0], "--fps must be above 0"),
        (
            ["-o", "a.png", "--start", "10000000us"],
            "no events from 10000000 us to the last event, relative to the first event; it has events from 0 to 999999 us",
        ),
        (["-o", "a.png", "--start", "6us", "--end", "5us"], "end: expected a time after the start, 6us, got 5us"),
        (["-o", "a.png", "--representation", "papr"], "did you mean 'paper'"),
        (["-o", "a.png", "--representation-option", "clamp"], "an option is given as NAME=VALUE, got 'clamp'"),
        (["-o", "a.png", "--representation-option", "bins=5"], "unexpected keyword argument 'bins'"),
    ],
)
def test_invalid_arguments_are_a_one_line_error_and_write_no_file(
    cli, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in cli("render", recording, *arguments).error()
    assert [path.name for path in tmp_path.iterdir()] == ["row.npz"]


def test_an_image_cannot_be_rendered(cli, tmp_path: Path) -> None:
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    assert (
        "photo.png: expected an event recording, got image"
        in cli("render", tmp_path / "photo.png", "-o", tmp_path / "a.png").error()
    )


def test_an_empty_recording_is_an_error_that_names_the_file(cli, tmp_path: Path) -> None:
    anybind.write(EventStream([], [], [], [], 4, 4), tmp_path / "none.npz")
    assert "none.npz" in cli("render", tmp_path / "none.npz", "-o", tmp_path / "a.png").error()


def test_a_real_recording_is_rendered_as_image_and_animation(cli, test_data: Path, tmp_path: Path) -> None:
    file = test_data / "events" / "nmnist.bin"
    assert cli("render", file, "-o", tmp_path / "a.png").code == 0
    assert cli("render", file, "-o", tmp_path / "a.gif", "--count", 500).code == 0
    assert PIL.Image.open(tmp_path / "a.png").size == (714, 714)
    assert len(read_gif(tmp_path / "a.gif")) == 9
