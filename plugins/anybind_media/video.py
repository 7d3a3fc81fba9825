"""Video: the modality `video`, and the reader of video files and folders of frames."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from anybind.plugin import BadInput, BadOption, Modality, Reader, files, loops
from anybind_media import animation
from anybind_media.containers import is_audio_container, is_container
from anybind_media.image import ImageReader

FRAME_SUFFIXES = (".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
FOLDER_FPS = 25.0
"""Default frame rate of a folder of frames, in Hz."""
N_PREVIEW_FRAMES = 6
PREVIEW_HEIGHT = 120
ANIMATION_MAGIC_BYTES = (b"GIF8", b"\x89PNG\r\n\x1a\n")
HEAD_BYTES = 4096
PREFETCH_FRAMES = 8
PREFETCH_PIXELS = 1 << 25
"""Largest numbers of prefetched frames, and of their pixels; one more frame is prefetched whatever its size."""


@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """A frame of a video as a player shows it: upright, with square pixels.

    Attributes:
        time_us: presentation time in microseconds since the first frame.
        gray: luma, uint8 (height, width), 0 to 255. Videos keep their encoded luma (Rec. 601 or Rec. 709, limited range
            expanded); images and RGB videos are converted by Rec. 601. On gray content this equals MATLAB's rgb2gray;
            on colours Rec. 709 differs by up to 33 levels (pure green).
        rgb: function that converts to RGB, uint8 (height, width, 3), at each call.
    """

    time_us: int
    gray: np.ndarray
    rgb: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Video:
    """A video: a file, or a folder of frames sorted by name; opened for each iteration over its frames.

    Attributes:
        path: file or folder.
        width, height: size of every frame as displayed, in pixels.
        fps: average frame rate in Hz; 0 if unknown.
        duration: duration in seconds; 0 if unknown.
        frame_paths: frames of a folder; empty for a file.
        as_displayed: apply the file's display matrix and sample aspect ratio.
        max_pixels: largest number of pixels of a frame.
    """

    path: Path
    width: int
    height: int
    fps: float
    duration: float
    frame_paths: tuple[Path, ...] = field(default=(), repr=False)
    as_displayed: bool = True
    max_pixels: int = files.MAX_IMAGE_PIXELS

    @property
    def _decoder(self) -> _FileDecoder:
        return _find_decoder(self.path, self.as_displayed, self.max_pixels)

    def frames(self) -> Iterator[DecodedFrame]:
        """Decode the frames in order, in a worker thread and constant memory.

        Times are presentation times, also for variable frame rates; they never decrease.

        Raises:
            BadInput: the video is damaged or truncated, frames differ in size, or times decrease; raised after the
                frames before.
        """
        frames, rounds = self._decode(), itertools.repeat(None)
        queue_size = min(PREFETCH_FRAMES, 1 + PREFETCH_PIXELS // max(1, self.width * self.height))
        # One worker: an iterator must not be advanced by several threads.
        for frame in loops.prefetch(lambda _: next(frames, None), rounds, workers=1, queue_size=queue_size):
            if frame is None:
                return
            yield frame

    def _decode(self) -> Iterator[DecodedFrame]:
        previous_us = 0
        frames = _decode_folder(self) if self.frame_paths else self._decoder.decode_frames()
        for number, decoded in enumerate(frames):
            frame = DecodedFrame(*decoded)
            height, width = frame.gray.shape
            if (width, height) != (self.width, self.height):
                raise BadInput(
                    f"{self.frame_paths[number] if self.frame_paths else self.path}: frame {number}: expected"
                    f" {self.width}x{self.height} pixels as before, got {width}x{height}"
                )
            if frame.time_us < previous_us:
                raise BadInput(
                    f"{self.path}: time decreases at frame {number}: {previous_us} us, then {frame.time_us} us"
                )
            previous_us = frame.time_us
            yield frame

    def sample_frames(self, n_frames: int = N_PREVIEW_FRAMES) -> list[np.ndarray]:
        """Decode up to `n_frames` RGB frames, evenly spaced; only the first if the duration is unknown."""
        if self.frame_paths:
            positions = sorted({len(self.frame_paths) * number // n_frames for number in range(n_frames)})
            paths = [self.frame_paths[position] for position in positions]
            return [ImageReader().read(path, max_pixels=self.max_pixels) for path in paths]
        return self._decoder.sample_frames(self.duration, n_frames if self.duration else 1)


def open_video(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    as_displayed: bool = True,
    max_pixels: int = files.MAX_IMAGE_PIXELS,
) -> Video:
    """Open a video file, an animated image or a folder of frames; only the first frame is decoded.

    Frames are decoded as a player shows them: rotated and flipped by the display matrix, and stretched to square pixels
    by the sample aspect ratio, to the nearest pixel, never smaller than stored. Of an animation, one pass is decoded;
    transparency is shown on white, and frames of up to 10 ms for 100 ms, as browsers do.

    Args:
        path: video file of any format supported by FFmpeg, animated GIF, WebP or PNG, or folder of image files in
            natural order (`2.png` before `10.png`).
        fps: frame rate of a folder in Hz; files have their own times. [default: 25]
        as_displayed: False for the frames of a video file as stored, without its display matrix and sample aspect
            ratio; images keep their orientation.
        max_pixels: largest width times height of a frame that the file may declare, checked before decoding.
            [default: 67,108,864]

    Raises:
        BadInput: no such file or folder, not a video, no frames, larger frames, or a codec that is not installed.
        BadOption: `fps` is not positive, or is given for a file, or `max_pixels` is less than 1.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, FOLDER_FPS if fps is None else fps, max_pixels)
    if fps is not None:
        raise BadOption(f"{path}: fps applies to folders of frames only; a video file has its own times")
    decoder = _find_decoder(path, as_displayed, max_pixels)
    return Video(path, *decoder.read_properties(), as_displayed=as_displayed, max_pixels=max_pixels)


