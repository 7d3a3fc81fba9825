"""Windows of a video: the events of consecutive frames and the middle frame, decoded once."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image

from anybind.plugin import BadInput, modalities, samples
from anybind_vad.presets import DROP, WindowSettings


@dataclass(frozen=True)
class VideoWindow:
    """Consecutive frames of a video.

    Attributes:
        first: number of the first frame, from 0.
        frames: number of frames.
        start_us, end_us: presentation time of the first frame and of the frame after the last, in microseconds since
            the first frame of the video. The last frame of the video has the duration of the frame before it.
        events: events between consecutive frames of the window: n frames have n - 1 differences. Of an event recording
            the events during the frames.
        steps: number of steps in time that the events are of: differences of a video's frames, frames of a recording.
        image: the middle frame, RGB; the first frame of a window that ends before the middle of a full one. None if
            images are disabled.
    """

    first: int
    frames: int
    start_us: int
    end_us: int
    events: samples.EventSample = field(repr=False)
    steps: int
    image: np.ndarray | None = field(repr=False)

    def get_sample(self, modality: str) -> samples.EventSample | np.ndarray | None:
        """Return the sample to embed as `event` or `image`; None if there is none."""
        if modality == "image":
            return self.image
        return self.events if len(self.events) else None

    @property
    def measures(self) -> dict[str, float]:
        """Measures for heads: numbers of events, of steps in time, and of pixels of a frame."""
        pixels = self.events.width * self.events.height
        return {"events": float(len(self.events)), "steps": float(self.steps), "pixels": float(pixels)}


@dataclass(frozen=True)
class VideoClip:
    """Consecutive frames of a video, in memory."""

    path: Path
    width: int
    height: int
    fps: float
    duration: float
    buffer: Sequence[samples.VideoFrame]

    def frames(self) -> Iterator[samples.VideoFrame]:
        return iter(self.buffer)


class WindowSource(ABC):
    """An iterator over the windows of a video.

    Attributes:
        times_us: presentation times of the frames read so far, in microseconds since the first.
        problem: decoding error; set after the windows of all frames before it.
    """

    times_us: array[int]
    problem: BadInput | None

    @abstractmethod
    def __iter__(self) -> Iterator[VideoWindow]:
        """Yield the windows in order."""

    def iterate_batches(self, size: int) -> Iterator[list[VideoWindow]]:
        """Yield the windows, `size` at a time; the last batch may be smaller."""
        batch: list[VideoWindow] = []
        for window in self:
            batch.append(window)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch


class VideoWindows(WindowSource):
    """An iterator over the windows of a video as it is decoded, once; only frame times grow with the video.

    A window of n frames has the n - 1 differences between its frames. If the last frames do not fill a window, they are
    merged into the one before or dropped, as the settings say. A video shorter than a window is one shorter window.
    """

    def __init__(
        self,
        video: samples.VideoSample,
        settings: WindowSettings | None = None,
        *,
        images: bool = True,
        max_side: int | None = None,
    ) -> None:
        """Set the options; nothing is decoded yet.

        Args:
            video: the video.
            settings: window settings. [default: 16 frames, stride 16, threshold 25]
            images: add the middle frame to windows.
            max_side: scale images down to this longer side, in pixels. [default: full size]
        """
        self.times_us = array("q")
        self.problem: BadInput | None = None
        self._video, self._settings = video, settings or WindowSettings()
        self._images, self._side = images, max_side
        self._changes: deque[samples.EventSample] = deque()  # events between a frame of the window and the next one
        self._candidates: dict[int, samples.VideoFrame] = {}  # frames that may be a middle frame

    def __iter__(self) -> Iterator[VideoWindow]:
        """Yield the windows.

        Raises:
            BadInput: the video is damaged before its first frame, or its frames are larger than the largest sensor.
        """
        size, stride = self._settings.frames, self._settings.stride
        first = 0
        try:
            previous: samples.VideoFrame | None = None
            for number, frame in enumerate(self._video.frames()):
                self.times_us.append(frame.time_us)
                if previous is not None:
                    self._changes.append(self._derive_events(previous, frame))
                previous = frame
                if self._images and number % stride in (0, size // 2 % stride):
                    self._candidates[number] = frame
                if number + 1 == first + stride + size:  # the next window is full: this one is not the last
                    yield self._make_window(first, size)
                    first += stride
                    self._forget_frames(first)
        except BadInput as error:
            if not self.times_us:
                raise
            self.problem = error
        if remaining := len(self.times_us) - first:
            yield self._make_window(first, min(remaining, size) if self._settings.last == DROP else remaining)

    def _derive_events(self, previous: samples.VideoFrame, frame: samples.VideoFrame) -> samples.EventSample:
        video, settings = self._video, self._settings
        clip = VideoClip(video.path, video.width, video.height, video.fps, video.duration, (previous, frame))
        return modalities.derive(
            "event", clip, source="video", threshold=settings.threshold, difference=settings.difference
        )

    def _forget_frames(self, first: int) -> None:
        """Free what only windows before a frame need."""
        for _ in range(self._settings.stride):
            self._changes.popleft()
        self._candidates = {number: frame for number, frame in self._candidates.items() if number >= first}

    def _make_window(self, first: int, frames: int) -> VideoWindow:
        image = None
        if self._images:
            middle = first + self._settings.frames // 2
            image = self._candidates[middle if middle < first + frames else first].rgb()
            image = image if self._side is None else shrink_image(image, self._side)
        end, times = first + frames, self.times_us
        end_us = times[end] if end < len(times) else 2 * times[-1] - times[max(0, len(times) - 2)]
        return VideoWindow(
            first, frames, times[first], end_us, self._join_changes(frames - 1), max(frames - 1, 1), image
        )

    def _join_changes(self, count: int) -> samples.EventSample:
        """Return the events of the first differences of the current window."""
        changes = list(itertools.islice(self._changes, count))
        columns = {name: np.concatenate([getattr(each, name) for each in changes] or [[]]) for name in "xytp"}
        return modalities.make_sample("event", **columns, width=self._video.width, height=self._video.height)


def shrink_image(image: np.ndarray, max_side: int) -> np.ndarray:
    """Scale an RGB image down to a longer side of at most `max_side` pixels."""
    scaled = PIL.Image.fromarray(image)
    scaled.thumbnail((max_side, max_side), reducing_gap=1.0)  # box reduction first takes a seventh of the time
    return np.asarray(scaled)
