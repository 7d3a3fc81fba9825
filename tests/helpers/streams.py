"""Content of event streams as plain values for comparisons, and results of reading a file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from anybind import AnybindWarning
from anybind.errors import BadInput
from anybind.samples import EventSample
from anybind_events.stream import EventStream

Row = tuple[int, int, int, bool]
"""Column, row, time and polarity of an event."""
SIDES = st.integers(1, 65_535)
"""Widths and heights of all valid sensors."""


def list_events(*streams: EventSample) -> list[Row]:
    """List the events of streams, one after the other."""
    columns = ([getattr(stream, name).tolist() for name in "xytp"] for stream in streams)
    return [row for each in columns for row in zip(*each, strict=True)]


def list_contents(stream: EventSample) -> tuple[object, ...]:
    """Return the columns of a stream as lists, and its sensor's width and height."""
    return (*(getattr(stream, name).tolist() for name in "xytp"), stream.width, stream.height)


@st.composite
def event_streams(
    draw: st.DrawFn,
    times: st.SearchStrategy[int],
    widths: st.SearchStrategy[int] = SIDES,
    heights: st.SearchStrategy[int] = SIDES,
) -> EventStream:
    """Draw short recordings with these times, in microseconds, on these sensors."""
    width, height, t = draw(widths), draw(heights), sorted(draw(st.lists(times, max_size=12)))
    pixel = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1), st.booleans())
    x, y, p = ([each[column] for each in [draw(pixel) for _ in t]] for column in range(3))
    return EventStream(x, y, t, p, width, height)


def read_or_error(read: Callable[[Path], object], path: Path) -> object:
    """Return the sample, or the message of `BadInput`; other errors raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnybindWarning)
        try:
            return read(path)
        except BadInput as error:
            return str(error)


def select_silently(select: Callable[..., EventStream], *args: object, **options: object) -> EventStream:
    """Select events, of which there may be none, without the warning about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no events", category=AnybindWarning)
        return select(*args, **options)


def move_bar(
    duration_us: int = 200_000,
    *,
    on: bool = True,
    side: int = 64,
    speed: float = 100.0,
    noise_hz: float = 0.0,
    seed: int = 0,
) -> EventStream:
    """Simulate a vertical bar, 24 pixels high, that moves to and fro at `speed` pixels per second before noise."""
    random = np.random.default_rng(seed)
    steps = np.arange(0, duration_us, max(1, round(1e6 / speed)))
    places = 8 + np.arange(len(steps)) % (2 * (side - 16))
    columns = np.where(places < side - 8, places, 2 * (side - 8) - 1 - places)
    x, t = np.repeat(columns, 24), np.repeat(steps, 24) + random.integers(0, 2000, 24 * len(steps))
    y = np.tile(np.arange(20, 44), len(steps))
    count = random.poisson(noise_hz * side * side * duration_us / 1e6)
    x, y = (np.append(each, random.integers(0, side, count)) for each in (x, y))
    t = np.append(t, random.integers(0, duration_us, count))
    p = np.append(np.full(24 * len(steps), on), random.random(count) < 0.5)
    order = np.argsort(t, kind="stable")
    return EventStream(x[order], y[order], t[order], p[order], side, side)


def draw_noise(duration_us: int, hz: float, width: int, height: int, seed: int, hot_pixels: int = 0) -> EventStream:
    """Draw uniform noise of `hz` events per pixel and second, with hot pixels of 50 to 2000 events per second."""
    random = np.random.default_rng(seed)
    seconds = duration_us / 1e6
    hot = [random.poisson(seconds * random.uniform(50, 2000)) for _ in range(hot_pixels)]
    count = random.poisson(hz * width * height * seconds)
    x, y = (
        np.concatenate([random.integers(0, size, count), *(np.full(n, random.integers(size)) for n in hot)])
        for size in (width, height)
    )
    t = np.sort(random.integers(0, duration_us, len(x)))
    order = random.permutation(len(x))
    return EventStream(x[order], y[order], t, random.random(len(x)) < 0.5, width, height)
