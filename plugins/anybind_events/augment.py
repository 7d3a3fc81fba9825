"""Event augmentation: recordings changed at random, as training wants them.

Each function takes a recording and a NumPy generator, and gives a new recording on the same sensor; events that
leave the sensor are dropped. `Augment` does several of them in a row, by a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from anybind.plugin import BadOption
from anybind_events.stream import EventStream


def flip_time(stream: EventStream, random: np.random.Generator, probability: float = 0.5) -> EventStream:
    """Played backwards, so that rises become falls, with this probability."""
    return stream.flip_time() if random.random() < probability else stream


def flip_horizontally(stream: EventStream, random: np.random.Generator, probability: float = 0.5) -> EventStream:
    """Left becomes right, with this probability."""
    return stream.flip_horizontally() if random.random() < probability else stream


def shift(stream: EventStream, random: np.random.Generator, pixels: int = 20) -> EventStream:
    """All events moved by one random step of -pixels..pixels, in x and in y."""
    right, down = (int(step) for step in random.integers(-pixels, pixels, size=2, endpoint=True))
    return _inside(stream, stream.x.astype(np.int32) + right, stream.y.astype(np.int32) + down, stream.t, stream.p)


def drop(stream: EventStream, random: np.random.Generator, share: float = 0.5) -> EventStream:
    """Each event left out with one probability, drawn from 0..share."""
    kept = random.random(len(stream), dtype=np.float32) >= random.uniform(0, share)
    return _of(stream, stream.x[kept], stream.y[kept], stream.t[kept], stream.p[kept])


def add_uniform_noise(stream: EventStream, random: np.random.Generator, share: float = 0.1) -> EventStream:
    """Events of either polarity anywhere on the sensor and at any time of the recording.

    Their number is that of the recording's events times a factor drawn from 0..share.
    """
    count = int(len(stream) * random.uniform(0, share))
    if not count:
        return stream
    x, y = random.integers(0, stream.width, count), random.integers(0, stream.height, count)
    t = random.integers(stream.t[0], stream.t[-1], count, endpoint=True)
    return _merged(stream, x, y, t, random.random(count) < 0.5)


def add_near_noise(
    stream: EventStream,
    random: np.random.Generator,
    share: float = 0.1,
    radius: int = 2,
    microseconds: int = 1_000,
) -> EventStream:
    """Events of either polarity near others: noise that goes with what is seen, as at edges that flicker.

    Their number is that of the recording's events times a factor drawn from 0..share, less those that fall beyond
    the sensor. Each is near an event picked at random: up to `radius` pixels from it in x and in y, and up to
    `microseconds` before or after it, within the recording.
    """
    count = int(len(stream) * random.uniform(0, share))
    if not count:
        return stream
    near = random.integers(0, len(stream), count)
    x, y = (
        column[near].astype(np.int32) + random.integers(-radius, radius, count, dtype=np.int32, endpoint=True)
        for column in (stream.x, stream.y)
    )
    t = stream.t[near] + random.integers(-microseconds, microseconds, count, endpoint=True)
    t = np.clip(t, stream.t[0], stream.t[-1])
    p = random.random(count) < 0.5
    kept = (x >= 0) & (x < stream.width) & (y >= 0) & (y < stream.height)
    return _merged(stream, x[kept], y[kept], t[kept], p[kept])


def crop_and_resize(
    stream: EventStream, random: np.random.Generator, smallest: float = 0.45, stretch: float = 4 / 3
) -> EventStream:
    """The events in a random window, spread over the whole sensor again.

    The window has a share of the sensor's area drawn from smallest..1, and the sensor's ratio of sides times a
    factor drawn from 1/stretch..stretch on a logarithmic scale; it is made to fit. A pixel that grows gives each of
    its events a random place within what it has become, so that the larger picture has no empty rows and columns.
    """
    area = random.uniform(smallest, 1)
    factor = math.exp(random.uniform(-math.log(stretch), math.log(stretch)))
    width = min(stream.width, max(1, round(stream.width * math.sqrt(area * factor))))
    height = min(stream.height, max(1, round(stream.height * math.sqrt(area / factor))))
    left = int(random.integers(0, stream.width - width, endpoint=True))
    top = int(random.integers(0, stream.height - height, endpoint=True))
    window = stream.crop(left, top, width, height)
    x = _spread(window.x, width, stream.width, random)
    y = _spread(window.y, height, stream.height, random)
    return _of(stream, x, y, window.t, window.p)


def _spread(column: np.ndarray, size: int, wanted: int, random: np.random.Generator) -> np.ndarray:
    if size == wanted:
        return column
    # Fractions of 24 bits, so that in float64 none of them is rounded up to the next pixel.
    place = column + random.random(len(column), dtype=np.float32).astype(np.float64)
    return (place * (wanted / size)).astype(np.uint16)


def _inside(stream: EventStream, x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> EventStream:
    kept = (x >= 0) & (x < stream.width) & (y >= 0) & (y < stream.height)
    return _of(stream, x[kept].astype(np.uint16), y[kept].astype(np.uint16), t[kept], p[kept])


def _of(stream: EventStream, x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> EventStream:
    return EventStream.of_checked(x, y, t, p, stream.width, stream.height)


def _merged(stream: EventStream, x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> EventStream:
    """Further events, in any order, put into a recording by their times, behind those of the same time."""
    order = np.argsort(t, kind="stable")
    place = np.searchsorted(stream.t, t[order], side="right") + np.arange(len(t))
    own = np.ones(len(stream) + len(t), np.bool_)
    own[place] = False
    columns: dict[str, np.ndarray] = {}
    for name, added in zip("xytp", (x, y, t, p), strict=True):
        before = getattr(stream, name)
        columns[name] = np.empty(len(own), before.dtype)
        columns[name][own] = before
        columns[name][place] = added[order]
    return _of(stream, **columns)


@dataclass(frozen=True)
class Augment:
    """Several changes in a row, each by its option; 0 (of `smallest_crop` 1) leaves that one out.

    The values it begins with are those of the paper's authors, as far as their published code names them; the
    amount of noise is ours.

    Attributes:
        flip_time: probability, 0 to 1, that the recording is played backwards, rises becoming falls.
        flip_horizontally: probability, 0 to 1, that left becomes right.
        shift: largest step in pixels.
        smallest_crop: least share of the sensor's area that is kept and spread over all of it, above 0 to 1.
        near_noise: most noise events near others, as a share of the recording's events.
        uniform_noise: most noise events anywhere, likewise.
        drop: largest probability that an event is left out, 0 to below 1.

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

    def __post_init__(self) -> None:
        for option in fields(self):
            _require_number(option.name, getattr(self, option.name), whole=option.name == "shift")
        for name in ("flip_time", "flip_horizontally"):
            if getattr(self, name) > 1:
                raise BadOption(f"{name} must be a probability, 0 to 1, got {getattr(self, name)}")
        if not 0 < self.smallest_crop <= 1:
            raise BadOption(f"smallest_crop must be above 0 and at most 1, got {self.smallest_crop}")
        if self.drop >= 1:
            raise BadOption(f"drop must be below 1, got {self.drop}")

    def __call__(self, stream: EventStream, seed: int | Sequence[int]) -> EventStream:
        """The recording changed, the same for the same seed and options.

        A change that would leave no event is passed over. The seed is a number, 0 or more, or several of them, such
        as those of a run, an epoch and a sample.
        """
        random = np.random.default_rng(seed)
        changes: dict[Callable[..., EventStream], float] = {
            flip_time: self.flip_time,
            flip_horizontally: self.flip_horizontally,
            shift: self.shift,
            crop_and_resize: self.smallest_crop,
            add_near_noise: self.near_noise,
            add_uniform_noise: self.uniform_noise,
            drop: self.drop,
        }
        for change, amount in changes.items():
            if amount != (1 if change is crop_and_resize else 0):
                changed = change(stream, random, amount)
                stream = changed if len(changed) else stream
        return stream


def _require_number(name: str, value: float, *, whole: bool) -> None:
    right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not (right and math.isfinite(value) and value >= 0):
        raise BadOption(f"{name} must be a {'whole ' * whole}number, 0 or more, got {value!r}")
