"""Filters of event streams: their definitions, chunks of any size, and what they do to noise with labels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from anybind.errors import BadInput, BadOption, UnknownName
from anybind_events import Filter, corrupt_events, filter_chunks, filter_events
from anybind_events.filter import create_filters
from anybind_events.filters.blocks import LONGEST_US
from anybind_events.stream import EventStream
from helpers.streams import list_contents, list_events, move_bar

FILTERS = (
    "background-activity:duration_us=300",
    "background-activity:duration_us=300:support=1:same_polarity=false",
    "refractory:period_us=700",
    "hot-pixel:events=8",
    "dead-pixel:events=2",
    "flicker:min_hz=50:max_hz=500:tolerance=0.9:periods=1",
    "trail:duration_us=2000",
    "spatio-temporal-contrast:duration_us=2000",
    "spatio-temporal-contrast:duration_us=2000:cut_trail=false",
    "polarity:keep=off",
    "region:x=2:y=1:width=9:height=5",
    "rate-limit:rate=20000:burst_us=500",
    "undistort:focal=[12,12]:centre=[7.5,5.5]:distortion=[-0.2,0.05,0,0]:size=[16,12]",
    "hot-pixel:events=8,refractory,background-activity:support=1",
)
GAPS = (1 << 28, LONGEST_US - 3, LONGEST_US + 3, 1 << 31, 1 << 33)


def make_stream(events: int = 9_000, seed: int = 0, gaps: tuple[int, ...] = ()) -> EventStream:
    """Make random events of 16x12 pixels, many at the same time, one busy pixel, one dead, and pauses."""
    random = np.random.default_rng(seed)
    steps = random.integers(0, 40, events) * (random.random(events) < 0.6)
    steps[random.choice(events, len(gaps), replace=False)] = gaps
    x, y = random.integers(0, 16, events), random.integers(0, 12, events)
    busy = random.random(events) < 0.1
    x[busy], y[busy] = 3, 4
    alive = (x != 8) | (y != 7)
    p = random.random(events) < 0.5
    return EventStream(x[alive], y[alive], 10**12 + np.cumsum(steps)[alive], p[alive], 16, 12)


def filter_in_chunks(stream: EventStream, filters: str, ends: list[int]) -> list[tuple[int, int, int, bool]]:
    chunks = [stream.slice_events(*span) for span in pairwise([0, *ends, len(stream)])]
    return list_events(*filter_chunks(chunks, filters))


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_chunks_give_the_same_events_as_the_whole(filters: str, size: int):
    stream = make_stream(gaps=GAPS)
    whole = filter_events(stream, filters)
    assert 0 < len(whole) != len(stream)
    assert filter_in_chunks(stream, filters, list(range(size, len(stream), size))) == list_events(whole)


@pytest.mark.parametrize("filters", FILTERS)
def test_chunks_of_random_sizes_give_the_same_events_as_the_whole(filters: str):
    for seed in range(5):
        stream, random = make_stream(3_000, seed, GAPS[:2]), np.random.default_rng(seed)
        ends = sorted(random.integers(0, len(stream), 12).tolist())
        assert filter_in_chunks(stream, filters, ends) == list_events(filter_events(stream, filters))


def keep_supported(stream: EventStream, duration: int, support: int, same_polarity: bool) -> list[bool]:
    last: dict[tuple[int, int], tuple[int, bool]] = {}
    keep = []
    for x, y, t, p in list_events(stream):
        around = [last.get((x + i, y + j)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        support_events = [
            each for each in around if each and t - each[0] <= duration and (each[1] == p or not same_polarity)
        ]
        keep.append(len(support_events) >= support)
        last[x, y] = t, p
    return keep


def keep_rested(stream: EventStream, period: int) -> list[bool]:
    last: dict[tuple[int, int], int] = {}
    keep = []
    for x, y, t, _ in list_events(stream):
        keep.append((x, y) not in last or t - last[x, y] >= period)
        if keep[-1]:
            last[x, y] = t
    return keep


def keep_in_burst(stream: EventStream, duration: int, numbers: Callable[[int], bool]) -> list[bool]:
    last: dict[tuple[int, int], tuple[int, bool, int]] = {}
    keep = []
    for x, y, t, p in list_events(stream):
        before = last.get((x, y))
        number = before[2] + 1 if before and before[1] == p and t - before[0] <= duration else 1
        keep.append(numbers(number))
        last[x, y] = t, p, number
    return keep


@pytest.mark.parametrize("duration", [1, 300, LONGEST_US])
@pytest.mark.parametrize("support", [1, 2, 8])
@pytest.mark.parametrize("same_polarity", [True, False])
def test_background_activity_keeps_events_with_recent_neighbours(duration: int, support: int, same_polarity: bool):
    stream = make_stream(4_000, 1, GAPS)
    options = f"duration_us={duration}:support={support}:same_polarity={str(same_polarity).lower()}"
    expected = stream[np.array(keep_supported(stream, duration, support, same_polarity))]
    assert list_contents(stream.filter(f"background-activity:{options}")) == list_contents(expected)


@pytest.mark.parametrize("period", [1, 700, LONGEST_US])
def test_refractory_drops_events_soon_after_one_that_is_kept(period: int):
    stream = make_stream(4_000, 2, GAPS)
    expected = stream[np.array(keep_rested(stream, period))]
    assert list_contents(stream.filter(f"refractory:period_us={period}")) == list_contents(expected)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("trail", lambda number: number == 1),
        ("spatio-temporal-contrast", lambda number: number == 2),
        ("spatio-temporal-contrast:cut_trail=false", lambda number: number >= 2),
    ],
)
def test_filters_of_bursts_keep_events_by_their_number(name: str, numbers: Callable[[int], bool]):
    stream = make_stream(4_000, 3, GAPS)
    expected = stream[np.array(keep_in_burst(stream, 2_000, numbers))]
    assert list_contents(stream.filter(f"{name}:duration_us=2000")) == list_contents(expected)


def test_polarity_and_region_keep_what_they_say():
    stream = make_stream()
    assert list_contents(stream.filter("polarity:keep=on")) == list_contents(stream[stream.p])
    inside = (stream.x >= 2) & (stream.x < 11) & (stream.y >= 1) & (stream.y < 6)
    assert list_contents(stream.filter("region:x=2:y=1:width=9:height=5")) == list_contents(stream[inside])


def test_the_rate_stays_below_its_limit():
    stream = make_stream()
    rate, burst_us = 20_000, 500
    t = stream.filter(f"rate-limit:rate={rate}:burst_us={burst_us}").t
    for length in (1_000, 10_000, 50_000):
        counts = np.searchsorted(t, t + length) - np.arange(len(t))
        assert counts.max() <= rate * 1e-6 * (length + burst_us) + 1


def measure_kept(stream: EventStream, corruption: str, severity: int, filters: str) -> tuple[float, float]:
    """Return the fractions of signal and of noise that filters keep."""
    corrupted = corrupt_events(stream, corruption, severity=severity)
    total = corrupted.is_signal.sum()
    outputs = set(list_events(corrupted.stream.filter(filters)))
    hits = np.array([event in outputs for event in list_events(corrupted.stream)])
    return hits[corrupted.is_signal].sum() / total, hits[~corrupted.is_signal].mean()


@pytest.fixture(scope="module")
def bar() -> EventStream:
    return move_bar(1_000_000)


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_background_activity_separates_noise_with_labels(bar: EventStream, severity: int):
    signal, noise = measure_kept(bar, "background-noise", severity, "background-activity")
    assert signal > 0.9
    assert noise < 0.3


def test_background_activity_separates_noise_better_with_polarity_than_without(bar: EventStream):
    def compute_area(options: str) -> float:
        durations = (100, 1_000, 3_000, 10_000, 30_000, 100_000, 400_000)
        text = "background-activity:duration_us={}:" + options
        points = [measure_kept(bar, "background-noise", 3, text.format(duration)) for duration in durations]
        signal, noise = np.array([(0.0, 0.0), *points, (1.0, 1.0)]).T
        return float(np.trapezoid(signal, noise))

    assert compute_area("support=2") > max(0.9, compute_area("support=1:same_polarity=false"))


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_hot_pixels_are_learned_from_the_stream(bar: EventStream, severity: int):
    signal, noise = measure_kept(bar, "hot-pixels", severity, "hot-pixel")
    assert signal > 0.9
    assert noise < 0.2


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_flicker_is_dropped_after_a_few_periods(bar: EventStream, severity: int):
    signal, noise = measure_kept(bar, "flicker", severity, "flicker")
    assert signal > 0.85
    assert noise < 0.15


def test_a_dead_pixel_gets_the_events_of_its_pair():
    stream = make_stream()
    filled = stream.filter("dead-pixel")
    added = (filled.x == 8) & (filled.y == 7)
    assert list_contents(filled[~added]) == list_contents(stream)
    pair = stream[(stream.x == 9) & (stream.y == 7)]
    assert 0 < added.sum() < len(pair)
    assert filled.t[added].tolist() == pair.t[-added.sum() :].tolist()


def test_filters_are_names_objects_or_both():
    stream = make_stream()
    both = create_filters(["hot-pixel,refractory", *create_filters("polarity:keep=on")])
    assert all(isinstance(each, Filter) for each in both)
    assert len(both) == 3
    one_by_one = stream.filter("hot-pixel").filter("refractory").filter("polarity:keep=on")
    assert list_contents(stream.filter(both)) == list_contents(one_by_one)
    assert list_contents(stream.filter("")) == list_contents(stream.filter([])) == list_contents(stream)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ("refractory:period_us=0", "period_us: expected a whole number from 1 to 536870912, got 0"),
        ("refractory:period_us=1.5", "period_us: expected a whole number"),
        ("background-activity:support=9", "support: expected a whole number from 1 to 8"),
        ("background-activity:same_polarity=1", "same_polarity: expected true or false"),
        ("flicker:min_hz=200:max_hz=100", "max_hz: expected a number from 200 to 5000"),
        ("polarity:keep=both", "keep: expected on or off"),
        ("polarity", "keep"),
        ("rate-limit:rate=0", "rate: expected a number"),
        (f"rate-limit:rate={'9' * 400}", "rate: expected a number"),
        ("rate-limit:rate=NaN", "rate: expected a number"),
        ("hot-pixel:factor=2", "no option 'factor'|factor"),
        ("region:x=10:y=0:width=10:height=5", r"region: 10x5 at \(10, 0\) exceeds the sensor 16x12"),
    ],
)
def test_invalid_options_are_errors(filters: str, message: str):
    with pytest.raises(BadOption, match=message):
        make_stream().filter(filters)


def test_an_unknown_filter_is_an_error():
    with pytest.raises(UnknownName, match="there is no filter 'hotpixel'"):
        make_stream().filter("hotpixel")


def test_chunks_of_different_sensors_are_an_error():
    stream = make_stream(100)
    with pytest.raises(BadInput, match="expected chunks of one sensor"):
        list(filter_chunks([stream, stream.rescale(32, 24)], "refractory"))


def test_a_filter_has_no_state_of_its_own():
    [chosen] = create_filters("hot-pixel:events=8")
    stream = make_stream()
    assert list_contents(stream.filter(chosen)) == list_contents(stream.filter(chosen))


@pytest.mark.parametrize("name", ["hot-pixel", "dead-pixel", "background-activity", "refractory", "trail"])
def test_a_sensor_of_one_pixel_is_filtered(name: str) -> None:
    n = 200
    zeros = np.zeros(n, np.uint16)
    stream = EventStream(zeros, zeros, np.arange(n) * 5000, zeros.astype(bool), 1, 1)
    whole = filter_events(stream, name)
    assert len(whole) <= n
    chunks = filter_chunks([stream.slice_events(i, i + 7) for i in range(0, n, 7)], name)
    assert np.array_equal(np.concatenate([chunk.t for chunk in chunks]), whole.t)
