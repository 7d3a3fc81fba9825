"""Video files, decoded by FFmpeg through PyAV as a stream, in constant memory."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideData
from av.video.stream import VideoStream

from anybind.plugin import BadInput, files, kernel
from anybind_media.mp4_index import check_sample_counts

TRUNCATION_TOLERANCE = 1.0, 0.1
"""A video is truncated if it ends this many seconds, or this fraction of its length, before its declared end."""
PADDING_PIXELS = 1 << 22
"""Largest number of pixels by which FFmpeg pads the rows of a frame, which it counts too."""
DECODING_ERRORS = (FFmpegError, IndexError, ValueError, ArithmeticError)
"""Errors of PyAV on damaged videos: `IndexError` for packets of an undeclared stream, `ArithmeticError` for rates."""
LUMA_FORMATS = re.compile(r"(yuvj?a?4\d\dp|nv(12|16|21|24|42)|gray)$")
"""FFmpeg's names of 8-bit formats whose first plane is luma."""
LIMITED_RANGE, FULL_RANGE = 1, 2
MIN_PIXEL_RATIO = Fraction(1, 16)
"""Smallest plausible ratio of the sides of a pixel; beyond it, the sample aspect ratio is ignored as damaged."""
BLACK, WHITE = 16, 235
"""Luma of limited range."""
EXPANSION = round(255 / (WHITE - BLACK) * 2**16)


def read_properties(
    path: Path, as_displayed: bool = True, max_pixels: int = files.MAX_IMAGE_PIXELS
) -> tuple[int, int, float, float]:
    """Read frame width and height, frame rate in Hz and duration in seconds, the last two 0 if unknown.

    Raises:
        BadInput: not a video, no frames, frames of more than `max_pixels`, or a codec that is not installed.
    """
    with _open_container(path, max_pixels) as (container, stream):
        _, first = next(_decode_packets(path, container, stream))
        display = _get_display(stream, first, as_displayed, max_pixels)
        height, width = _convert_frame(first, display, gray=True).shape
        return (
            width,
            height,
            float(stream.average_rate or stream.guessed_rate or 0),
            _get_declared_duration(container, stream),
        )


def decode_frames(
    path: Path, as_displayed: bool = True, max_pixels: int = files.MAX_IMAGE_PIXELS
) -> Iterator[tuple[int, np.ndarray, Callable[[], np.ndarray]]]:
    """Yield time in microseconds, luma, and a function that converts to RGB, of each frame of a video file.

    Raises:
        BadInput: the file is damaged or truncated; raised after the last complete frame.
    """
    with _open_container(path, max_pixels) as (container, stream):
        stream.thread_type = "AUTO"
        first, time, frame_duration = None, Fraction(0), Fraction(0)
        for time, frame in _decode_packets(path, container, stream):
            first = time if first is None else first
            display = _get_display(stream, frame, as_displayed, max_pixels)
            to_rgb = functools.partial(_convert_frame, frame, display, gray=False)
            yield round((time - first) * 1_000_000), _convert_frame(frame, display, gray=True), to_rgb
            frame_duration = max(_get_frame_interval(stream), (frame.duration or 0) * (stream.time_base or 0))
        # Some formats count the duration from the first frame, others from 0.
        end, declared = (
            float(max(time, time - (first or 0)) + frame_duration),
            _get_declared_duration(container, stream),
        )
        if declared - end > max(
            2 * _get_frame_interval(stream), min(TRUNCATION_TOLERANCE[0], TRUNCATION_TOLERANCE[1] * declared)
        ):
            raise BadInput(f"{path}: truncated: expected {declared:.2f} s, got {end:.2f} s; copy it again")


def sample_frames(path: Path, as_displayed: bool, max_pixels: int, duration: float, n_frames: int) -> list[np.ndarray]:
    """Decode up to `n_frames` RGB frames, evenly spaced over a video of a duration in seconds."""
    frames = []
    with _open_container(path, max_pixels) as (container, stream), contextlib.suppress(*DECODING_ERRORS):
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        for number in range(n_frames):
            time = start + duration * number / n_frames
            if number:
                container.seek(round(time * av.time_base))
            frame = next((each for each in container.decode(stream) if each.time is None or each.time >= time), None)
            if frame is not None:
                display = _get_display(stream, frame, as_displayed, max_pixels)
                frames.append(_convert_frame(frame, display, gray=False))
    if not frames:
        raise BadInput(f"{path}: damaged: no frame can be decoded")
    return frames


