"""Gray and RGB frames from one decoding."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

from anybind_media import video as video_module
from anybind_media.video import PREFETCH_FRAMES, Video, open_video


def make_frames(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        np.asarray(PIL.Image.fromarray(random.integers(0, 256, (3, 4, 3), dtype=np.uint8)).resize((64, 48)))
        for _ in range(count)
    ]


@pytest.fixture(params=["film", "folder"])
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Video:
    if request.param == "folder":
        for number, frame in enumerate(make_frames(7)):
            PIL.Image.fromarray(frame).save(tmp_path / f"{number}.jpg")
        return open_video(tmp_path)
    with av.open(tmp_path / "video.mkv", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 3_000_000
        for frame in make_frames(7):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return open_video(tmp_path / "video.mkv")


def test_rgb_matches_ffmpeg_and_pillow(video: Video) -> None:
    frames = list(video.frames())
    if video.frame_paths:
        expected = [np.asarray(PIL.Image.open(path)) for path in video.frame_paths]
    else:
        with av.open(video.path) as container:
            expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert all(np.array_equal(frame.rgb(), other) for frame, other in zip(frames, expected, strict=True))


def test_prefetch_is_limited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(40):
        PIL.Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / f"{number}.png")
    decoded: list[Path] = []
    gray = video_module._read_gray
    monkeypatch.setattr(video_module, "_read_gray", lambda path, limit: (decoded.append(path), gray(path, limit))[1])
    frames = open_video(tmp_path).frames()
    for _ in range(10):
        next(frames)
    frames.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert 10 <= len(decoded) <= 10 + PREFETCH_FRAMES + 1


def test_rgb_is_available_after_decoding(video: Video) -> None:
    first = next(video.frames())
    assert np.array_equal(first.rgb(), next(video.frames()).rgb())
