"""Windows of a video: the events of consecutive frames and the middle frame, decoded once."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image

from anybind.plugin import BadInput, ReaderSpec, find_part, modalities, readers, samples
from anybind_vad.presets import WindowSettings


def open_video(path: str | Path, fps: float | None = None) -> samples.VideoSample:
    """Open a video file, an animated GIF, WebP or PNG, or a folder of frames.

    Args:
        path: the file or folder.
        fps: frame rate of a folder of frames in Hz. [default: 25]

    Raises:
        BadInput: not a video, or not readable.
        BadOption: a frame rate out of range, or given for a file.
    """
    path = Path(path)
    reader = find_part(ReaderSpec, "video") if path.is_dir() else readers.find_reader(path, "video")
    if reader.spec.modality != "video":
        raise BadInput(f"{path}: expected a video or a folder of frames, got {reader.spec.modality}")
    with reader.explain_missing_extra():
        return reader.load()().read(path, **({} if fps is None else {"fps": fps}))


@dataclass(frozen=True)
class VideoWindow:
    """Consecutive frames of a video.

    Attributes:
        first: number of the first frame, from 0.
        frames: number of frames.
        start_us, end_us: presentation time of the first frame and of the frame after the last, in microseconds since
            the first frame of the video. The last frame of the video has the duration of the frame before it.
        events: events between consecutive frames, including the last frame of the previous window.
        image: the middle frame, RGB; the first frame of a window that ends before the middle of a full one. None if
            images are disabled.
    """

    first: int
    frames: int
    start_us: int
    end_us: int
    events: samples.EventSample = field(repr=False)
    image: np.ndarray | None = field(repr=False)

    def get_sample(self, modality: str) -> samples.EventSample | np.ndarray | None:
        """Return the sample to embed as `event` or `image`; None if there is none."""
        if modality == "image":
            return self.image
        return self.events if len(self.events) else None

    @property
    def measures(self) -> dict[str, float]:
        """Measures for heads: numbers of events, frames, and pixels of a frame."""
        pixels = self.events.width * self.events.height
        return {"events": float(len(self.events)), "frames": float(self.frames), "pixels": float(pixels)}


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


class VideoWindows:
    """An iterator over the windows of a video as it is decoded, once; only frame times grow with the video.

    Every frame is in a window. The last window is shorter if the frames do not fill it, as is the only window of a
    video that is shorter than one.

    Attributes:
        times_us: presentation times of the frames decoded so far, in microseconds since the first.
        problem: decoding error; set after the windows of all frames before it.
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
            side: scale images down to this longer side, in pixels. [default: full size]
        """
        self.times_us = array("q")
        self.problem: BadInput | None = None
        self._video, self._settings = video, settings or WindowSettings()
        self._images, self._side = images, max_side

    def __iter__(self) -> Iterator[VideoWindow]:
        """Yield the windows.

        Raises:
            BadInput: the video is damaged before its first frame, or its frames are larger than the largest sensor.
        """
        size, stride = self._settings.frames, self._settings.stride
        step = math.gcd(size, stride)  # windows start and end at multiples of it, so that events are derived once
        chunks: deque[samples.EventSample] = deque()  # events of the current window, `step` frames each
        pending: list[samples.VideoFrame] = []  # frames not yet in a chunk, after the last frame that is
        candidates: dict[int, samples.VideoFrame] = {}  # frames that may be a middle frame
        first = 0
        try:
            for number, frame in enumerate(self._video.frames()):
                if number and number % step == 0:
                    chunks.append(self._derive_events(pending))
                    del pending[:-1]
                if number == first + size:
                    yield self._make_window(first, size, frame.time_us, chunks, candidates)
                    first += stride
                    for _ in range(stride // step):
                        chunks.popleft()
                    candidates = {other: image for other, image in candidates.items() if other >= first}
                self.times_us.append(frame.time_us)
                pending.append(frame)
                if self._images and number % stride in (0, size // 2 % stride):
                    candidates[number] = frame
        except BadInput as error:
            if not self.times_us:
                raise
            self.problem = error
        if self.times_us:
            chunks.append(self._derive_events(pending))
            end = 2 * self.times_us[-1] - self.times_us[max(0, len(self.times_us) - 2)]
            yield self._make_window(first, len(self.times_us) - first, end, chunks, candidates)

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

    def _derive_events(self, frames: Sequence[samples.VideoFrame]) -> samples.EventSample:
        video = self._video
        clip = VideoClip(video.path, video.width, video.height, video.fps, video.duration, tuple(frames))
        return modalities.derive("event", clip, source="video", threshold=self._settings.threshold)

    def _make_window(
        self,
        first: int,
        frames: int,
        end_us: int,
        chunks: Sequence[samples.EventSample],
        candidates: dict[int, samples.VideoFrame],
    ) -> VideoWindow:
        image = None
        if self._images:
            middle = first + self._settings.frames // 2
            image = candidates[middle if middle < first + frames else first].rgb()
            image = image if self._side is None else shrink_image(image, self._side)
        return VideoWindow(first, frames, self.times_us[first], end_us, _concatenate_events(chunks), image)


def _concatenate_events(chunks: Sequence[samples.EventSample]) -> samples.EventSample:
    if len(chunks) == 1:
        return chunks[0]
    columns = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in "xytp"}
    return modalities.make_sample("event", **columns, width=chunks[0].width, height=chunks[0].height)


def shrink_image(image: np.ndarray, max_side: int) -> np.ndarray:
    """Scale an RGB image down to a longer side of at most `max_side` pixels."""
    scaled = PIL.Image.fromarray(image)
    scaled.thumbnail((max_side, max_side), reducing_gap=1.0)  # box reduction first takes a seventh of the time
    return np.asarray(scaled)
