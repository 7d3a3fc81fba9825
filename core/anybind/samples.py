"""Protocols of the samples that plugins share: event streams, audio clips, depth maps, videos.

Modality plugins implement them; other plugins use them as types and import no modality plugin. `isinstance` checks that
a sample has the members of a Protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

ImageSample: TypeAlias = np.ndarray
"""RGB, (height, width, 3) uint8."""
TextSample: TypeAlias = str


@runtime_checkable
class EventSample(Protocol):
    """A recording of an event camera: one entry per event, in order of time.

    Attributes:
        x, y: pixel columns and rows, (n,) uint16; (0, 0) is the upper left corner.
        t: times in microseconds, (n,) int64, never falling.
        p: polarity, (n,) bool, True for an ON event.
        width, height: sensor size in pixels.
        duration_us: microseconds from the first event to the last; 0 without events.
    """

    @property
    def x(self) -> np.ndarray: ...
    @property
    def y(self) -> np.ndarray: ...
    @property
    def t(self) -> np.ndarray: ...
    @property
    def p(self) -> np.ndarray: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def duration_us(self) -> int: ...
    def __len__(self) -> int: ...
    def between(self, start: int | None = None, end: int | None = None, *, absolute: bool = False) -> EventSample:
        """Return the events with start <= t < end, in microseconds after the first event, or of `t` if absolute."""
        ...


@runtime_checkable
class DepthSample(Protocol):
    """A depth map.

    Attributes:
        metres: distance along the axis of the camera, float32 (height, width), NaN where unknown.
        fx: focal length in pixels, None if unknown.
        baseline: distance between the cameras of a stereo pair in metres, None if unknown.
    """

    @property
    def metres(self) -> np.ndarray: ...
    @property
    def fx(self) -> float | None: ...
    @property
    def baseline(self) -> float | None: ...
    def disparity(
        self, *, fx: float | None = None, baseline: float | None = None, nearest: float = 0.01, farthest: float = 50.0
    ) -> np.ndarray:
        """Compute the disparity in pixels, float32 (height, width): baseline * fx / depth clipped to nearest..farthest.

        Raises:
            BadInput: `fx` or `baseline` is neither given nor known.
        """
        ...


@runtime_checkable
class AudioSample(Protocol):
    """An audio clip; long ones may be read from their file at each use: `between` and `blocks` need little memory.

    Attributes:
        samples: float32 (channels, n), nominally from -1 to 1.
        rate: sample rate in Hz.
        duration: in seconds.
    """

    @property
    def samples(self) -> np.ndarray: ...
    @property
    def rate(self) -> int: ...
    @property
    def duration(self) -> float: ...
    def __len__(self) -> int: ...
    def mono(self, channel: int | None = None) -> AudioSample:
        """Return one channel: the mean of all, or the one of that number."""
        ...

    def resample(self, rate: int) -> AudioSample:
        """Return the clip at another sample rate, in Hz."""
        ...

    def between(self, start_s: float, end_s: float) -> AudioSample:
        """Return the clip between two times in seconds."""
        ...

    def blocks(self, count: int) -> Iterator[AudioSample]:
        """Yield consecutive segments of about `count` samples."""
        ...


class VideoFrame(Protocol):
    """A frame of a video.

    Attributes:
        time_us: presentation time in microseconds since the first frame.
        gray: luma, uint8 (height, width).
    """

    @property
    def time_us(self) -> int: ...
    @property
    def gray(self) -> np.ndarray: ...
    def rgb(self) -> np.ndarray:
        """Convert the frame to RGB, uint8 (height, width, 3); computed at each call."""
        ...


@runtime_checkable
class VideoSample(Protocol):
    """A video, decoded as a stream.

    Attributes:
        path: file, or folder of frames.
        width, height: of every frame, in pixels.
        fps: average frame rate in Hz; 0 if unknown.
        duration: seconds; 0 if unknown.
    """

    @property
    def path(self) -> Path: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def fps(self) -> float: ...
    @property
    def duration(self) -> float: ...
    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames in order of time, in memory that does not grow with the video.

        Raises:
            BadInput: the video is damaged; raised after the last whole frame.
        """
        ...

    def sample_frames(self, n_frames: int) -> list[np.ndarray]:
        """Decode up to `n_frames` RGB frames, (height, width, 3) uint8, evenly spaced in time.

        Raises:
            BadInput: no frame can be decoded.
        """
        ...
