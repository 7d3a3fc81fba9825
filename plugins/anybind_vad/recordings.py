"""Event recordings as videos: windows over time, without images."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, modalities, samples
from anybind_vad.presets import DROP, WindowSettings
from anybind_vad.windows import VideoWindow, WindowSource

FPS = 25.0
"""Default frame rate of event recordings in Hz."""


@dataclass(frozen=True, eq=False)
class EventRecording:
    """An event recording that is divided into frames of equal duration, which annotations refer to.

    Frame k has the times k / fps to (k + 1) / fps after the first event.

    Attributes:
        path: the file.
        events: all events, in memory.
        fps: frame rate in Hz.
    """

    path: Path
    events: samples.EventSample
    fps: float = FPS

    @property
    def width(self) -> int:
        return self.events.width

    @property
    def height(self) -> int:
        return self.events.height

    @property
    def duration(self) -> float:
        """Seconds from the first event to the last."""
        return self.events.duration_us / 1e6

    @property
    def n_frames(self) -> int:
        """Number of frames up to the last event."""
        return int(self.events.duration_us * self.fps / 1e6) + 1


class RecordingWindows(WindowSource):
    """An iterator over the windows of an event recording: the events of `frames` frames, without an image.

    As in `VideoWindows`, the last frames that do not fill a window are merged into the one before, or dropped.
    """

    def __init__(self, recording: EventRecording, settings: WindowSettings) -> None:
        self.problem: BadInput | None = None
        self._recording, self._settings = recording, settings
        self.times_us = array("q", [self._get_time(number) for number in range(recording.n_frames)])

    def _get_time(self, frame: int) -> int:
        return round(frame * 1e6 / self._recording.fps)

    def __iter__(self) -> Iterator[VideoWindow]:
        size, stride, count = self._settings.frames, self._settings.stride, len(self.times_us)
        first = 0
        while first + stride + size <= count:
            yield self._make_window(first, size)
            first += stride
        yield self._make_window(first, min(count - first, size) if self._settings.last == DROP else count - first)

    def _make_window(self, first: int, frames: int) -> VideoWindow:
        start, end = self._get_time(first), self._get_time(first + frames)
        events = self._recording.events
        origin = int(events.t[0]) if len(events) else 0
        low, high = np.searchsorted(events.t, [origin + start, origin + end]).tolist()
        columns = {name: getattr(events, name)[low:high] for name in "xytp"}
        selected = modalities.make_sample("event", **columns, width=events.width, height=events.height)
        return VideoWindow(first, frames, start, end, selected, frames, None)
