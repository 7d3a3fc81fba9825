"""Windows of a video: the events of consecutive frames and the frame in the middle, from one decoding."""

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
    """Open a video file, or a folder of frames.

    Args:
        path: the file or folder.
        fps: frame rate of a folder of frames in Hz. [default: 25]

    Raises:
        BadInput: not a video, or one that cannot be read.
        BadOption: a rate out of its range, or given for a file.
    """
    path = Path(path)
    part = find_part(ReaderSpec, "video") if path.is_dir() else readers.find_reader(path)
    if part.spec.modality != "video":
        raise BadInput(f"{path} holds {part.spec.modality}; give a video, or a folder of its frames")
    with part.explain_missing_extra():
        return part.load()().read(path, **({} if fps is None else {"fps": fps}))


@dataclass(frozen=True)
class VideoWindow:
    """Consecutive frames of a video.

    Attributes:
        first: number of the first frame, from 0.
        frames: number of frames.
        start_us, end_us: presentation time of the first frame and of the one after the last, in microseconds since the
            first frame of the video. The video's last frame lasts as long as the one before it.
        events: where each frame differs from the one before it, also from the last one of the window before.
        image: the frame in the middle, RGB; of a window that ends before the middle of a full one, the first frame.
            None where the windows were made without images.
    """

    first: int
    frames: int
    start_us: int
    end_us: int
    events: samples.EventSample = field(repr=False)
    image: np.ndarray | None = field(repr=False)

    def get_sample(self, modality: str) -> samples.EventSample | np.ndarray | None:
        """What is embedded as `event` or `image`; None where there is nothing to embed."""
        if modality == "image":
            return self.image
        return self.events if len(self.events) else None

    @property
    def measures(self) -> dict[str, float]:
        """Numbers for heads: `events`, `frames`, and `pixels` of a frame."""
        pixels = self.events.width * self.events.height
        return {"events": float(len(self.events)), "frames": float(self.frames), "pixels": float(pixels)}


@dataclass(frozen=True)
class VideoClip:
    """Some frames of a video, in memory."""

    path: Path
    width: int
    height: int
    fps: float
    duration: float
    buffer: Sequence[samples.VideoFrame]

    def frames(self) -> Iterator[samples.VideoFrame]:
        return iter(self.buffer)


class VideoWindows:
    """The windows of a video, made as it is decoded; iterates once, in memory that grows with the frames' times alone.

    Every frame is in a window. The last window is shorter where the frames do not fill it, and so is the only one of a
    video that is shorter than a window.

    Attributes:
        times_us: presentation times of the frames decoded so far, microseconds since the first.
        problem: why the video cannot be decoded to its end, set after the windows of all frames before the damage.
    """

    def __init__(
        self,
        video: samples.VideoSample,
        settings: WindowSettings | None = None,
        *,
        images: bool = True,
        max_side: int | None = None,
    ) -> None:
        """Choose what is made; nothing is decoded yet.

        Args:
            video: the video.
            settings: the windows. [default: 16 frames side by side, threshold 25]
            images: give windows the frame in the middle.
            side: scale images down to this longer side, in pixels. [default: as they are]
        """
        self.times_us = array("q")
        self.problem: BadInput | None = None
        self._video, self._settings = video, settings or WindowSettings()
        self._images, self._side = images, max_side

    def __iter__(self) -> Iterator[VideoWindow]:
        """Yield the windows.

        Raises:
            BadInput: the video is damaged before its first frame, or its frames are larger than a sensor can be.
        """
        size, stride = self._settings.frames, self._settings.stride
        step = math.gcd(size, stride)  # windows begin and end at multiples of it, so that no events are derived twice
        parts: deque[samples.EventSample] = deque()  # of the window that is being filled, `step` frames each
        waiting: list[samples.VideoFrame] = []  # frames that are not yet in a part, after the last one that is
        shown: dict[int, samples.VideoFrame] = {}  # frames that may become images
        first = 0
        try:
            for number, frame in enumerate(self._video.frames()):
                if number and number % step == 0:
                    parts.append(self._derive(waiting))
                    del waiting[:-1]
                if number == first + size:
                    yield self._window(first, size, frame.time_us, parts, shown)
                    first += stride
                    for _ in range(stride // step):
                        parts.popleft()
                    shown = {place: each for place, each in shown.items() if place >= first}
                self.times_us.append(frame.time_us)
                waiting.append(frame)
                if self._images and number % stride in (0, size // 2 % stride):
                    shown[number] = frame
        except BadInput as error:
            if not self.times_us:
                raise
            self.problem = error
        if self.times_us:
            parts.append(self._derive(waiting))
            end = 2 * self.times_us[-1] - self.times_us[max(0, len(self.times_us) - 2)]
            yield self._window(first, len(self.times_us) - first, end, parts, shown)

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

    def _derive(self, frames: Sequence[samples.VideoFrame]) -> samples.EventSample:
        video = self._video
        clip = VideoClip(video.path, video.width, video.height, video.fps, video.duration, tuple(frames))
        return modalities.derive("event", clip, source="video", threshold=self._settings.threshold)

    def _window(
        self,
        first: int,
        frames: int,
        end_us: int,
        parts: Sequence[samples.EventSample],
        shown: dict[int, samples.VideoFrame],
    ) -> VideoWindow:
        image = None
        if self._images:
            middle = first + self._settings.frames // 2
            image = shown[middle if middle < first + frames else first].rgb()
            image = image if self._side is None else shrink_image(image, self._side)
        return VideoWindow(first, frames, self.times_us[first], end_us, _concatenate(parts), image)


def _concatenate(parts: Sequence[samples.EventSample]) -> samples.EventSample:
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in "xytp"}
    return modalities.make_sample("event", **columns, width=parts[0].width, height=parts[0].height)


def shrink_image(image: np.ndarray, max_side: int) -> np.ndarray:
    """Scale an RGB image down to a longer side of `side` pixels at most."""
    scaled = PIL.Image.fromarray(image)
    scaled.thumbnail((max_side, max_side), reducing_gap=1.0)  # whole pixels are averaged first, which takes a seventh
    return np.asarray(scaled)
