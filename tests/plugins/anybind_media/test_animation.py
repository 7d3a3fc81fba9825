"""Animated GIF, WebP and PNG as videos: frames, times, still images, damage."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind.reader import find_reader
from anybind_vad.opening import open_video
from helpers.command import Command

DELAYS = [40, 80, 10, 100, 60]
TIMES = [0, 40_000, 120_000, 220_000, 320_000]
"""Times in microseconds; a frame of 10 ms is shown for 100 ms."""
FORMATS = ["gif", "webp", "png", "apng"]


def make_frames(count: int = 5, size: tuple[int, int] = (64, 48)) -> list[PIL.Image.Image]:
    """Make frames of a bright square that moves to the right."""
    frames = []
    for number in range(count):
        frame = np.full((size[1], size[0], 3), 40, np.uint8)
        frame[10:30, 8 * number : 8 * number + 12] = (220, 200, 30)
        frames.append(PIL.Image.fromarray(frame))
    return frames


def save_animation(path: Path, **options: object) -> Path:
    first, *others = make_frames()
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    format = "PNG" if path.suffix == ".apng" else None
    settings = {"duration": DELAYS, "append_images": others, "loop": 0} | lossless | options
    first.save(path, format, save_all=True, **settings)
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_animation_is_read_as_video(tmp_path: Path, format: str) -> None:
    path = save_animation(tmp_path / f"a.{format}")
    assert find_reader(path, "video").name == "video"
    video = anybind.read(path, reader="video")
    assert (video.width, video.height, video.duration) == (64, 48, pytest.approx(0.38))
    assert round(video.duration * video.fps) == 5
    frames = list(video.frames())
    assert [frame.time_us for frame in frames] == TIMES
    for frame, expected in zip(frames, make_frames(), strict=True):
        assert np.array_equal(frame.rgb(), np.asarray(expected))
        assert np.array_equal(frame.gray, np.asarray(expected.convert("L")))
    strip = video.sample_frames(3)
    assert [np.flatnonzero(each[20, :, 0] > 99)[0] for each in strip] == [0, 16, 24]


@pytest.mark.parametrize("format", ["gif", "webp", "png"])
def test_animation_is_an_image_by_default(tmp_path: Path, format: str) -> None:
    path = save_animation(tmp_path / f"a.{format}")
    assert np.array_equal(anybind.read(path), np.asarray(make_frames()[0]))


def test_gif_without_loop_and_with_a_large_first_frame_is_a_video(tmp_path: Path) -> None:
    noise = [
        PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, (120, 160), dtype=np.uint8)) for seed in (0, 1)
    ]
    noise[0].save(tmp_path / "a.gif", save_all=True, append_images=noise[1:], duration=50)
    assert b"NETSCAPE" not in (tmp_path / "a.gif").read_bytes()
    assert find_reader(tmp_path / "a.gif", "video").name == "video"
    assert [frame.time_us for frame in anybind.read(tmp_path / "a.gif", reader="video").frames()] == [0, 50_000]


def test_gif_of_another_writer_is_read(tmp_path: Path) -> None:
    # FFmpeg writes the changed part of each frame only, with transparency.
    with av.open(tmp_path / "a.gif", "w") as container:
        stream = container.add_stream("gif", rate=20)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"
        for frame in make_frames():
            container.mux(stream.encode(av.VideoFrame.from_image(frame).reformat(format="rgb8")))
        container.mux(stream.encode())
    frames = list(anybind.read(tmp_path / "a.gif", reader="video").frames())
    assert [frame.time_us for frame in frames] == [50_000 * number for number in range(5)]
    for frame, expected in zip(frames, make_frames(), strict=True):
        assert np.abs(frame.rgb().astype(int) - np.asarray(expected)).max() < 90  # 8 levels of a colour
        assert (
            np.flatnonzero(frame.gray[20] > 120).tolist()
            == np.flatnonzero(np.asarray(expected)[20, :, 0] > 120).tolist()
        )


def test_apng_of_another_writer_is_read(tmp_path: Path) -> None:
    with av.open(tmp_path / "a.png", "w", format="apng") as container:
        stream = container.add_stream("apng", rate=20)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        for frame in make_frames():
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    video = anybind.read(tmp_path / "a.png", reader="video")
    for frame, expected in zip(video.frames(), make_frames(), strict=True):
        assert np.array_equal(frame.rgb(), np.asarray(expected))


def test_default_image_of_apng_is_no_frame(tmp_path: Path) -> None:
    path = save_animation(tmp_path / "a.png", default_image=True, duration=DELAYS[1:])
    frames = list(anybind.read(path, reader="video").frames())
    assert [frame.time_us for frame in frames] == [0, 80_000, 180_000, 280_000]
    assert np.array_equal(frames[0].rgb(), np.asarray(make_frames()[1]))


def test_transparency_is_on_white(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGBA", (8, 6), (200, 0, 0, alpha)) for alpha in (0, 255)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True, duration=50)
    levels = [frame.rgb()[0, 0].tolist() for frame in anybind.read(tmp_path / "a.webp", reader="video").frames()]
    assert levels == [[255, 255, 255], [200, 0, 0]]


@pytest.mark.parametrize("format", ["gif", "webp", "png"])
def test_still_image_is_no_video(tmp_path: Path, format: str) -> None:
    make_frames()[0].save(tmp_path / f"a.{format}")
    assert find_reader(tmp_path / f"a.{format}", "video").name == "image"
    with pytest.raises(BadInput, match="expected a video, a folder of frames or an event recording, got image"):
        open_video(tmp_path / f"a.{format}")


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_animation_fails_after_its_last_frame(tmp_path: Path, format: str) -> None:
    path = save_animation(tmp_path / f"a.{format}")
    raw, count = path.read_bytes(), 0
    path.write_bytes(raw[: len(raw) * 7 // 10])
    with pytest.raises(BadInput, match=rf"a\.{format}: (damaged or )?truncated after [0-4] frames.*copy it again"):
        for _ in anybind.read(path, reader="video").frames():
            count += 1
    assert count < 5
    assert (count == 0) == (format == "webp")  # Pillow opens complete WebP files only


@pytest.mark.parametrize("format", ["gif", pytest.param("webp", marks=[pytest.mark.slow, pytest.mark.long]), "png"])
def test_any_damage_of_an_animation_raises_bad_input(tmp_path: Path, format: str) -> None:
    raw = save_animation(tmp_path / f"a.{format}").read_bytes()
    random, messages = np.random.default_rng(0), []
    for _ in range(60):
        mutated = bytearray(raw)
        for place in random.integers(8, len(raw), random.integers(1, 12)):
            mutated[place] ^= 1 << random.integers(8)
        (tmp_path / "b").write_bytes(mutated[: random.integers(20, len(raw))] if random.random() < 0.5 else mutated)
        try:
            video = anybind.read(tmp_path / "b", reader="video")
            assert all(frame.gray.size for frame in video.frames())
        except BadInput as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all(str(tmp_path / "b") in message and "\n" not in message for message in messages)


@pytest.mark.parametrize("format", FORMATS)
def test_simulate_takes_all_frames_of_an_animation(cli: Command, tmp_path: Path, format: str) -> None:
    path = save_animation(tmp_path / f"a.{format}")
    record = json.loads(cli("simulate", path, "-o", tmp_path / "a.npz", "--json").out)
    assert (record["model"], record["frames"], record["sensor"]) == ("frame-difference", 5, [64, 48])
    assert record["duration_us"] == TIMES[-1] - TIMES[1]
    if format != "apng":
        still = json.loads(cli("simulate", path, "-o", tmp_path / "b.npz", "--model", "saccades", "--json").out)
        assert still["model"] == "saccades"


def test_simulate_takes_a_gif_of_one_frame_as_an_image(cli: Command, tmp_path: Path) -> None:
    make_frames()[0].save(tmp_path / "a.gif", loop=0)
    assert b"NETSCAPE" in (tmp_path / "a.gif").read_bytes()
    record = json.loads(cli("simulate", tmp_path / "a.gif", "-o", tmp_path / "a.npz", "--json").out)
    assert record["model"] == "saccades"


def test_frame_rate_of_an_animation_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="fps applies to folders of frames only"):
        anybind.read(save_animation(tmp_path / "a.gif"), reader="video", fps=10)


def test_windows_of_an_animation(tmp_path: Path) -> None:
    assert len(list(open_video(save_animation(tmp_path / "a.gif")).frames())) == 5


@pytest.mark.parametrize("field", [b"left", b"top", b"width", b"height"])
def test_a_gif_frame_beyond_the_canvas_is_refused_before_it_is_decoded(tmp_path, field):
    frames = [PIL.Image.new("L", (8, 6), level) for level in (0, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50, loop=0)
    content = bytearray((tmp_path / "a.gif").read_bytes())
    second = content.rindex(b"\x2c\0\0\0\0\x08\0\x06\0")  # the descriptor of a frame of the canvas' size
    place = second + 1 + 2 * [b"left", b"top", b"width", b"height"].index(field)
    content[place : place + 2] = (60_000).to_bytes(2, "little")
    (tmp_path / "b.gif").write_bytes(content)
    with pytest.raises(BadInput, match=r"b\.gif: a frame of .* exceeds the canvas of 8x6"):
        list(anybind.read(tmp_path / "b.gif", reader="video").frames())
    assert len(list(anybind.read(tmp_path / "a.gif", reader="video").frames())) == 2