@dataclass(frozen=True)
class _FileDecoder:
    """The functions of a decoder module, for one file."""

    read_properties: Callable[[], tuple[int, int, float, float]]
    decode_frames: Callable[[], Iterator[tuple[int, np.ndarray, Callable[[], np.ndarray]]]]
    sample_frames: Callable[[float, int], list[np.ndarray]]


def _find_decoder(path: Path, as_displayed: bool, max_pixels: int) -> _FileDecoder:
    """Find the decoder of a file by its first bytes; PyAV is imported for video files only."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(ANIMATION_MAGIC_BYTES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return _FileDecoder(
            functools.partial(animation.read_properties, path, max_pixels),
            functools.partial(animation.decode_frames, path, max_pixels),
            functools.partial(animation.sample_frames, path, max_pixels),
        )
    if not is_container(head):  # FFmpeg would also open playlists and their targets
        raise BadInput(f"{path}: not a supported video (unknown format in the first bytes)")
    from anybind_media import video_decoder

    return _FileDecoder(
        functools.partial(video_decoder.read_properties, path, as_displayed, max_pixels),
        functools.partial(video_decoder.decode_frames, path, as_displayed, max_pixels),
        functools.partial(video_decoder.sample_frames, path, as_displayed, max_pixels),
    )


def _open_folder(path: Path, fps: float, max_pixels: int) -> Video:
    if not (math.isfinite(fps) and fps > 0):
        raise BadOption(f"fps: expected a positive number, got {fps}")
    frame_paths = [each for each in path.iterdir() if each.suffix.lower() in FRAME_SUFFIXES and each.name[0] != "."]
    if not frame_paths:
        raise BadInput(f"{path}: no frames (image files ending in {', '.join(FRAME_SUFFIXES)})")
    frame_paths.sort(key=_natural_key)
    height, width = ImageReader().read(frame_paths[0], max_pixels=max_pixels).shape[:2]
    duration = len(frame_paths) / fps
    return Video(path, width, height, float(fps), duration, tuple(frame_paths), max_pixels=max_pixels)


def _natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return the key of natural order: `2.png` before `10.png`."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], path.name


def _decode_folder(video: Video) -> Iterator[tuple[int, np.ndarray, Callable[[], np.ndarray]]]:
    """Yield time, luma and a function that reads RGB, as `video_decoder.decode_frames` does."""
    for number, path in enumerate(video.frame_paths):
        to_rgb = functools.partial(ImageReader().read, path, max_pixels=video.max_pixels)
        yield round(number * 1e6 / video.fps), _read_gray(path, video.max_pixels), to_rgb


def _read_gray(path: Path, max_pixels: int) -> np.ndarray:
    with (
        contextlib.suppress(Exception),
        files.open_image(path, max_pixels) as image,
    ):  # reported below
        if image.format == "JPEG":
            image.draft("L", None)  # skips the decoding of colour planes
            return np.asarray(PIL.ImageOps.exif_transpose(image).convert("L"))
    return np.asarray(PIL.Image.fromarray(ImageReader().read(path, max_pixels=max_pixels)).convert("L"))


class VideoModality(Modality[Video]):
    """The modality of videos, with `Video` samples."""

    name = "video"

    def accepts(self, item: object) -> bool:
        return isinstance(item, Video)

    def check(self, sample: Video) -> None:
        if not sample.width * sample.height:
            raise BadInput(f"{sample.path}: empty frames ({sample.width}x{sample.height})")

    def show(self, sample: Video) -> np.ndarray:
        """Render a strip of evenly spaced frames."""
        strip = []
        for frame in sample.sample_frames():
            image = PIL.Image.fromarray(frame)
            width = max(1, round(image.width * PREVIEW_HEIGHT / image.height))
            strip.append(np.asarray(image.resize((width, PREVIEW_HEIGHT))))
        return np.hstack(strip)


class VideoReader(Reader):
    """A reader of video files by FFmpeg, of animated images, and of folders of frames."""

    def sniff(self, head: bytes) -> bool:
        return (is_container(head) and not is_audio_container(head)) or animation.is_animation(head)

    def read(
        self,
        path: Path,
        *,
        fps: float | None = None,
        as_displayed: bool = True,
        max_pixels: int = files.MAX_IMAGE_PIXELS,
    ) -> Video:
        """Open a video without decoding it; see `open_video` for options and errors."""
        return open_video(path, fps=fps, as_displayed=as_displayed, max_pixels=max_pixels)
