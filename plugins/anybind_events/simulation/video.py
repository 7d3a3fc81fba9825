"""Simulated event recordings of videos, frame by frame: memory is independent of the length of the video."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import PIL.Image

from anybind.plugin import BadOption, errors, samples
from anybind_events.simulation.pixels import list_changed_pixels, map_levels
from anybind_events.simulation.sensor import check_numbers, compute_log_intensity
from anybind_events.simulation.sensor_model import ModelledSensor, SensorModel, check_size
from anybind_events.stream import EventStream

GRAY_WEIGHTS = {
    "gray": np.array([0.2989, 0.587, 0.114], np.float32),
    "color": np.array([0.299, 0.587, 0.114], np.float32),
}
DIFFERENCES = ("luma", *GRAY_WEIGHTS)
"""What consecutive frames differ in; see `frame_difference`."""


def frame_difference(
    video: samples.VideoSample, *, threshold: float = 25.0, difference: str = "luma"
) -> Iterator[EventStream]:
    """Simulate events where consecutive frames differ by more than a threshold, as in the paper.

    A pixel gives one event, at the time of the later frame, where |difference| > threshold; it is ON where the later
    frame is brighter.

    Args:
        video: the video.
        threshold: gray levels, of 255; 25 in the paper, 10 in the description of the authors' code.
        difference: `luma`: of the video's own luma (see `VideoFrame`); `gray`: of .2989 R + .587 G + .114 B, as in the
            authors' later code (equal to luma on gray pixels of full range); `color`: the absolute difference of the
            RGB frames, of which the gray value .299 R + .587 G + .114 B is rounded, as the description of the authors'
            code has it.

    Yields:
        one stream per frame; the first is empty.

    Raises:
        BadOption: the threshold is not above 0 and finite, or the difference is unknown.
        BadInput: raised by the video, or frames exceed the maximum sensor size.
    """
    check_numbers(0, threshold=threshold)
    if difference not in DIFFERENCES:
        raise BadOption(
            f"difference: expected {', '.join(DIFFERENCES)}, got {difference!r}"
            f"{errors.suggest_names(difference, DIFFERENCES)}"
        )
    previous: Levels | None = None
    for each in video.frames():
        levels = Levels(each, difference)
        height, width = levels.gray.shape
        if previous is None:
            yield _empty_stream(levels.gray)
        else:
            flags = levels.find_changes(previous, threshold).ravel()
            n_events = int(np.count_nonzero(flags))
            x, y, on = list_changed_pixels(flags, levels.gray.ravel(), previous.gray.ravel(), width, n_events)
            yield EventStream.from_valid(x, y, np.full(n_events, each.time_us, np.int64), on, width, height)
        previous = levels


class Levels:
    """What `frame_difference` compares of a frame.

    Attributes:
        gray: gray levels of 255, (height, width): uint8 luma, or the float32 sum of weighted colours.
    """

    def __init__(self, frame: samples.VideoFrame, difference: str) -> None:
        """Compute the gray levels, and keep the colours if they are compared."""
        self.colors = None if difference == "luma" else frame.rgb()
        self.gray = frame.gray if self.colors is None else self.colors @ GRAY_WEIGHTS[difference]
        if difference != "color":
            self.colors = None

    def find_changes(self, previous: Levels, threshold: float) -> np.ndarray:
        """Return which pixels differ from those of the previous frame by more than a threshold, (height, width)."""
        if self.colors is not None and previous.colors is not None:
            changes = _subtract(self.colors, previous.colors) @ GRAY_WEIGHTS["color"]
            return np.rint(changes, out=changes) > threshold
        if self.gray.dtype == np.uint8:
            return _subtract(self.gray, previous.gray) > np.uint8(min(threshold, 255))  # differences are whole numbers
        return np.abs(self.gray - previous.gray) > threshold


def _subtract(frame: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """Return the absolute difference of two uint8 arrays."""
    difference = np.maximum(frame, previous)
    difference -= np.minimum(frame, previous)
    return difference


@dataclass(frozen=True)
class VideoSensor:
    """Size of the sensor of `contrast`.

    Attributes:
        width, height: size in pixels, 8 to 4096, that frames are scaled to; 0: the size of the video.

    Raises:
        BadOption: a size out of its range, or one side without the other.
    """

    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if bool(self.width) != bool(self.height):
            given, missing = ("width", "height") if self.width else ("height", "width")
            raise BadOption(f"{given}: give {missing} too, or neither for the size of the video")
        if self.width:
            check_size(self.width, self.height)

    def scale(self, gray: np.ndarray) -> np.ndarray:
        """Scale a frame, (rows, columns) uint8, to the sensor's size, with antialiasing."""
        if not self.width or gray.shape == (self.height, self.width):
            return gray
        size = self.width, self.height
        return np.asarray(PIL.Image.fromarray(gray).resize(size, PIL.Image.Resampling.BICUBIC))


def contrast(
    video: samples.VideoSample, size: VideoSensor | None = None, sensor: SensorModel | None = None, *, seed: int = 0
) -> Iterator[EventStream]:
    """Simulate a sensor: a pixel emits an event each time its log intensity changes by its threshold.

    The log intensity is linear between frames, and times are interpolated along it, so that a pixel may emit several
    events between two frames. It is the natural log of the video's luma, linear below gray level 20. Luma has a gamma
    of about 2.2, so that a change of its log corresponds to a 2.2 times larger change of the log of the light itself.

    Args:
        video: the video.
        size: size of the sensor. [default: of the video]
        sensor: the sensor's imperfections. [default: `SensorModel()`]
        seed: seed of everything random; the same seed gives the same recording.

    Yields:
        one stream per frame, with the events since the previous frame; the first is empty.

    Raises:
        BadOption: the seed is negative, or the threshold is below 0.001.
        BadInput: raised by the video, or frames exceed the maximum sensor size.
    """
    check_numbers(seed)
    size, sensor = size or VideoSensor(), sensor or SensorModel()
    levels = compute_log_intensity(np.arange(256, dtype=np.float32))
    modelled, views = None, itertools.cycle([np.empty(0, np.float32)])
    for each in video.frames():
        frame = size.scale(each.gray)
        if modelled is None:
            yield _empty_stream(frame)
            views = itertools.cycle([np.empty(frame.shape, np.float32) for _ in range(2)])
            modelled = ModelledSensor(sensor, map_levels(frame, levels, next(views)), each.time_us, seed)
        else:
            yield modelled.update(map_levels(frame, levels, next(views)), each.time_us)


def _empty_stream(frame: np.ndarray) -> EventStream:
    """Return an empty stream of the frame's size; raise `BadInput` if it exceeds the maximum sensor size."""
    none = np.empty(0, np.int64)
    return EventStream(none, none, none, none, frame.shape[1], frame.shape[0])
