"""Conformance checks of filters, on random recordings."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from anybind import AnybindError
from anybind.plugin import create_part, windows
from anybind.testing import Case, Checks, Skip, computed_once
from anybind_events.filter import Filter
from anybind_events.stream import EventStream, concatenate_streams

CHECKS = Checks()
WIDTH, HEIGHT = 40, 30
CHUNKS = (1, 7, 256)


def make_noise(events: int = 1_500, seed: int = 0) -> EventStream:
    """Make random events of a sensor of 40x30 pixels, several of them at the same time, over 0.1 s."""
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(0, side, events).astype(np.uint16) for side in (WIDTH, HEIGHT))
    x[: events // 4], y[: events // 4] = 5, 6  # one busy pixel
    order = rng.permutation(events)
    t = np.sort(rng.integers(0, 100_000, events) // 10 * 10) + 1_000_000
    return EventStream(x[order], y[order], t, rng.random(events) < 0.5, WIDTH, HEIGHT)


@computed_once
def get_output(case: Case[Filter]) -> EventStream:
    """Filter the random recording."""
    return case.part.start(WIDTH, HEIGHT)(make_noise())


@CHECKS.add("return from `start` a function that returns an `EventStream` of the same sensor")
def check_output(case: Case[Filter]) -> None:
    output = case.part.start(WIDTH, HEIGHT)(make_noise())
    assert isinstance(output, EventStream), f"it returns a {type(output).__name__}"
    size = output.width, output.height
    assert size == (WIDTH, HEIGHT), f"a recording of {WIDTH}x{HEIGHT} pixels becomes one of {size[0]}x{size[1]}"
    EventStream(output.x, output.y, output.t, output.p, output.width, output.height)  # raises if invalid


@CHECKS.add("keep the state in what `start` returns, and decide on each event by the events up to it")
def check_chunks(case: Case[Filter]) -> None:
    stream = make_noise()
    for size in CHUNKS:
        run = case.part.start(WIDTH, HEIGHT)
        ends = [*range(0, len(stream), size), len(stream)]
        parts = concatenate_streams([run(stream.slice_events(*span)) for span in pairwise(ends)])
        _assert_equal(parts, get_output(case), f"in chunks of {size} events and as a whole")


@CHECKS.add("accept a chunk without events")
def check_empty_chunk(case: Case[Filter]) -> None:
    run, stream = case.part.start(WIDTH, HEIGHT), make_noise()
    assert not len(run(stream.head(0))), "it makes events of a chunk that has none"
    _assert_equal(run(stream), get_output(case), "after an empty chunk and without it")


@CHECKS.add("use no randomness, and start each recording with a new state")
def check_deterministic(case: Case[Filter]) -> None:
    _assert_equal(case.part.start(WIDTH, HEIGHT)(make_noise()), get_output(case), "twice")


@CHECKS.add("take times as differences: recordings begin at any time")
def check_shifted_times(case: Case[Filter]) -> None:
    stream, later = make_noise(), 1 << 40
    moved = stream.from_valid(stream.x, stream.y, stream.t + later, stream.p, WIDTH, HEIGHT)
    output = case.part.start(WIDTH, HEIGHT)(moved)
    back = stream.from_valid(output.x, output.y, output.t - later, output.p, WIDTH, HEIGHT)
    _assert_equal(back, get_output(case), "12 days later and at once")


@CHECKS.add("copy columns before changing them in place")
def check_leaves_input_unchanged(case: Case[Filter]) -> None:
    stream = make_noise()
    before = copy.deepcopy(stream)
    case.part.start(WIDTH, HEIGHT)(stream)
    _assert_equal(stream, before, "before and after: the input was changed")


@CHECKS.add("return from `settings` all options as strings, numbers, lists and tables, by the names of the arguments")
def check_settings(case: Case[Filter]) -> None:
    if case.spec is None:
        raise Skip("the filter is not registered")
    text = windows.format_filters([(case.spec.name, case.part.settings)])
    [(name, options)] = windows.parse_filters(text)
    try:
        again = create_part("filter", name, **options)
    except AnybindError as error:
        raise AssertionError(f"{text} cannot be created: {error}") from error
    assert again.settings == case.part.settings, f"{text} creates a filter with the settings {again.settings}"
    _assert_equal(again.start(WIDTH, HEIGHT)(make_noise()), get_output(case), f"as it is and as {text}")


def _assert_equal(one: EventStream, other: EventStream, how: str) -> None:
    for name in "xytp":
        columns: Sequence[np.ndarray] = getattr(one, name), getattr(other, name)
        same = len(columns[0]) == len(columns[1]) and np.array_equal(*columns)
        assert same, f"different events {how}: {len(one)} and {len(other)}, in column {name}"
