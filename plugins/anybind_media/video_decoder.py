"""Film files, decoded by FFmpeg through PyAV as a stream: in memory that does not grow with the film."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from anybind.plugin import BadInput, kernel

MISSING = 1.0, 0.1
"""A film is cut off that ends this many seconds, or this share of itself, before the time that it declares."""
LARGEST = 1 << 26
"""Most pixels of a frame (8192x8192): a damaged header must not make frames of gigabytes."""
DAMAGE = (FFmpegError, IndexError, ValueError)
"""What PyAV raises in a damaged film; `IndexError` where packets are of a stream that was not there at first."""
LUMA_FIRST = re.compile(r"(yuvj?a?4\d\dp|nv(12|16|21|24|42)|gray)$")
"""FFmpeg's names of the 8-bit layouts whose first plane is luma and nothing else."""
LIMITED_RANGE, FULL_RANGE = 1, 2
BLACK, WHITE = 16, 235
"""Luma of limited range."""
EXPANSION = round(255 / (WHITE - BLACK) * 2**16)


def describe(path: Path) -> tuple[int, int, float, float]:
    """Width and height of the frames as shown, frames a second and duration in seconds, each 0 where not known.

    Raises:
        BadInput: no film, no frames, or a codec that is not installed.
    """
    with _opened(path) as (container, stream):
        _, first = next(_decoded(path, container, stream))
        height, width = _as_array(first, gray=True).shape
        return width, height, float(stream.average_rate or stream.guessed_rate or 0), _declared(container, stream)


def decode(path: Path) -> Iterator[tuple[int, np.ndarray, Callable[[], np.ndarray]]]:
    """Yield time in microseconds, luma, and a function that converts to RGB, of each frame of a video file.

    Raises:
        BadInput: the file is damaged or ends too early; raised after the last whole frame.
    """
    with _opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        first, time, shown = None, Fraction(0), Fraction(0)
        for time, frame in _decoded(path, container, stream):
            first = time if first is None else first
            to_rgb = functools.partial(_as_array, frame, gray=False)
            yield round((time - first) * 1_000_000), _as_array(frame, gray=True), to_rgb
            shown = max(_interval(stream), (frame.duration or 0) * (stream.time_base or 0))
        # Some formats count their duration from the first frame, some from 0.
        end, declared = float(max(time, time - (first or 0)) + shown), _declared(container, stream)
        if declared - end > max(2 * _interval(stream), min(MISSING[0], MISSING[1] * declared)):
            raise BadInput(f"{path} is cut off: it ends after {end:.2f} s and declares {declared:.2f} s; copy it again")


def stills(path: Path, duration: float, count: int) -> list[np.ndarray]:
    """Up to `count` RGB frames, evenly spaced over a film of so many seconds."""
    found = []
    with _opened(path) as (container, stream), contextlib.suppress(*DAMAGE):
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        for number in range(count):
            time = start + duration * number / count
            if number:
                container.seek(round(time * av.time_base))
            frame = next((each for each in container.decode(stream) if each.time is None or each.time >= time), None)
            if frame is not None:
                found.append(_as_array(frame, gray=False))
    if not found:
        raise BadInput(f"{path} is damaged: none of its frames can be decoded")
    return found


def _decoded(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Times in seconds, and frames up to the first damage, which is raised as `BadInput`, as is a want of frames."""
    tick, interval = stream.time_base or Fraction(1, av.time_base), _interval(stream)
    count, time = 0, Fraction(0)
    try:
        for packet in container.demux(stream):
            for frame in packet.decode():
                time = time + interval if frame.pts is None else frame.pts * tick
                yield time, frame
                count += 1
    except DAMAGE as error:
        raise BadInput(
            f"{path} is damaged or cut off after {count} frames ({_reason(error)}); copy it again"
        ) from error
    if not count:
        raise BadInput(f"{path} holds no frames")


def _interval(stream: VideoStream) -> Fraction:
    """Seconds from one frame to the next, on average."""
    return 1 / (stream.average_rate or Fraction(25))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A film file and its pictures."""
    try:
        container = av.open(f"file:{os.fspath(path)}", metadata_errors="replace")
    except DAMAGE as error:
        raise BadInput(f"{path} is no complete film: {_reason(error)}; copy or save it again") from error
    with container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise BadInput(
                f"{path} holds no pictures, only {', '.join(s.type for s in container.streams) or 'nothing'}"
            )
        if stream.codec_context is None:
            raise BadInput(f"{path} is coded in a way that the installed FFmpeg does not know; convert it to H.264")
        stream.codec_context.options = {"max_pixels": str(LARGEST)}
        yield container, stream


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _declared(container: InputContainer, stream: VideoStream) -> float:
    """How long the film says that its pictures last, in seconds; 0 where it does not."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)  # FFmpeg goes by the length of the file, cut off or not
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1  # sound may last longer
    return container.duration / av.time_base if alone and container.duration else 0.0


def _as_array(frame: av.VideoFrame, gray: bool) -> np.ndarray:
    """A frame as it is shown: upright, uint8, RGB or luma expanded to 0 to 255."""
    array = _luma(frame) if gray else frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(array, turns)) if turns else array


def _luma(frame: av.VideoFrame) -> np.ndarray:
    """The decoder's own plane of luma, expanded where black is 16 and white 235; (height, width) uint8."""
    layout = frame.format.name
    if not LUMA_FIRST.match(layout):
        return frame.to_ndarray(format="gray")  # 10 bits, RGB, a palette: by FFmpeg's own conversion
    held = frame.planes[0]
    plane = np.frombuffer(memoryview(held), np.uint8).reshape(held.height, held.line_size)[:, : held.width]
    full = frame.color_range == FULL_RANGE or layout.startswith("yuvj")
    if full or (layout == "gray" and frame.color_range != LIMITED_RANGE):
        return plane.copy()
    luma = np.empty_like(plane, order="C")
    _expand(plane, luma)
    return luma


@kernel
def _expand(plane: np.ndarray, luma: np.ndarray) -> None:
    """Luma of limited range to 0 to 255, rounded: whole numbers, times 2**16 and back."""
    black, white = np.uint8(BLACK), np.uint8(WHITE)
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            level = np.uint32(max(black, min(plane[y, x], white)) - black)
            luma[y, x] = (level * np.uint32(EXPANSION) + np.uint32(1 << 15)) >> np.uint32(16)
