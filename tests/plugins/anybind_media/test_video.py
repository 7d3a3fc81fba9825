"""Films: files that FFmpeg decodes and folders of frames, their times, their luma, and what is wrong with some."""

from __future__ import annotations

import contextlib
import itertools
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


def shades(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """RGB frames, each a ramp of grays that moves to the right."""
    ramp = np.linspace(0, 255, size[0]).astype(np.uint8)
    return [np.broadcast_to(np.roll(ramp, 5 * n)[None, :, None], (size[1], size[0], 3)).copy() for n in range(count)]


def save_film(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str = "mpeg4",
    layout: str = "yuv420p",
    times_ms: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A film of these frames at 25 a second, or at these times."""
    with av.open(path, "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = layout
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "mpeg4":
            stream.bit_rate = 5_000_000
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="gray" if frame.ndim == 2 else "rgb24")
            picture.pts = number if times_ms is None else times_ms[number]
            picture.time_base = Fraction(1, 25) if times_ms is None else Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_film(tmp_path_factory.mktemp("film") / "ramp.mkv", shades(60))


def folder_of(tmp_path: Path, frames: Sequence[np.ndarray], name: str = "{}.png") -> Path:
    root = tmp_path / "frames"
    root.mkdir()
    for number, frame in enumerate(frames):
        PIL.Image.fromarray(frame).save(root / name.format(number))
    return root


def played(video: Video) -> tuple[int, str]:
    """How many frames came before it broke, and what it said."""
    count = 0
    with pytest.raises(BadInput) as broken:
        for _ in video.frames():
            count += 1
    return count, str(broken.value)


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
def test_a_film_of_every_common_format_is_read(tmp_path: Path, name: str, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    path = save_film(tmp_path / name, shades(10), codec)
    video = anybind.read(path)
    assert infer_modality(video) == "video"
    assert (video.width, video.height, video.fps) == (*SIZE, 25.0)
    frames = list(video.frames())
    assert [frame.time_us for frame in frames] == [40_000 * number for number in range(10)]
    for frame in frames:
        assert (frame.rgb().shape, frame.rgb().dtype) == ((48, 64, 3), np.uint8)
        assert (frame.gray.shape, frame.gray.dtype) == ((48, 64), np.uint8)


def test_a_film_can_be_played_again(film: Path) -> None:
    video = anybind.read(film)
    first, second = ([(frame.time_us, frame.rgb().sum()) for frame in video.frames()] for _ in range(2))
    assert first == second
    assert len(first) == 60


def test_a_film_says_how_long_it_lasts(film: Path) -> None:
    assert anybind.read(film).duration == pytest.approx(60 / 25, abs=0.05)


def test_times_are_the_films_own_where_its_rate_varies(tmp_path: Path) -> None:
    times = [0, 40, 45, 400, 1000, 2500]
    path = save_film(tmp_path / "varying.mkv", shades(6), times_ms=times)
    assert [frame.time_us for frame in anybind.read(path).frames()] == [1000 * time for time in times]


def test_time_begins_with_the_first_frame(tmp_path: Path) -> None:
    path = save_film(tmp_path / "late.mkv", shades(3), times_ms=[5000, 5040, 5080])
    assert [frame.time_us for frame in anybind.read(path).frames()] == [0, 40_000, 80_000]


def test_gray_frames_are_the_decoders_luma_expanded_to_255(tmp_path: Path) -> None:
    grays = [np.full((48, 64, 3), gray, np.uint8) for gray in (0, 1, 20, 128, 254, 255)]
    path = save_film(tmp_path / "flat.avi", grays, "ffv1", "yuv420p")
    found = [int(frame.gray[20, 30]) for frame in anybind.read(path).frames()]
    # 219 levels of luma stand for 255 of gray.
    np.testing.assert_allclose(found, [0, 1, 20, 128, 254, 255], atol=1)
    assert (found[0], found[-1]) == (0, 255)


def test_every_value_of_luma_is_expanded_to_the_nearest_level(tmp_path: Path) -> None:
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
def test_gray_frames_are_right_in_other_layouts(tmp_path: Path, layout: str) -> None:
    codec = {"yuvj420p": "mjpeg"}.get(layout, "ffv1")
    path = save_film(tmp_path / "other.mkv", shades(3), codec, layout)
    for frame, rgb in zip(anybind.read(path).frames(), shades(3), strict=True):
        gray = frame.gray
        assert (gray.shape, gray.dtype) == ((48, 64), np.uint8)
        assert gray.flags.c_contiguous
        np.testing.assert_allclose(gray.astype(int), rgb[..., 0], atol=3)


def test_frames_do_not_share_memory_with_each_other(film: Path) -> None:
    kept = [frame.gray for frame in anybind.read(film).frames()]
    again = [frame.gray.copy() for frame in anybind.read(film).frames()]
    assert all(np.array_equal(one, other) for one, other in zip(kept, again, strict=True))


def test_a_film_that_is_to_be_shown_turned_is_turned(tmp_path: Path) -> None:
    path = save_film(tmp_path / "phone.mp4", shades(3))
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


def test_a_folder_of_frames_is_played_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    root = folder_of(tmp_path, [np.full((4, 6, 3), number, np.uint8) for number in range(12)])
    (root / "notes.txt").write_text("not a frame")
    (root / ".hidden.png").write_text("not a frame")
    video = open_video(root, fps=10)
    assert (video.width, video.height, video.fps, video.duration) == (6, 4, 10.0, 1.2)
    frames = list(video.frames())
    assert [int(frame.rgb()[0, 0, 0]) for frame in frames] == list(range(12))
    assert [frame.time_us for frame in frames] == [100_000 * number for number in range(12)]


def test_a_folder_is_of_25_frames_a_second_unless_told(tmp_path: Path) -> None:
    assert [frame.time_us for frame in open_video(folder_of(tmp_path, shades(3))).frames()] == [0, 40_000, 80_000]


@pytest.mark.parametrize("name", ["{}.png", "{}.jpg"])
def test_gray_frames_of_a_folder_are_luma(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    smooth = PIL.Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((64, 48))
    root = folder_of(tmp_path, [np.asarray(smooth)], name)
    gray = next(open_video(root).frames()).gray
    expected = np.asarray(PIL.Image.open(root / name.format(0)).convert("L"))
    assert (gray.shape, gray.dtype) == ((48, 64), np.uint8)
    np.testing.assert_allclose(gray.astype(int), expected, atol=2)


def test_the_frames_of_a_real_folder(test_data: Path) -> None:
    video = open_video(test_data / "ucsd_ped2" / "frames" / "01", fps=10)
    assert (video.width, video.height, len(video.pictures)) == (360, 240, 180)
    grays = [frame.gray for frame in itertools.islice(video.frames(), 5)]
    assert [gray.shape for gray in grays] == [(240, 360)] * 5
    assert all(40 < gray.mean() < 200 for gray in grays)


def test_a_frame_of_another_size_in_a_folder_is_named_after_those_before_it(tmp_path: Path) -> None:
    root = folder_of(tmp_path, [*shades(2), *shades(1, (32, 48))])
    count, said = played(open_video(root))
    assert count == 2
    assert f"{root / '2.png'}: frame 2 is 32x48 and those before it are 64x48" in said


def test_a_damaged_frame_in_a_folder_is_named_after_those_before_it(tmp_path: Path) -> None:
    root = folder_of(tmp_path, shades(3), "{}.jpg")
    path = root / "1.jpg"
    path.write_bytes(path.read_bytes()[:300])
    count, said = played(open_video(root))
    assert count == 1
    assert str(path) in said


def test_a_folder_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no frames"):
        open_video(tmp_path)


@pytest.mark.parametrize("fps", [0, -5, float("nan"), float("inf")])
def test_a_rate_that_makes_no_sense_is_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(BadOption, match="fps must be a number above 0"):
        open_video(folder_of(tmp_path, shades(1)), fps=fps)


def test_a_rate_for_a_file_is_refused(film: Path) -> None:
    with pytest.raises(BadOption, match="says its own times"):
        anybind.read(film, fps=10)


def whole_packets(path: Path) -> int:
    """How many frames a film has in full."""
    count = 0
    with av.open(path) as container, contextlib.suppress(av.FFmpegError):
        for packet in container.demux(video=0):
            count += packet.size > 0 and not packet.is_corrupt
    return count


@pytest.mark.parametrize("share", [0.6, 0.3])
@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mp4"])
def test_a_film_that_is_cut_off_is_told_after_its_last_frame(tmp_path: Path, name: str, share: float) -> None:
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(100)]
    raw = save_film(tmp_path / name, frames, options=options).read_bytes()
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(raw[: int(len(raw) * share)])
    count, said = played(anybind.read(cut))
    whole = whole_packets(cut)
    assert whole > 90 * share
    assert count in (whole, whole + 1)  # of a frame that is cut itself, decoders may show what there is
    assert str(cut) in said
    assert "cut off" in said


def test_a_film_cut_off_before_its_table_of_contents_is_refused(tmp_path: Path) -> None:
    raw = save_film(tmp_path / "a.mp4", shades(50)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(BadInput, match=r"cut\.mp4 is no complete film"):
        anybind.read(tmp_path / "cut.mp4")


def test_a_film_with_damage_near_its_end_gives_the_frames_before_it(tmp_path: Path) -> None:
    raw = bytearray(save_film(tmp_path / "a.mov", shades(60), "png", "rgb24").read_bytes())
    places = [place for place in range(len(raw)) if raw[place : place + 4] == b"IHDR"]
    assert len(places) == 60
    raw[places[50] - 4 : places[50] + 60] = bytes(64)
    (tmp_path / "hurt.mov").write_bytes(raw)
    count, said = played(anybind.read(tmp_path / "hurt.mov"))
    assert count == 50
    assert "damaged or cut off after 50 frames" in said


def test_a_film_that_claims_frames_of_gigabytes_is_refused(tmp_path: Path) -> None:
    raw = bytearray(save_film(tmp_path / "a.avi", shades(3), "mjpeg", "yuvj420p").read_bytes())
    size = raw.index(b"\xff\xc0") + 5  # in the header of the first JPEG picture
    assert raw[size : size + 4] == bytes([0, 48, 0, 64])
    raw[size : size + 4] = (60_000).to_bytes(2, "big") * 2
    (tmp_path / "big.avi").write_bytes(raw)
    with pytest.raises(BadInput, match=r"big\.avi is damaged or cut off after 0 frames"):
        anybind.read(tmp_path / "big.avi")


def test_words_in_a_film_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    raw = save_film(tmp_path / "a.mkv", shades(3)).read_bytes()
    assert b"Lavf" in raw
    (tmp_path / "odd.mkv").write_bytes(raw.replace(b"Lavf", b"\xff\xfe\xfd\xfc"))
    assert len(list(anybind.read(tmp_path / "odd.mkv").frames())) == 3


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mp4", "a.ts"])
def test_damage_of_any_kind_is_told_as_bad_input(tmp_path: Path, name: str) -> None:
    raw = save_film(tmp_path / name, shades(20), "mpeg2video" if name == "a.ts" else "mpeg4").read_bytes()
    random = np.random.default_rng(0)
    hurt, told = tmp_path / f"hurt-{name}", []
    for _ in range(40):
        mutated = bytearray(raw)
        for place in random.integers(0, len(raw), random.integers(1, 30)):
            mutated[place] ^= 1 << random.integers(8)
        first, last = np.sort(random.integers(0, len(raw), 2))
        hurt.write_bytes(mutated[: first + 1] + mutated[last:] if random.random() < 0.5 else mutated)
        try:
            video = anybind.read(hurt, reader="video")
            find_modality("video").show(video)
            assert all(frame.gray.shape == (video.height, video.width) for frame in video.frames())
        except BadInput as error:
            told.append(str(error))
    assert len(told) > 5
    assert all(str(hurt) in said for said in told)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_file_that_is_no_film_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no film at all " * 100)
    with pytest.raises(BadInput, match=f"{name} is no"):
        anybind.read(path)


def test_a_playlist_is_not_followed_even_when_it_is_called_a_film(tmp_path: Path, film: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{film}\n#EXT-X-ENDLIST\n")
    with pytest.raises(BadInput, match="is no film"):
        anybind.read(path, reader="video")


def test_an_empty_film_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(BadInput, match="empty"):
        anybind.read(tmp_path / "a.mp4")


def test_a_film_without_frames_is_refused(tmp_path: Path) -> None:
    whole = save_film(tmp_path / "a.avi", shades(1)).read_bytes()
    (tmp_path / "none.avi").write_bytes(whole[: whole.index(b"movi") + 4])
    with pytest.raises(BadInput, match=r"none\.avi (holds no frames|is no complete film)"):
        anybind.read(tmp_path / "none.avi")


def test_a_film_of_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(BadInput, match="holds no pictures, only audio"):
        anybind.read(path)


def test_a_film_whose_codec_is_not_installed_is_refused(tmp_path: Path) -> None:
    raw = save_film(tmp_path / "a.avi", shades(5)).read_bytes()
    (tmp_path / "odd.avi").write_bytes(raw.replace(b"FMP4", b"QqZ9"))
    with pytest.raises(BadInput, match=r"odd\.avi is coded in a way that the installed FFmpeg does not know"):
        anybind.read(tmp_path / "odd.avi")


def test_frames_that_change_their_size_are_told_after_those_before(tmp_path: Path) -> None:
    # Packets of two encoders in one stream: each is a picture of its own.
    path = tmp_path / "mixed.mkv"
    with av.open(path, "w") as container:
        streams = [container.add_stream("mjpeg", rate=25)]
        streams[0].width, streams[0].height, streams[0].pix_fmt = *SIZE, "yuvj420p"
        for number, frame in enumerate([*shades(4), *shades(3, (32, 24))]):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width = frame.shape[:2]
            encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
            for packet in [*encoder.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")), *encoder.encode()]:
                packet.stream, packet.pts, packet.dts, packet.time_base = streams[0], number, number, Fraction(1, 25)
                container.mux(packet)
    count, said = played(anybind.read(path))
    assert count == 4
    assert f"{path}: frame 4 is 32x24 and those before it are 64x48" in said


def test_time_that_runs_backwards_is_told_after_the_frames_before(tmp_path: Path) -> None:
    # Two films of a format that may be put together byte by byte; the second begins before the first ended.
    first = save_film(tmp_path / "a.ts", shades(30), "mpeg2video").read_bytes()
    (tmp_path / "two.ts").write_bytes(first + first)
    count, said = played(anybind.read(tmp_path / "two.ts"))
    assert count >= 29
    assert "time runs backwards at frame" in said


def test_a_film_is_shown_as_a_strip_of_frames(film: Path) -> None:
    kind = find_modality("video")
    video = anybind.read(film)
    kind.check(video)
    strip = kind.show(video)
    assert strip.shape == (120, 6 * 160, 3)
    cells = strip.reshape(120, 6, 160, 3).transpose(1, 0, 2, 3).astype(int)
    assert all(np.abs(one - other).mean() > 2 for one, other in itertools.pairwise(cells))
    np.testing.assert_allclose(cells[0, 60, :, 0], np.linspace(0, 255, 160), atol=25)


def test_stills_are_evenly_spaced(film: Path) -> None:
    video = anybind.read(film)
    frames = [frame.rgb() for frame in video.frames()]
    for still, number in zip(video.stills(4), (0, 15, 30, 45), strict=True):
        assert min(range(60), key=lambda n: np.abs(frames[n].astype(int) - still).mean()) == pytest.approx(
            number, abs=1
        )


def test_a_folder_is_shown_as_a_strip_of_frames(tmp_path: Path) -> None:
    video = open_video(folder_of(tmp_path, shades(4)))
    assert find_modality("video").show(video).shape == (120, 4 * 160, 3)


def test_a_film_of_no_pixels_is_refused() -> None:
    with pytest.raises(BadInput, match="frames without pixels"):
        find_modality("video").check(Video(Path("a.mp4"), 0, 48, 25.0, 1.0))


def test_only_a_video_is_a_sample_of_video() -> None:
    kind = find_modality("video")
    assert not kind.accepts("film.mp4")
    assert not kind.accepts(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("head", "film"),
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
def test_films_are_known_by_their_first_bytes(head: bytes, film: bool) -> None:
    assert VideoReader().sniff(head) is film


def test_no_film_is_made_from_a_picture() -> None:
    with pytest.raises(BadInput, match="no video can be made from image"):
        anybind.derive("video", np.zeros((4, 4, 3), np.uint8))
