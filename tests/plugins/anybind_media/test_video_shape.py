"""Orientation and shape of videos: display matrices and sample aspect ratios, as a player shows them."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import anybind
from anybind_media.video import open_video

ONE = 1 << 16
MATRICES = {
    "hflip": (-ONE, 0, 0, ONE),
    "vflip": (ONE, 0, 0, -ONE),
    "half turn": (-ONE, 0, 0, -ONE),
    "clockwise": (0, ONE, -ONE, 0),
    "counterclockwise": (0, -ONE, ONE, 0),
    "transpose": (0, ONE, ONE, 0),
    "transverse": (0, -ONE, -ONE, 0),
}
"""The entries a, b, c, d of display matrices: x' = a x + c y, y' = b x + d y."""
ARRAYS = {
    "hflip": lambda array: array[:, ::-1],
    "vflip": lambda array: array[::-1],
    "half turn": lambda array: array[::-1, ::-1],
    "clockwise": lambda array: np.rot90(array, -1),
    "counterclockwise": np.rot90,
    "transpose": lambda array: array.swapaxes(0, 1),
    "transverse": lambda array: np.rot90(array, 2).swapaxes(0, 1),
}


def make_frame(width: int = 64, height: int = 48) -> np.ndarray:
    """Make a frame with four different quarters."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2, width // 2 :] = 90
    frame[height // 2 :, : width // 2] = 170
    frame[height // 2 :, width // 2 :] = 250
    return frame


def save_video(
    path: Path, ratio: Fraction | None = None, codec: str = "mpeg4", frame: np.ndarray | None = None
) -> Path:
    """Write three frames, with a sample aspect ratio."""
    frame = make_frame() if frame is None else frame
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frame.shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if ratio is not None:
            stream.codec_context.sample_aspect_ratio = ratio
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Replace the display matrix in the track header of an MP4 or MOV file."""
    raw = bytearray(path.read_bytes())
    place = raw.index(b"tkhd") + 44
    assert raw[place : place + 4] == b"\0\1\0\0"
    raw[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    turned = path.with_name(f"turned-{path.name}")
    turned.write_bytes(raw)
    return turned


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_display_matrix_is_applied(tmp_path: Path, container: str, name: str) -> None:
    path = save_video(tmp_path / f"a.{container}")
    stored = list(anybind.read(path).frames())
    turned = set_matrix(path, *MATRICES[name])
    video = anybind.read(turned)
    for one, other in zip(stored, video.frames(), strict=True):
        assert np.array_equal(ARRAYS[name](one.gray), other.gray)
        assert np.array_equal(ARRAYS[name](one.rgb()), other.rgb())
        assert other.gray.shape == (video.height, video.width)
    assert np.array_equal(video.sample_frames(1)[0], ARRAYS[name](stored[0].rgb()))
    assert np.array_equal(next(anybind.read(turned, as_displayed=False).frames()).gray, stored[0].gray)


@pytest.mark.parametrize(
    ("ratio", "size"),
    [(Fraction(64, 45), (91, 48)), (Fraction(8, 9), (64, 54)), (Fraction(2), (128, 48)), (Fraction(1), (64, 48))],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi", "a.mpg"])
def test_sample_aspect_ratio_is_applied(tmp_path: Path, name: str, ratio: Fraction, size: tuple[int, int]) -> None:
    if name == "a.mpg":
        path = tmp_path / name
        # MPEG-2 has ratios of the complete frame only, such as 16:9.
        path = save_video(path, Fraction(16, 9) * Fraction(48, 64), "mpeg2video")
        size = (85, 48)
    else:
        path = save_video(tmp_path / name, ratio)
    video = anybind.read(path)
    assert (video.width, video.height) == size
    frame = next(video.frames())
    assert (frame.gray.shape, frame.rgb().shape) == (size[::-1], (*size[::-1], 3))
    height, width = frame.gray.shape
    quarters = frame.gray[height // 4 :: height // 2, width // 4 :: width // 2][:2, :2]
    np.testing.assert_allclose(quarters, [[0, 90], [170, 250]], atol=4)
    stored = anybind.read(path, as_displayed=False)
    assert (stored.width, stored.height) == (64, 48)
    assert video.sample_frames(1)[0].shape == (*size[::-1], 3)


def test_pixels_are_stretched_before_rotation(tmp_path: Path) -> None:
    video = anybind.read(set_matrix(save_video(tmp_path / "a.mp4", Fraction(3, 2)), *MATRICES["clockwise"]))
    assert (video.width, video.height) == (48, 96)
    gray = next(video.frames()).gray
    np.testing.assert_allclose(gray[24::48, 12::24], [[170, 0], [250, 90]], atol=4)


def test_implausible_sample_aspect_ratio_is_ignored(tmp_path: Path) -> None:
    assert anybind.read(save_video(tmp_path / "a.mp4", Fraction(1, 200))).height == 48


def test_real_files_are_shown_as_by_a_player(test_data: Path) -> None:
    folder = test_data / "odd_files"
    video = anybind.read(folder / "video_sar_64_45.mp4")
    assert (video.width, video.height) == (102, 58)
    flipped, stored = (
        next(open_video(folder / "video_hflip_matrix.mp4", as_displayed=each).frames()).rgb() for each in (True, False)
    )
    assert np.array_equal(flipped, stored[:, ::-1])
    assert not np.array_equal(flipped, stored)
