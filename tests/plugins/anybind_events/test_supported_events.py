"""Both versions of `count_supported_events` give what a plain loop over the events gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind_classification.demo_images import RECORDING
from anybind_events import EventStream, kernels, measure_activity, vectorised
from anybind_events.pixel_counts import count_pixels
from helpers.kernels import run_kernels
from helpers.streams import draw_noise, move_bar

HOT_RATIO, HOT_EVENTS = 5, 5

Counts = tuple[list, list, int]


def count_in_python(stream: EventStream, intervals: list[int], side: int) -> Counts:
    """Count with a dictionary of the last event of each pixel."""
    rows = list(zip(*(column.tolist() for column in (stream.x, stream.y, stream.t, stream.p)), strict=True))
    counts = Counter((x, y) for x, y, _, _ in rows)
    around = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]
    hot = {
        (x, y)
        for (x, y), n in counts.items()
        if n >= HOT_EVENTS and 8 * n >= HOT_RATIO * (sum(counts[x + dx, y + dy] for dx, dy in around) + 8)
    }
    columns = -(-stream.width // side)
    n_blocks = columns * -(-stream.height // side)
    supported, events = np.zeros((len(intervals), 2, n_blocks)), np.zeros((2, n_blocks))
    last: dict[tuple[int, int, bool], int] = {}
    for x, y, t, p in rows:
        if (x, y) in hot:
            continue
        block = y // side * columns + x // side
        latest = max((last.get((x + dx, y + dy, p), -(1 << 60)) for dx, dy in around), default=0)
        last[x, y, p] = t
        events[int(p), block] += 1
        for k, interval in enumerate(intervals):
            supported[k, int(p), block] += t - latest <= interval
    return supported.tolist(), events.tolist(), len(hot)


def count_by(count: Callable[..., tuple], stream: EventStream, intervals: list[int], side: int) -> Counts:
    columns = stream.x, stream.y, stream.t, stream.p, count_pixels(stream)
    supported, events, hot = count(*columns, np.array(intervals), side, HOT_RATIO, HOT_EVENTS)
    return supported.tolist(), events.tolist(), hot


def check_counts(stream: EventStream, intervals: list[int], side: int) -> None:
    expected = count_in_python(stream, intervals, side)
    for count in (kernels.count_supported_events.compile(), vectorised.count_supported_events):
        assert count_by(count, stream, intervals, side) == expected


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 20), st.integers(1, 20), st.integers(1, 400), st.integers(1, 60), st.integers(1, 9))
def test_counts_of_any_events_are_equal(
    data: st.DataObject, width: int, height: int, count: int, longest: int, side: int
) -> None:
    """Few pixels and times: events of equal pixel and time, hot pixels, and intervals that end at an event."""
    random = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    times = np.sort(random.integers(0, data.draw(st.sampled_from([1, 30, 3000, 1 << 28])), count))
    x, y = random.integers(0, width, count), random.integers(0, height, count)
    x[: count // 4], y[: count // 4] = width // 2, height // 2
    stream = EventStream(x, y, times, random.integers(0, 2, count), width, height)
    check_counts(stream, [longest, data.draw(st.integers(1, longest))], side)


def draw_stream(name: str) -> EventStream:
    random, n = np.random.default_rng(1), 30_000
    if name == "large":
        return draw_noise(20_000, 1.5, 1280, 720, seed=2, hot_pixels=3)
    if name == "sparse":
        x, y = (random.integers(0, size, 300) for size in (1280, 720))
        return EventStream(x, y, np.sort(random.integers(0, 1 << 28, 300)), x % 2, 1280, 720)
    if name == "bar":
        return move_bar(300_000, side=128, speed=300, noise_hz=2)
    real = anybind.read(RECORDING).head(n)
    if name == "equal times":
        return EventStream(real.x, real.y, real.t // 1000 * 1000, real.p, real.width, real.height)
    if name == "duplicates":
        return real[np.sort(random.integers(0, 2000, n))]
    return real


@pytest.mark.parametrize("intervals", [[20_000, 2500], [700, 200], [200, 200], [1], [1 << 28, 3]])
@pytest.mark.parametrize("name", ["large", "sparse", "bar", "real", "equal times", "duplicates"])
def test_counts_of_whole_recordings_are_equal(name: str, intervals: list[int]) -> None:
    check_counts(draw_stream(name), intervals, 24)


@pytest.mark.data
@pytest.mark.parametrize("name", ["evt3.raw", "davis240.aedat4", "dvs128_walking.aedat"])
def test_both_versions_agree_on_windows_of_real_recordings(name: str, test_data: Path) -> None:
    stream = anybind.read(test_data / "events" / name)
    for length in (1000, 60_000, 400_000):
        window = stream.slice_events(len(stream) // 3, len(stream) // 3 + length)
        results = []
        for compiled in (True, False):
            with run_kernels(compiled=compiled):
                results.append(measure_activity(window))
        assert results[0] == results[1]


def test_pauses_of_hours_count_alike() -> None:
    """Events hours after each other: times stop at 2^29 us, and no interval is longer than that of the first event."""
    t = np.array([0, 10, 1 << 28, (1 << 28) + 10, 1 << 40, (1 << 40) + 5])
    x = np.array([3, 4, 3, 4, 3, 4])
    stream = EventStream(x, x, t, x > 0, 9, 9)
    counts = [
        count_by(count, stream, [1 << 30, 10], 9)
        for count in (kernels.count_supported_events.compile(), vectorised.count_supported_events)
    ]
    assert counts[0] == counts[1]
    assert counts[0][0][1][1] == [3.0]