def _decode_packets(
    path: Path, container: InputContainer, stream: VideoStream
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Decode times in seconds and frames; raise `BadInput` at the first damage, or without frames."""
    tick, interval = stream.time_base or Fraction(1, av.time_base), _get_frame_interval(stream)
    count, time = 0, Fraction(0)
    try:
        for packet in container.demux(stream):
            for frame in packet.decode():
                time = time + interval if frame.pts is None else frame.pts * tick
                yield time, frame
                count += 1
    except DECODING_ERRORS as error:
        raise BadInput(
            f"{path}: damaged or truncated after {count} frames ({_get_reason(error)}); copy it again"
        ) from error
    if not count:
        raise BadInput(f"{path}: no frames")


def _get_frame_interval(stream: VideoStream) -> Fraction:
    """Return the average interval of frames in seconds."""
    return 1 / (stream.average_rate or Fraction(25))


@contextlib.contextmanager
def _open_container(path: Path, max_pixels: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file and its video stream."""
    check_sample_counts(path)
    try:
        container = av.open(f"file:{os.fspath(path)}", metadata_errors="replace")
    except DECODING_ERRORS as error:
        raise BadInput(f"{path}: not a complete video ({_get_reason(error)}); copy or save it again") from error
    with container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            types = ", ".join(each.type for each in container.streams) or "no streams"
            hint = "; read it with reader='sound'" if "audio" in types else ""
            raise BadInput(f"{path}: expected a video stream, got {types}{hint}")
        if stream.codec_context is None:
            raise BadInput(f"{path}: unsupported codec in the installed FFmpeg; convert it to H.264")
        files.check_pixels(path, stream.codec_context.width, stream.codec_context.height, max_pixels)
        try:
            # A frame may be larger than declared.
            stream.codec_context.options = {"max_pixels": str(max_pixels + PADDING_PIXELS)}
            yield container, stream
        except DECODING_ERRORS as error:  # of a damaged header: sizes, rates and times
            raise BadInput(f"{path}: damaged video ({_get_reason(error)}); copy it again") from error


def _get_reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _get_declared_duration(container: InputContainer, stream: VideoStream) -> float:
    """Return the declared duration of the video stream in seconds; 0 if not declared."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)  # FFmpeg derives the duration from the file size
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    is_single = len(container.streams) == 1  # audio may be longer
    return container.duration / av.time_base if is_single and container.duration else 0.0


@dataclass(frozen=True)
class _Display:
    """How a frame is displayed: transposed, then flipped, then scaled.

    Attributes:
        transpose, flip_x, flip_y: exchange of the axes, and flips of the axes of the result.
        size: width and height in pixels; None for no scaling.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False
    size: tuple[int, int] | None = None


AS_STORED = _Display()


def _get_display(stream: VideoStream, frame: av.VideoFrame, as_displayed: bool, max_pixels: int) -> _Display:
    """Return how a player displays a frame, by its display matrix and sample aspect ratio."""
    if not as_displayed:
        return AS_STORED
    matrix = frame.side_data.get(SideData.DISPLAYMATRIX)  # pyright: ignore[reportCallIssue, reportArgumentType]
    ratio = stream.sample_aspect_ratio
    if matrix is None and (not ratio or ratio == 1):
        return AS_STORED
    # Row vectors (x, y, 1) are multiplied by the matrix [a b u; c d v; x y w], int32.
    a, b, _, c, d = (1, 0, 0, 0, 1) if matrix is None else np.frombuffer(matrix, np.int32, 5).tolist()
    transpose = abs(b) + abs(c) > abs(a) + abs(d)
    flip_x, flip_y = (c < 0, b < 0) if transpose else (a < 0, d < 0)
    size = _scale_to_square_pixels(frame.width, frame.height, ratio, max_pixels) if ratio and ratio != 1 else None
    return _Display(transpose, flip_x, flip_y, (size[1], size[0]) if size and transpose else size)


def _scale_to_square_pixels(width: int, height: int, ratio: Fraction, max_pixels: int) -> tuple[int, int] | None:
    """Return the size of a frame with square pixels, to the nearest pixel; the longer axis of pixels is enlarged.

    None for a ratio that makes frames of too many pixels, as that of a damaged header.
    """
    size = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
    return size if size[0] * size[1] <= max_pixels and MIN_PIXEL_RATIO <= ratio <= 1 / MIN_PIXEL_RATIO else None


def _convert_frame(frame: av.VideoFrame, display: _Display, gray: bool) -> np.ndarray:
    """Convert a frame to a uint8 array as displayed: RGB, or luma expanded to 0 to 255."""
    array = _extract_luma(frame) if gray else frame.to_ndarray(format="rgb24")
    if display is AS_STORED:
        return array
    array = array.swapaxes(0, 1) if display.transpose else array
    array = np.ascontiguousarray(array[:: -1 if display.flip_y else 1, :: -1 if display.flip_x else 1])
    if display.size is not None:
        array = np.asarray(PIL.Image.fromarray(array).resize(display.size, PIL.Image.Resampling.BILINEAR))
    return array


def _extract_luma(frame: av.VideoFrame) -> np.ndarray:
    """Extract the decoder's luma plane, expanded from limited range; (height, width) uint8."""
    layout = frame.format.name
    if not LUMA_FORMATS.match(layout):
        return frame.to_ndarray(format="gray")  # 10 bits, RGB, palettes: FFmpeg's conversion
    plane = frame.planes[0]
    plane = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    full = frame.color_range == FULL_RANGE or layout.startswith("yuvj")
    if full or (layout == "gray" and frame.color_range != LIMITED_RANGE):
        return plane.copy()
    luma = np.empty_like(plane, order="C")
    _expand_luma(plane, luma)
    return luma


@kernel
def _expand_luma(plane: np.ndarray, luma: np.ndarray) -> None:
    """Expand luma of limited range to 0 to 255, rounded, in fixed-point arithmetic of 16 bits."""
    black, white = np.uint8(BLACK), np.uint8(WHITE)
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            level = np.uint32(max(black, min(plane[y, x], white)) - black)
            luma[y, x] = (level * np.uint32(EXPANSION) + np.uint32(1 << 15)) >> np.uint32(16)
