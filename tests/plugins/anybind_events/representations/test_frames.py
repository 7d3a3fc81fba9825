"""Common behaviour of all event representations."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from anybind import BadInput
from anybind.errors import BadOption
from anybind.registry import create_part, list_parts
from anybind.tables import hash_settings
from anybind_events.representations import frames
from anybind_events.representations.frames import EventFrames, compute_nonzero_percentile
from anybind_events.representations.kernels import BLOCK
from anybind_events.stream import EventStream
from helpers.kernels import run_kernels

OPTIONS: dict[str, list[dict]] = {
    "paper": [{}, {"clamp": 2}, {"clamp": 10}, {"clamp_percentile": 2}, {"clamp_percentile": 90}, {"invert": True}],
    "author-code": [{}, {"events": None}, {"events": 20, "seed": 1}, {"clamp": 2}, {"size": 8}],
    "polarity-histogram": [{}, {"normalise": True}],
    "gray-frame": [{}, {"hot": 1}],
    "red-blue": [{}, {"hot": 1}],
    "event-slices": [
        {},
        {"views": 3, "count": 10},
        {"representation": "voxel-grid"},
        {"representation": "paper", "options": {"clamp": 3}},
    ],
    "voxel-grid": [{}, {"bins": 1}, {"bins": 2}, {"normalise": True}],
    "time-surface": [{}, {"tau": 300}, {"tau": 1e13}],
    "hats": [{}, {"cell": 8, "radius": 1, "tau": 300}, {"window": 50}, {"gray": True}],
    "est": [{}, {"bins": 1}, {"measurement": "count"}, {"measurement": "polarity"}],
    "signed-slices": [{}, {"parts": 1}, {"limit": 2}, {"limit_percentile": 50}],
}
NAMES = list(OPTIONS)
ALL = [pytest.param(name, options, id=f"{name} {options}") for name in NAMES for options in OPTIONS[name]]


SCRATCH = 3 * 4 * BLOCK + 20_000
"""Bytes for a block of events and small objects: fewer than the events of the recordings below."""
PIXEL_BYTES = {"hats": 32}
"""Further bytes a pixel that a representation documents."""


def make(name: str, options: dict) -> EventFrames:
    return create_part("representation", name, **options)


def recording(events: int = 3000, width: int = 40, height: int = 30, seed: int = 0) -> EventStream:
    random = np.random.default_rng(seed)
    return EventStream(
        random.integers(0, width, events),
        random.integers(0, height, events),
        np.sort(random.integers(0, 100_000, events)),
        random.random(events) < 0.5,
        width,
        height,
    )


def make_strided(stream: EventStream) -> EventStream:
    """Return the same events as fields of packed records, unaligned and read-only."""
    records = np.zeros(len(stream), dtype=[("p", "?"), ("t", "<i8"), ("x", "<u2"), ("y", "<u2")])
    for name in "xytp":
        records[name] = getattr(stream, name)
    records.flags.writeable = False
    return EventStream(**{name: records[name] for name in "xytp"}, width=stream.width, height=stream.height)


def test_every_event_representation_is_tested_here() -> None:
    of_events = [part.name for part in list_parts("representation") if part.plugin == "events"]
    assert sorted([*NAMES, "count-image"]) == of_events  # its frames have other sides: test_count_image.py


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), ALL)
@settings(deadline=None, max_examples=25)
@given(stream=...)
def test_a_frame_is_finite_float32_of_its_shape(name: str, options: dict, stream: EventStream) -> None:
    representation = make(name, options)
    frame = representation(stream)
    assert frame.dtype == np.float32
    assert frame.shape == representation.compute_shape(stream.width, stream.height)
    assert np.isfinite(frame).all()


@pytest.mark.parametrize("name", NAMES)
def test_torch_takes_a_frame_and_a_batch_without_a_copy(name: str) -> None:
    representation = make(name, {})
    for array in (representation(recording()), representation.batch([recording(), recording(seed=1)])):
        assert array.flags.c_contiguous
        tensor = torch.from_numpy(array)  # warns of read-only arrays
        tensor.fill_(7)
        assert (array == 7).all()


@pytest.mark.parametrize(("name", "options"), ALL)
def test_a_batch_stacks_the_frames_of_its_recordings(name: str, options: dict) -> None:
    representation = make(name, options)
    streams = [recording(events, seed=events) for events in (0, 1, 50, 3000)]
    assert np.array_equal(representation.batch(streams), np.stack([representation(stream) for stream in streams]))


@pytest.mark.parametrize("name", NAMES)
def test_a_large_batch_by_several_threads_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    representation, streams = make(name, {}), [recording(seed=seed) for seed in range(7)]
    alone = representation.batch(streams)
    monkeypatch.setattr(frames, "MIN_THREADED_EVENTS", 0)
    monkeypatch.setattr(frames.os, "cpu_count", lambda: 3)
    assert np.array_equal(representation.batch(streams), alone)


@pytest.mark.parametrize("name", NAMES)
def test_representations_are_thread_safe(name: str) -> None:
    representation, streams = make(name, {}), [recording(20_000, seed=seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        result = list(pool.map(representation, streams))
    assert all(np.array_equal(frame, representation(stream)) for frame, stream in zip(result, streams, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_strided_columns_give_the_same_frame(name: str) -> None:
    representation, stream = make(name, {}), recording()
    assert np.array_equal(representation(make_strided(stream)), representation(stream))


@pytest.mark.parametrize(("name", "options"), ALL)
@pytest.mark.parametrize("columns", ["contiguous", "strided"])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_call_allocates_at_most_twice_the_frame_size(name: str, options: dict, columns: str, compiled: bool) -> None:
    representation, stream = make(name, options), recording(400_000, 240, 180)
    stream = make_strided(stream) if columns == "strided" else stream
    with run_kernels(compiled=compiled):
        representation(stream)  # compilation and imports of the first call are not measured
        tracemalloc.start()
        frame = representation(stream)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= 3 * frame.nbytes + SCRATCH + PIXEL_BYTES.get(name, 0) * 240 * 180


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_allocates_little_beyond_its_frames(name: str) -> None:
    representation, streams = make(name, {}), [recording(200_000, 240, 180, seed) for seed in range(3)]
    with run_kernels(compiled=True):
        representation.batch(streams)
        tracemalloc.start()
        result = representation.batch(streams)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= 3 * result.nbytes + SCRATCH + PIXEL_BYTES.get(name, 0) * 240 * 180


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_and_two_sensor_sizes_are_an_error(name: str) -> None:
    with pytest.raises(BadInput, match="samples of one size, got none"):
        make(name, {}).batch([])
    with pytest.raises(BadInput, match="samples of one size, got"):
        make(name, {}).batch([recording(), recording(width=41)])


def test_a_batch_of_two_sensors_is_accepted_if_scaled_to_one_size() -> None:
    representation = make("author-code", {"size": 16})
    assert representation.batch([recording(), recording(width=41)]).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("name", NAMES)
def test_a_sensor_with_too_many_pixels_is_an_error(name: str) -> None:
    with pytest.raises(BadInput, match=r"\d{5}x\d{5} pixels is too large for"):
        make(name, {})(EventStream([0], [0], [0], [True], 65_535, 65_535))


@pytest.mark.parametrize("name", NAMES)
def test_options_are_immutable(name: str) -> None:
    representation = make(name, {})
    with pytest.raises(FrozenInstanceError):
        setattr(representation, fields(representation)[0].name, 1)


@pytest.mark.parametrize("name", NAMES)
def test_settings_include_the_name_and_differ_with_every_option(name: str) -> None:
    all_settings = [make(name, options).settings for options in OPTIONS[name]]
    assert {settings["representation"] for settings in all_settings} == {name}
    assert len({hash_settings(dict(settings)) for settings in all_settings}) == len(all_settings)


@pytest.mark.parametrize(("name", "options"), ALL)
def test_an_integer_and_an_equal_float_are_the_same_setting(name: str, options: dict) -> None:
    integer_options = ("events", "seed", "size", "views", "count", "bins", "parts", "options", "cell", "radius")
    pointed = {key: float(v) if type(v) is int and key not in integer_options else v for key, v in options.items()}
    assert make(name, pointed).settings == make(name, options).settings


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("author-code", {"events": 0}, "events: expected at least 1, got 0"),
        ("author-code", {"events": 1.5}, "events: expected a whole number, got 1.5"),
        ("author-code", {"seed": -1}, "seed: expected at least 0, got -1"),
        ("author-code", {"size": 0}, "size: expected at least 1, got 0"),
        ("author-code", {"clamp": 0}, "clamp: expected a number above 0, got 0"),
        ("paper", {"clamp": "20"}, "clamp: expected a number, got '20'"),
        ("paper", {"clamp": -1}, "clamp: expected a number above 0, got -1"),
        ("paper", {"clamp": float("nan")}, "clamp: expected a number above 0, got nan"),
        ("paper", {"clamp_percentile": 0}, "clamp_percentile: .* got 0"),
        ("paper", {"clamp_percentile": 100.5}, "clamp_percentile: .* got 100.5"),
        ("paper", {"clamp": 20, "clamp_percentile": 90}, "clamp or clamp_percentile, not both"),
        ("gray-frame", {"hot": -1}, "hot: expected a number above 0, got -1"),
        ("red-blue", {"hot": True}, "hot: expected a number, got True"),
        ("event-slices", {"views": 0}, "views: expected at least 1, got 0"),
        ("event-slices", {"count": 0}, "count: expected at least 1, got 0"),
        ("event-slices", {"options": "clamp=3"}, "options: expected a table of representation options, got 'clamp=3'"),
        (
            "event-slices",
            {"representation": "paper", "options": {"clamp": 0}},
            "clamp: expected a number above 0, got 0",
        ),
        ("voxel-grid", {"bins": 0}, "bins: expected at least 1, got 0"),
        ("voxel-grid", {"bins": True}, "bins: expected a whole number, got True"),
        ("time-surface", {"tau": 0}, "tau: expected a number above 0, got 0"),
        ("time-surface", {"tau": float("nan")}, "tau: expected a number above 0, got nan"),
        ("hats", {"cell": 0}, "cell: expected at least 1, got 0"),
        ("hats", {"radius": -1}, "radius: expected at least 0, got -1"),
        ("hats", {"window": 0}, "window: expected a number above 0, got 0"),
        ("hats", {"gray": 1}, "gray: expected true or false, got 1"),
        ("est", {"bins": 0}, "bins: expected at least 1, got 0"),
        ("est", {"measurement": "mean"}, "measurement: expected one of time, count, polarity, got 'mean'"),
        ("signed-slices", {"parts": 0}, "parts: expected at least 1, got 0"),
        ("signed-slices", {"limit": 0}, "limit: expected a number above 0, got 0"),
        (
            "signed-slices",
            {"limit_percentile": 101},
            "limit_percentile: expected a number above 0 and at most 100, got 101",
        ),
        ("signed-slices", {"limit": 2, "limit_percentile": 50}, "limit or limit_percentile, not both"),
    ],
)
def test_an_invalid_option_is_an_error_that_names_it(name: str, options: dict, named: str) -> None:
    with pytest.raises(BadOption, match=named):
        make(name, options)


@settings(deadline=None, max_examples=200)
@given(...)
def test_the_percentile_of_nonzero_values_matches_numpy(counts: list[int], of: int) -> None:
    values = np.array(counts or [0]).clip(-(2**20), 2**20).astype(np.int32)
    percentile = abs(of) % 100 + 1
    busy = np.abs(values[values != 0])
    assert compute_nonzero_percentile(values, percentile) == (np.percentile(busy, percentile) if len(busy) else 0)


def test_the_percentile_of_many_small_counts_matches_numpy() -> None:
    counts = np.random.default_rng(0).poisson(1.5, 5000).astype(np.uint32)
    for percentile in (1, 37.5, 50, 90, 99.9, 100):
        assert compute_nonzero_percentile(counts, percentile) == np.percentile(counts[counts > 0], percentile)
