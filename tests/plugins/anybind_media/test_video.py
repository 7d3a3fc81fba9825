"""Video files and folders of frames: times, luma, damaged and unsupported files."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind.modality import find_modality, infer_modality
from anybind_media.video import Video, VideoReader, open_video

SIZE = (64, 48)


def make_frames(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Make RGB frames of a moving gray ramp."""
    ramp = np.linspace(0, 255, size[0]).astype(np.uint8)
    return [np.broadcast_to(np.roll(ramp, 5 * n)[None, :, None], (size[1], size[0], 3)).copy() for n in range(count)]


def save_video(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str = "mpeg4",
    layout: str = "yuv420p",
    times_ms: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a video of frames at 25 Hz, or with given times."""
    with av.open(path, "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = layout
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "mpeg4":
            stream.bit_rate = 5_000_000
        for number, frame in enumerate(frames):
            av_frame = av.VideoFrame.from_ndarray(frame, format="gray" if frame.ndim == 2 else "rgb24")
            av_frame.pts = number if times_ms is None else times_ms[number]
            av_frame.time_base = Fraction(1, 25) if times_ms is None else Fraction(1, 1000)
            container.mux(stream.encode(av_frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def video_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_video(tmp_path_factory.mktemp("video") / "ramp.mkv", make_frames(60))


def save_folder(tmp_path: Path, frames: Sequence[np.ndarray], name: str = "{}.png") -> Path:
    root = tmp_path / "frames"
    root.mkdir()
    for number, frame in enumerate(frames):
        PIL.Image.fromarray(frame).save(root / name.format(number))
    return root


def decode_to_error(video: Video) -> tuple[int, str]:
    """Decode a video up to its error; return the number of frames and the message."""
    count = 0
    with pytest.raises(BadInput) as error:
        for _ in video.frames():
            count += 1
    return count, str(error.value)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "mpeg4"),
        ("a.avi", "mpeg4"),
        ("a.mkv", "mpeg4"),
        ("a.mov", "mpeg4"),
        ("a.webm", "libvpx"),
        ("a.mpg", "mpeg2video"),
        ("a.ts", "mpeg2video"),
        ("a.flv", "flv"),
        ("a.wmv", "wmv2"),
    ],
)
def test_common_formats_are_read(tmp_path: Path, name: str, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    path = save_video(tmp_path / name, make_frames(10), codec)
    video = anybind.read(path)
    assert infer_modality(video) == "video"
    assert (video.width, video.height, video.fps) == (*SIZE, 25.0)
    frames = list(video.frames())
    assert [frame.time_us for frame in frames] == [40_000 * number for number in range(10)]
    for frame in frames:
        assert (frame.rgb().shape, frame.rgb().dtype) == ((48, 64, 3), np.uint8)
        assert (frame.gray.shape, frame.gray.dtype) == ((48, 64), np.uint8)


def test_video_is_decoded_repeatedly(video_path: Path) -> None:
    video = anybind.read(video_path)
    first, second = ([(frame.time_us, frame.rgb().sum()) for frame in video.frames()] for _ in range(2))
    assert first == second
    assert len(first) == 60


def test_duration_and_frame_rate(video_path: Path) -> None:
    assert anybind.read(video_path).duration == pytest.approx(60 / 25, abs=0.05)


def test_variable_frame_rate_times(tmp_path: Path) -> None:
    times = [0, 40, 45, 400, 1000, 2500]
    path = save_video(tmp_path / "varying.mkv", make_frames(6), times_ms=times)
    assert [frame.time_us for frame in anybind.read(path).frames()] == [1000 * time for time in times]


def test_time_starts_at_the_first_frame(tmp_path: Path) -> None:
    path = save_video(tmp_path / "late.mkv", make_frames(3), times_ms=[5000, 5040, 5080])
    assert [frame.time_us for frame in anybind.read(path).frames()] == [0, 40_000, 80_000]


def test_gray_is_expanded_luma(tmp_path: Path) -> None:
    grays = [np.full((48, 64, 3), gray, np.uint8) for gray in (0, 1, 20, 128, 254, 255)]
    path = save_video(tmp_path / "flat.avi", grays, "ffv1", "yuv420p")
    grays_decoded = [int(frame.gray[20, 30]) for frame in anybind.read(path).frames()]
    # 219 levels of luma are expanded to 255 of gray.
    np.testing.assert_allclose(grays_decoded, [0, 1, 20, 128, 254, 255], atol=1)
    assert (grays_decoded[0], grays_decoded[-1]) == (0, 255)


def test_luma_expansion_is_rounded(tmp_path: Path) -> None:
    luma = np.arange(256, dtype=np.uint8).reshape(16, 16)
    frame = av.VideoFrame.from_ndarray(np.vstack([luma, np.full((8, 16), 128, np.uint8)]), format="yuv420p")
    path = tmp_path / "levels.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    gray = next(anybind.read(path).frames()).gray
    exact = np.clip((luma.astype(float) - 16) * 255 / 219, 0, 255)
    assert np.array_equal(gray, np.rint(exact))


@pytest.mark.parametrize("layout", ["yuvj420p", "gray", "bgr0", "yuv420p10le"])
def test_gray_of_other_pixel_formats(tmp_path: Path, layout: str) -> None:
    codec = {"yuvj420p": "mjpeg"}.get(layout, "ffv1")
    path = save_video(tmp_path / "other.mkv", make_frames(3), codec, layout)
    for frame, rgb in zip(anybind.read(path).frames(), make_frames(3), strict=True):
        gray = frame.gray
        assert (gray.shape, gray.dtype) == ((48, 64), np.uint8)
        assert gray.flags.c_contiguous
        np.testing.assert_allclose(gray.astype(int), rgb[..., 0], atol=3)


def test_frames_do_not_share_memory(video_path: Path) -> None:
    frames = [frame.gray for frame in anybind.read(video_path).frames()]
    frames_again = [frame.gray.copy() for frame in anybind.read(video_path).frames()]
    assert all(np.array_equal(one, other) for one, other in zip(frames, frames_again, strict=True))


def test_rotation_is_applied(tmp_path: Path) -> None:
    path = save_video(tmp_path / "phone.mp4", make_frames(3))
    raw = bytearray(path.read_bytes())
    matrix = raw.index(b"tkhd") + 44
    assert raw[matrix : matrix + 4] == b"\0\1\0\0"
    numbers = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # by a quarter, clockwise
    raw[matrix : matrix + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(raw)
    upright, video = anybind.read(path), anybind.read(turned)
    assert (video.width, video.height) == (upright.height, upright.width)
    for one, other in zip(upright.frames(), video.frames(), strict=True):
        assert np.array_equal(np.rot90(one.gray, -1), other.gray)
        assert np.array_equal(np.rot90(one.rgb(), -1), other.rgb())


def test_folder_frames_are_in_natural_order(tmp_path: Path) -> None:
    root = save_folder(tmp_path, [np.full((4, 6, 3), number, np.uint8) for number in range(12)])
    (root / "notes.txt").write_text("not a frame")
    (root / ".hidden.png").write_text("not a frame")
    video = open_video(root, fps=10)
    assert (video.width, video.height, video.fps, video.duration) == (6, 4, 10.0, 1.2)
    frames = list(video.frames())
    assert [int(frame.rgb()[0, 0, 0]) for frame in frames] == list(range(12))
    assert [frame.time_us for frame in frames] == [100_000 * number for number in range(12)]


def test_default_frame_rate_of_a_folder(tmp_path: Path) -> None:
    assert [frame.time_us for frame in open_video(save_folder(tmp_path, make_frames(3))).frames()] == [
        0,
        40_000,
        80_000,
    ]


@pytest.mark.parametrize("name", ["{}.png", "{}.jpg"])
def test_gray_of_folder_frames_is_luma(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    smooth = PIL.Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((64, 48))
    root = save_folder(tmp_path, [np.asarray(smooth)], name)
    gray = next(open_video(root).frames()).gray
    expected = np.asarray(PIL.Image.open(root / name.format(0)).convert("L"))
    assert (gray.shape, gray.dtype) == ((48, 64), np.uint8)
    np.testing.assert_allclose(gray.astype(int), expected, atol=2)


def test_real_folder_of_frames(test_data: Path) -> None:
    video = open_video(test_data / "ucsd_ped2" / "frames" / "01", fps=10)
    assert (video.width, video.height, len(video.frame_paths)) == (360, 240, 180)
    grays = [frame.gray for frame in itertools.islice(video.frames(), 5)]
    assert [gray.shape for gray in grays] == [(240, 360)] * 5
    assert all(40 < gray.mean() < 200 for gray in grays)


def test_folder_frame_of_another_size_is_reported(tmp_path: Path) -> None:
    root = save_folder(tmp_path, [*make_frames(2), *make_frames(1, (32, 48))])
    count, message = decode_to_error(open_video(root))
    assert count == 2
    assert f"{root / '2.png'}: frame 2: expected 64x48 pixels as before, got 32x48" in message


def test_damaged_folder_frame_is_reported(tmp_path: Path) -> None:
    root = save_folder(tmp_path, make_frames(3), "{}.jpg")
    path = root / "1.jpg"
    path.write_bytes(path.read_bytes()[:300])
    count, message = decode_to_error(open_video(root))
    assert count == 1
    assert str(path) in message


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("format", ["EPS", "PCX"])
def test_frame_of_another_image_format_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, format: str
) -> None:
    root = save_folder(tmp_path, make_frames(3))
    PIL.Image.fromarray(make_frames(1)[0]).save(root / f"{number}.png", format)
    monkeypatch.setattr(subprocess, "Popen", None)  # Ghostscript could not be started
    with pytest.raises(BadInput, match=rf"{number}\.png: expected an image \(PNG, .*convert it to PNG"):
        list(open_video(root).frames())


def test_folder_without_frames_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no frames"):
        open_video(tmp_path)


@pytest.mark.parametrize("fps", [0, -5, float("nan"), float("inf")])
def test_invalid_frame_rate_is_rejected(tmp_path: Path, fps: float) -> None:
    with pytest.raises(BadOption, match="fps: expected a positive number"):
        open_video(save_folder(tmp_path, make_frames(1)), fps=fps)


def test_frame_rate_of_a_file_is_rejected(video_path: Path) -> None:
    with pytest.raises(BadOption, match="fps applies to folders of frames only"):
        anybind.read(video_path, fps=10)


def count_frames(path: Path) -> int:
    """Count the decodable frames of a video."""
    count = 0
    with av.open(path) as container, contextlib.suppress(av.FFmpegError):
        for packet in container.demux(video=0):
            count += packet.size > 0 and not packet.is_corrupt
    return count


@pytest.mark.parametrize("fraction", [0.6, 0.3])
@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mp4"])
def test_truncated_video_fails_after_its_last_frame(tmp_path: Path, name: str, fraction: float) -> None:
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(100)]
    raw = save_video(tmp_path / name, frames, options=options).read_bytes()
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(raw[: int(len(raw) * fraction)])
    count, message = decode_to_error(anybind.read(cut))
    whole = count_frames(cut)
    assert whole > 90 * fraction
    assert count in (whole, whole + 1)  # of a frame that is cut itself, decoders may show what there is
    assert str(cut) in message
    assert "truncated" in message


def test_video_truncated_before_its_index_is_rejected(tmp_path: Path) -> None:
    raw = save_video(tmp_path / "a.mp4", make_frames(50)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(BadInput, match=r"cut\.mp4: not a complete video"):
        anybind.read(tmp_path / "cut.mp4")


def test_frames_before_damage_are_decoded(tmp_path: Path) -> None:
    raw = bytearray(save_video(tmp_path / "a.mov", make_frames(60), "png", "rgb24").read_bytes())
    places = [place for place in range(len(raw)) if raw[place : place + 4] == b"IHDR"]
    assert len(places) == 60
    raw[places[50] - 4 : places[50] + 60] = bytes(64)
    (tmp_path / "damaged.mov").write_bytes(raw)
    count, message = decode_to_error(anybind.read(tmp_path / "damaged.mov"))
    assert count == 50
    assert "damaged or truncated after 50 frames" in message


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi"])
@pytest.mark.parametrize(
    "error",
    [av.ArgumentError(22, "Invalid argument"), ZeroDivisionError("rate"), OverflowError("time"), ValueError("x")],
)
def test_frames_that_cannot_be_converted_are_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    path = tmp_path / name
    save_video(path, make_frames(3))
    video = anybind.read(path)
    monkeypatch.setattr("anybind_media.video_decoder._convert_frame", fail)
    with pytest.raises(BadInput, match=rf"{name}: damaged video \(.*\); copy it again"):
        anybind.read(path)
    assert f"{path}: damaged video" in decode_to_error(video)[1]
    with pytest.raises(BadInput, match=f"{name}: damaged: no frame can be decoded"):
        video.sample_frames()


def test_oversized_frames_are_rejected(tmp_path: Path) -> None:
    raw = bytearray(save_video(tmp_path / "a.avi", make_frames(3), "mjpeg", "yuvj420p").read_bytes())
    size = raw.index(b"\xff\xc0") + 5  # in the header of the first JPEG av_frame
    assert raw[size : size + 4] == bytes([0, 48, 0, 64])
    raw[size : size + 4] = (60_000).to_bytes(2, "big") * 2
    (tmp_path / "big.avi").write_bytes(raw)
    with pytest.raises(BadInput, match=r"big\.avi: damaged or truncated after 0 frames"):
        anybind.read(tmp_path / "big.avi")


def test_invalid_metadata_text_is_ignored(tmp_path: Path) -> None:
    raw = save_video(tmp_path / "a.mkv", make_frames(3)).read_bytes()
    assert b"Lavf" in raw
    (tmp_path / "odd.mkv").write_bytes(raw.replace(b"Lavf", b"\xff\xfe\xfd\xfc"))
    assert len(list(anybind.read(tmp_path / "odd.mkv").frames())) == 3


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mp4", "a.ts"])
def test_any_damage_raises_bad_input(tmp_path: Path, name: str) -> None:
    raw = save_video(tmp_path / name, make_frames(20), "mpeg2video" if name == "a.ts" else "mpeg4").read_bytes()
    random = np.random.default_rng(0)
    damaged, messages = tmp_path / f"damaged-{name}", []
    for _ in range(40):
        mutated = bytearray(raw)
        for place in random.integers(0, len(raw), random.integers(1, 30)):
            mutated[place] ^= 1 << random.integers(8)
        first, last = np.sort(random.integers(0, len(raw), 2))
        damaged.write_bytes(mutated[: first + 1] + mutated[last:] if random.random() < 0.5 else mutated)
        try:
            video = anybind.read(damaged, reader="video")
            find_modality("video").show(video)
            assert all(frame.gray.shape == (video.height, video.width) for frame in video.frames())
        except BadInput as error:
            messages.append(str(error))
    assert len(messages) > 5
    assert all(str(damaged) in message for message in messages)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_other_files_are_rejected(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no video at all " * 100)
    with pytest.raises(BadInput, match=f"{name}(: not a| is no)"):
        anybind.read(path)


def test_playlist_with_video_suffix_is_rejected(tmp_path: Path, video_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{video_path}\n#EXT-X-ENDLIST\n")
    with pytest.raises(BadInput, match="not a supported video"):
        anybind.read(path, reader="video")


def test_empty_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(BadInput, match="empty"):
        anybind.read(tmp_path / "a.mp4")


def test_video_without_frames_is_rejected(tmp_path: Path) -> None:
    whole = save_video(tmp_path / "a.avi", make_frames(1)).read_bytes()
    (tmp_path / "none.avi").write_bytes(whole[: whole.index(b"movi") + 4])
    with pytest.raises(BadInput, match=r"none\.avi: (no frames|not a complete video)"):
        anybind.read(tmp_path / "none.avi")


def test_audio_only_file_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    assert infer_modality(anybind.read(path)) == "sound"
    with pytest.raises(BadInput, match="expected a video stream, got audio; read it with reader='sound'"):
        anybind.read(path, reader="video")


def test_unsupported_codec_is_rejected(tmp_path: Path) -> None:
    raw = save_video(tmp_path / "a.avi", make_frames(5)).read_bytes()
    (tmp_path / "odd.avi").write_bytes(raw.replace(b"FMP4", b"QqZ9"))
    with pytest.raises(BadInput, match=r"odd\.avi: unsupported codec"):
        anybind.read(tmp_path / "odd.avi")


def test_changing_frame_size_is_reported(tmp_path: Path) -> None:
    # Packets of two encoders in one stream: each is a av_frame of its own.
    path = tmp_path / "mixed.mkv"
    with av.open(path, "w") as container:
        streams = [container.add_stream("mjpeg", rate=25)]
        streams[0].width, streams[0].height, streams[0].pix_fmt = *SIZE, "yuvj420p"
        for number, frame in enumerate([*make_frames(4), *make_frames(3, (32, 24))]):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width = frame.shape[:2]
            encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
            for packet in [*encoder.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")), *encoder.encode()]:
                packet.stream, packet.pts, packet.dts, packet.time_base = streams[0], number, number, Fraction(1, 25)
                container.mux(packet)
    count, message = decode_to_error(anybind.read(path))
    assert count == 4
    assert f"{path}: frame 4: expected 64x48 pixels as before, got 32x24" in message


def test_decreasing_time_is_reported(tmp_path: Path) -> None:
    # MPEG-TS videos can be concatenated; times of the second restart.
    first = save_video(tmp_path / "a.ts", make_frames(30), "mpeg2video").read_bytes()
    (tmp_path / "two.ts").write_bytes(first + first)
    count, message = decode_to_error(anybind.read(tmp_path / "two.ts"))
    assert count >= 29
    assert "time decreases at frame" in message


def test_video_rendering_is_a_strip_of_frames(video_path: Path) -> None:
    modality = find_modality("video")
    video = anybind.read(video_path)
    modality.check(video)
    strip = modality.show(video)
    assert strip.shape == (120, 6 * 160, 3)
    cells = strip.reshape(120, 6, 160, 3).transpose(1, 0, 2, 3).astype(int)
    assert all(np.abs(one - other).mean() > 2 for one, other in itertools.pairwise(cells))
    np.testing.assert_allclose(cells[0, 60, :, 0], np.linspace(0, 255, 160), atol=25)


def test_sampled_frames_are_evenly_spaced(video_path: Path) -> None:
    video = anybind.read(video_path)
    frames = [frame.rgb() for frame in video.frames()]
    for frame, number in zip(video.sample_frames(4), (0, 15, 30, 45), strict=True):
        assert min(range(60), key=lambda n: np.abs(frames[n].astype(int) - frame).mean()) == pytest.approx(
            number, abs=1
        )


def test_folder_rendering_is_a_strip_of_frames(tmp_path: Path) -> None:
    video = open_video(save_folder(tmp_path, make_frames(4)))
    assert find_modality("video").show(video).shape == (120, 4 * 160, 3)


def test_empty_frames_are_rejected() -> None:
    with pytest.raises(BadInput, match="empty frames"):
        find_modality("video").check(Video(Path("a.mp4"), 0, 48, 25.0, 1.0))


def test_only_video_objects_are_samples() -> None:
    modality = find_modality("video")
    assert not modality.accepts("video.mp4")
    assert not modality.accepts(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("head", "is_video"),
    [
        (b"\0\0\0\x20ftypisom", True),
        (b"\0\0\0\x20ftypqt  ", True),
        (b"\0\0\0\x20ftypheic", False),
        (b"\0\0\0\x20ftypavif", False),
        (b"\0\0\0\x20ftypM4A ", False),
        (b"\0\0\0\x08wide\0\0\0\0mdat", True),
        (b"RIFF\x10\0\0\0AVI LIST", True),
        (b"RIFF\x10\0\0\0WAVEfmt ", False),
        (b"RIFF\x10\0\0\0WEBPVP8 ", False),
        (b"\x1aE\xdf\xa3\x01", True),
        (b"OggS\0\2" + bytes(22) + b"\x80theora", True),
        (b"OggS\0\2" + bytes(22) + b"\x01vorbis", False),
        (b"G" + (bytes(187) + b"G") * 3, True),
        (b"G" + bytes(600), False),
        (b"\x89PNG\r\n\x1a\n", False),
        (b"PK\x03\x04", False),
        (b"", False),
    ],
)
def test_sniff_video_formats(head: bytes, is_video: bool) -> None:
    assert VideoReader().sniff(head) is is_video


def test_video_is_not_derived_from_image() -> None:
    with pytest.raises(BadInput, match="no video can be made from image"):
        anybind.derive("video", np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("number", [0, 1])
def test_a_git_lfs_pointer_among_frames_is_named(tmp_path: Path, number: int) -> None:
    for name in range(3):
        PIL.Image.new("RGB", (8, 6)).save(tmp_path / f"{name}.png")
    (tmp_path / f"{number}.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(
        BadInput, match=rf"{number}\.png: expected the file itself, got a Git LFS pointer.*git lfs pull"
    ):
        list(open_video(tmp_path).frames())


def test_a_pipe_among_frames_is_not_waited_for(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 6)).save(tmp_path / "0.png")
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(BadInput, match=r"1\.png: expected a regular file, got a pipe"):
        list(open_video(tmp_path).frames())


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.gif", "a.webp", "frames"])
def test_limit_of_pixels_of_a_frame_is_an_option(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    images = [PIL.Image.new("RGB", (64, 48), (60 * number, 9, 9)) for number in range(3)]
    if name == "frames":
        path.mkdir()
        for number, image in enumerate(images):
            image.save(path / f"{number}.png")
    elif name.endswith(("gif", "webp")):
        images[0].save(path, save_all=True, append_images=images[1:])
    else:
        with av.open(path, "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height = 64, 48
            for image in images:
                container.mux(stream.encode(av.VideoFrame.from_image(image)))
            container.mux(stream.encode())
    video = open_video(path, max_pixels=64 * 48)
    assert len(list(video.frames())) == len(video.sample_frames(3)) == 3
    with pytest.raises(
        BadInput, match="64x48 pixels exceed the limit of 3071; save a smaller image, or raise the limit"
    ):
        open_video(path, max_pixels=3071)
    with pytest.raises(BadOption, match="max_pixels: expected at least 1, got 0"):
        open_video(path, max_pixels=0)
