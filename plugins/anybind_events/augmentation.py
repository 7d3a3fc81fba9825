"""Random augmentation of event recordings for training.

Each function takes a recording and a NumPy generator and returns a new recording, on the same sensor but for
`scale_to_grid`; events that leave the sensor are dropped. `EventAugmentation` applies several of them in a row, from a
seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from anybind.plugin import BadOption
from anybind_events.insertion import insert_events
from anybind_events.stream import EventStream


def slice_events(stream: EventStream, rng: np.random.Generator, events: int = 30_000) -> EventStream:
    """Keep a random contiguous slice of this number of events; a shorter recording is kept whole."""
    if len(stream) <= events:
        return stream
    first = int(rng.integers(len(stream) - events, endpoint=True))
    return stream.slice_events(first, first + events)


def scale_to_grid(stream: EventStream, rng: np.random.Generator, side: int = 224) -> EventStream:
    """Scale the coordinates to a square sensor of `side` pixels, regardless of the aspect ratio."""
    x, y = (
        (column.astype(np.int64) * side // size).astype(np.uint16)
        for column, size in ((stream.x, stream.width), (stream.y, stream.height))
    )
    return EventStream.from_valid(x, y, stream.t, stream.p, side, side)


def flip_time(stream: EventStream, rng: np.random.Generator, probability: float = 0.5) -> EventStream:
    """Reverse time with this probability, so that ON events become OFF events."""
    return stream.flip_time() if rng.random() < probability else stream


def flip_horizontally(stream: EventStream, rng: np.random.Generator, probability: float = 0.5) -> EventStream:
    """Mirror left and right with this probability."""
    return stream.flip_horizontally() if rng.random() < probability else stream


def shift_events(stream: EventStream, rng: np.random.Generator, pixels: int = 20) -> EventStream:
    """Shift all events by one random offset of -pixels..pixels in x and in y."""
    right, down = (int(step) for step in rng.integers(-pixels, pixels, size=2, endpoint=True))
    x, y = stream.x.astype(np.int32) + right, stream.y.astype(np.int32) + down
    inside = (x >= 0) & (x < stream.width) & (y >= 0) & (y < stream.height)
    x, y = x.astype(np.uint16), y.astype(np.uint16)
    return _replace_events(stream, x[inside], y[inside], stream.t[inside], stream.p[inside])


def drop_events(stream: EventStream, rng: np.random.Generator, max_fraction: float = 0.5) -> EventStream:
    """Drop each event with one probability, drawn from 0..max_fraction."""
    mask = rng.random(len(stream), dtype=np.float32) >= rng.uniform(0, max_fraction)
    return _replace_events(stream, stream.x[mask], stream.y[mask], stream.t[mask], stream.p[mask])


def add_uniform_noise(stream: EventStream, rng: np.random.Generator, max_fraction: float = 0.1) -> EventStream:
    """Add events of either polarity, uniform over the sensor and the duration of the recording.

    Their number is the number of events times a factor drawn from 0..max_fraction.
    """
    count = int(len(stream) * rng.uniform(0, max_fraction))
    if not count:
        return stream
    x, y = rng.integers(0, stream.width, count), rng.integers(0, stream.height, count)
    t = rng.integers(stream.t[0], stream.t[-1], count, endpoint=True)
    return _insert_events(stream, x, y, t, rng.random(count) < 0.5)


def add_near_noise(
    stream: EventStream,
    rng: np.random.Generator,
    max_fraction: float = 0.1,
    radius: int = 2,
    microseconds: int = 1_000,
) -> EventStream:
    """Add events of either polarity near existing events: noise correlated with the scene, as at flickering edges.

    Their number is the number of events times a factor drawn from 0..max_fraction, minus those outside the sensor.
    Each lies near a random event: at most `radius` pixels away in x and in y, and at most `microseconds` before or
    after it, within the recording.
    """
    count = int(len(stream) * rng.uniform(0, max_fraction))
    if not count:
        return stream
    neighbours = rng.integers(0, len(stream), count)
    x, y = (
        column[neighbours].astype(np.int32) + rng.integers(-radius, radius, count, dtype=np.int32, endpoint=True)
        for column in (stream.x, stream.y)
    )
    t = stream.t[neighbours] + rng.integers(-microseconds, microseconds, count, endpoint=True)
    t = np.clip(t, stream.t[0], stream.t[-1])
    p = rng.random(count) < 0.5
    inside = (x >= 0) & (x < stream.width) & (y >= 0) & (y < stream.height)
    return _insert_events(stream, x[inside], y[inside], t[inside], p[inside])


def add_point_noise(
    stream: EventStream,
    rng: np.random.Generator,
    counts: Sequence[int] = (100, 5_000),
    sigma: float = 1.5,
    microseconds: float = 1_000,
) -> EventStream:
    """Add events of one polarity near a point that moves on a straight line across the sensor.

    Their number is drawn from counts[0]..counts[1], minus those outside the sensor. The point moves at constant speed,
    from a random position at the beginning of the recording to another at its end. The distances of the events to it
    are normally distributed, with standard deviation `sigma` pixels in x and in y and `microseconds` in time, limited
    to the recording.
    """
    if not len(stream):
        return stream
    count = int(rng.integers(counts[0], counts[1], endpoint=True))
    first, last = rng.uniform(0, (stream.width, stream.height), size=(2, 2))
    fraction = rng.random(count)
    x, y = np.floor(first + fraction[:, None] * (last - first) + rng.normal(0, sigma, (count, 2))).astype(np.int64).T
    t = stream.t[0] + fraction * (stream.t[-1] - stream.t[0]) + rng.normal(0, microseconds, count)
    t = np.clip(np.rint(t).astype(np.int64), stream.t[0], stream.t[-1])
    p = np.full(count, rng.random() < 0.5)
    inside = (x >= 0) & (x < stream.width) & (y >= 0) & (y < stream.height)
    return _insert_events(stream, x[inside], y[inside], t[inside], p[inside])


def crop_and_resize(
    stream: EventStream, rng: np.random.Generator, min_area: float = 0.45, max_stretch: float = 4 / 3
) -> EventStream:
    """Crop a random window and resize it to the whole sensor.

    The area fraction of the window is drawn from min_area..1, and its aspect ratio is the sensor's times a factor drawn
    from 1/max_stretch..max_stretch on a logarithmic scale; it is limited to the sensor. Each event gets a random
    position within its enlarged pixel, so that the result has no empty rows and columns.
    """
    area = rng.uniform(min_area, 1)
    factor = math.exp(rng.uniform(-math.log(max_stretch), math.log(max_stretch)))
    width = min(stream.width, max(1, round(stream.width * math.sqrt(area * factor))))
    height = min(stream.height, max(1, round(stream.height * math.sqrt(area / factor))))
    left = int(rng.integers(0, stream.width - width, endpoint=True))
    top = int(rng.integers(0, stream.height - height, endpoint=True))
    window = stream.crop(left, top, width, height)
    x = _resize_coordinates(window.x, width, stream.width, rng)
    y = _resize_coordinates(window.y, height, stream.height, rng)
    return _replace_events(stream, x, y, window.t, window.p)


def _resize_coordinates(column: np.ndarray, size: int, new_size: int, rng: np.random.Generator) -> np.ndarray:
    if size == new_size:
        return column
    # Fractions of 24 bits: in float64 none of them is rounded up to the next pixel.
    positions = column + rng.random(len(column), dtype=np.float32).astype(np.float64)
    return (positions * (new_size / size)).astype(np.uint16)


def _replace_events(stream: EventStream, x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> EventStream:
    return EventStream.from_valid(x, y, t, p, stream.width, stream.height)


def _insert_events(stream: EventStream, x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> EventStream:
    """Insert events, given in any order, by their times, after existing events of the same time."""
    return insert_events(stream, x, y, t, p)[0]


@dataclass(frozen=True)
class EventAugmentation:
    """Several augmentations in a row, one option each; 0 (1 for `smallest_crop`, () for `point_noise`) disables it.

    The defaults are our choices. With `slice_events=30_000, grid=224, point_noise=(100, 5_000), near_noise=0,
    smallest_crop=1, flip_horizontally=0` it is that of the code of the paper's authors, which crops and mirrors the
    finished frame instead (`augment_input` of a recipe); straight line and constant speed of the point are ours.

    Attributes:
        slice_events: number of events of a random contiguous slice, taken first.
        grid: side in pixels of a square sensor that the coordinates are scaled to, before everything but the slice.
        flip_time: probability, 0 to 1, of reversing time, which turns ON events into OFF events.
        flip_horizontally: probability, 0 to 1, of mirroring left and right.
        shift: largest shift in pixels, of `grid` if that is set.
        smallest_crop: smallest area fraction of the crop that is resized to the whole sensor, above 0 to 1.
        near_noise: largest number of noise events near others, as a fraction of the number of events.
        uniform_noise: largest number of uniform noise events, as a fraction of the number of events.
        drop: largest probability of dropping an event, 0 to below 1.
        point_noise: smallest and largest number of noise events near a moving point, see `add_point_noise`.

    Raises:
        BadOption: an option out of its range.
    """

    flip_time: float = 0.5
    flip_horizontally: float = 0.5
    shift: int = 20
    smallest_crop: float = 0.45
    near_noise: float = 0.1
    uniform_noise: float = 0.0
    drop: float = 0.0
    slice_events: int = 0
    grid: int = 0
    point_noise: Sequence[int] = ()

    def __post_init__(self) -> None:
        whole = ("shift", "slice_events", "grid")
        for name in (option.name for option in fields(self) if option.name != "point_noise"):
            _require_number(name, getattr(self, name), whole=name in whole)
        _check_range("point_noise", self.point_noise)
        if self.grid >= 1 << 16:
            raise BadOption(f"grid: expected at most 65535 pixels, got {self.grid}")
        for name in ("flip_time", "flip_horizontally"):
            if getattr(self, name) > 1:
                raise BadOption(f"{name}: expected a probability, 0 to 1, got {getattr(self, name)}")
        if not 0 < self.smallest_crop <= 1:
            raise BadOption(f"smallest_crop: expected a fraction above 0 and at most 1, got {self.smallest_crop}")
        if self.drop >= 1:
            raise BadOption(f"drop: expected a probability below 1, got {self.drop}")

    def __call__(self, stream: EventStream, seed: int | Sequence[int]) -> EventStream:
        """Augment a recording, the same way for the same seed and options.

        An augmentation that would leave no event is skipped. The seed is a number, 0 or more, or several of them, such
        as those of a run, an epoch and a sample.
        """
        rng = np.random.default_rng(seed)
        augmentations: dict[Callable[..., EventStream], float | Sequence[int]] = {
            slice_events: self.slice_events,
            scale_to_grid: self.grid,
            flip_time: self.flip_time,
            flip_horizontally: self.flip_horizontally,
            shift_events: self.shift,
            crop_and_resize: self.smallest_crop,
            add_near_noise: self.near_noise,
            add_uniform_noise: self.uniform_noise,
            drop_events: self.drop,
            add_point_noise: self.point_noise,
        }
        for augmentation, amount in augmentations.items():
            if amount != 1 if augmentation is crop_and_resize else amount:
                changed = augmentation(stream, rng, amount)
                stream = changed if len(changed) else stream
        return stream


def _require_number(name: str, value: float, *, whole: bool) -> None:
    valid = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not (valid and math.isfinite(value) and value >= 0):
        raise BadOption(f"{name}: expected a {'whole ' * whole}number, 0 or more, got {value!r}")


def _check_range(name: str, counts: object) -> None:
    """Raise `BadOption` unless it is empty, or two whole numbers, the first 0 or more and at most the second."""
    numbers = list(counts) if isinstance(counts, list | tuple) else [counts]
    whole = [each for each in numbers if isinstance(each, int) and not isinstance(each, bool)]
    if len(whole) != len(numbers) or len(whole) not in (0, 2):
        raise BadOption(f"{name}: expected two whole numbers, got {counts!r}")
    if whole != sorted(whole) or min(whole, default=0) < 0:
        raise BadOption(f"{name}: expected the smallest and the largest number, 0 or more, got {whole}")
