"""Windows: options, embeddings of the windows of recordings, and their keys in the store."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anybind
from anybind.commandline import parse_windows
from anybind.errors import BadInput, BadOption
from anybind.item import Item
from anybind.registry import Registry, use_registry
from anybind.spec import EncoderSpec
from anybind.store import EmbeddingStore
from anybind.testing import make_random_binder
from anybind.windows import (
    SampleWindow,
    WindowLength,
    WindowOptions,
    _select_windows,
    average_embeddings,
    embed_windows,
    format_range,
    iterate_ranges,
    parse_duration,
    parse_length,
    parse_roi,
)
from helpers.streams import draw_noise, move_bar

SHORT = WindowOptions(window="100ms")


@pytest.mark.parametrize(
    ("text", "unit", "microseconds"),
    [
        ("100ms", "us", 100_000),
        ("1.5 s", "us", 1_500_000),
        (250, "us", 250),
        ("2", "s", 2_000_000),
        ("2MIN", "us", 120_000_000),
        (".5", "s", 500_000),
        ("1e3us", "s", 1000),
    ],
)
def test_durations_have_units_or_are_numbers_of_the_modality(text, unit, microseconds):
    assert parse_duration(text, unit) == microseconds
    assert parse_length(text, unit) == WindowLength(microseconds)


@pytest.mark.parametrize("option", ["start", "end", "window", "stride"])
@pytest.mark.parametrize("value", ["100", "0.5", "1e5"])
def test_the_options_of_commands_have_a_unit(option, value):
    with pytest.raises(BadOption, match=f"--{option}: expected a unit, such as {value}ms or {value}us"):
        parse_windows(**{"start": "", "end": "", option: value})
    assert parse_windows("0", "0.5s", "1e5us").resolve_range("s") == (0, 500_000)


def test_lengths_in_events_and_regions_are_parsed():
    assert parse_length("5000ev") == parse_length("5e3 events") == WindowLength(5000, in_events=True)
    assert [str(parse_length(text)) for text in ("5000ev", "100ms", "2s", "5")] == ["5000ev", "100ms", "2s", "0.005ms"]
    assert parse_roi("40, 20,160,120") == (40, 20, 160, 120)
    assert parse_roi("") is None
    for text in ("1,2,3", "1,2,0,3", "a,b,c,d", "-1,2,3,4"):
        with pytest.raises(BadOption, match="--roi: expected"):
            parse_roi(text)
    assert format_range(100_000, 2_250_000) == "0.1-2.25s"
    assert format_range(0, 12_345_678_901) == "0-12345.678901s"


def test_options_of_numbers_and_texts_are_equal():
    assert WindowOptions(start=5, window=100_000) == WindowOptions(start="5", window="100000")
    assert WindowOptions("", "") == WindowOptions()
    assert WindowOptions().is_default
    assert WindowOptions(window="whole").is_whole
    asking = [WindowOptions(window="1s"), WindowOptions(window="auto"), WindowOptions(stride="1s")]
    assert all(options.has_windows for options in asking)
    assert not any(
        options.has_windows for options in (WindowOptions(), WindowOptions(window="whole"), WindowOptions("1s"))
    )
    assert WindowOptions(start="1s", roi=(1, 2, 3, 4)).to_dict() == {"start": "1s", "roi": (1, 2, 3, 4)}


@given(st.integers(0, 200), st.integers(1, 60), st.integers(1, 60))
def test_ranges_end_with_the_one_that_reaches_the_end(total, length, stride):
    ranges = list(iterate_ranges(total, length, stride))
    expected = []
    for first in range(0, total, stride):
        expected.append((first, min(total, first + length)))
        if expected[-1][1] == total:
            break
    assert ranges == expected


def embed(*items: object, options: WindowOptions = SHORT, **arguments):
    return list(embed_windows(make_random_binder("event", "image"), "event", items, options, **arguments))


def test_windows_are_embedded_in_order_with_their_times_as_ids(tmp_path: Path):
    path = tmp_path / "bar.npz"
    anybind.write(move_bar(300_000, noise_hz=1), path)
    recording, other = embed(path, move_bar(100_000))
    end = f"{recording.windows[-1].end_us / 1e6:g}s"
    assert recording.embeddings.ids == (f"{path}#0-0.1s", f"{path}#0.1-0.2s", f"{path}#0.2-{end}")
    assert recording.embedded == (0, 1, 2)
    assert [window.start_us for window in recording.windows] == [0, 100_000, 200_000]
    assert recording.is_active
    assert not recording.is_whole
    assert other.is_whole
    assert other.embeddings.ids == ("event[1]",)
    binder = make_random_binder("event")
    views = binder.embed("event", list(move_bar(300_000, noise_hz=1).windows("100ms")))
    np.testing.assert_array_equal(recording.embeddings.vectors, views.vectors)


def test_windows_of_noise_are_embedded_only_if_there_are_no_others():
    still, moving = draw_noise(200_000, 3, 64, 64, seed=1), move_bar(100_000, noise_hz=1)
    columns = {name: np.concatenate([getattr(still, name), getattr(moving, name)]) for name in "xyp"}
    time = np.concatenate([still.t, moving.t + 200_000])
    joined = type(still)(**columns, t=time, width=64, height=64)
    (recording,) = embed(joined)
    assert [window.inactivity for window in recording.windows[:2]] == ["nothing moved"] * 2
    assert recording.embedded[0] == 2
    (recording,) = embed(still)
    assert (recording.is_active, recording.embedded) == (False, (0, 1))


@pytest.fixture
def random_encoder(add_plugin) -> Iterator[None]:
    """Register the encoder of `make_random_binder`: the store needs the plugin of an encoder."""
    registry = Registry.from_entry_points()
    target = "anybind.testing.random_encoder:RandomEncoder"
    add_plugin(registry, EncoderSpec(name="random", summary="s", modality="event", target=target))
    previous = use_registry(registry)
    yield
    use_registry(previous)


@pytest.mark.usefixtures("random_encoder")
def test_short_recordings_have_the_key_of_the_file_and_windows_that_of_their_content(tmp_path: Path):
    path, store = tmp_path / "bar.npz", EmbeddingStore(tmp_path / "store")
    anybind.write(move_bar(300_000), path)
    random_binder = make_random_binder("event")
    random_binder.encoder("event")  # loaded: a copy has it too
    binder = random_binder.with_store(store)

    def count_new(options: WindowOptions | None) -> int:
        before = binder.counts.computed
        if options is None:
            binder.embed("event", [path])
        else:
            list(embed_windows(binder, "event", [path], options))
        return binder.counts.computed - before

    assert count_new(None) == 1
    assert count_new(WindowOptions()) == 0
    assert count_new(SHORT) == 3
    assert count_new(SHORT) == 0
    assert count_new(WindowOptions(window="100ms", roi=(0, 0, 60, 60))) == 3
    assert count_new(WindowOptions(window="50ms")) == 6
    assert count_new(WindowOptions(start="50ms", window="whole")) == 1


def test_invalid_recordings_are_reported_or_raise(tmp_path: Path):
    errors: dict[str, object] = {}
    missing = tmp_path / "missing.npz"
    recordings = embed(move_bar(), missing, move_bar(), on_bad=lambda id, error: errors.update({id: error}))
    assert [recording.item.id for recording in recordings] == ["event[0]", "event[2]"]
    assert list(errors) == [str(missing)]
    with pytest.raises(BadInput, match="No such file"):
        embed(missing)
    with pytest.raises(BadInput, match=re.escape("event[0]: nothing is left of the recording from 9s to its end")):
        embed(move_bar(), options=WindowOptions(start="9s", window="1s"))
    with pytest.raises(BadOption, match="samples of image have no time ranges"):
        list(embed_windows(make_random_binder("image"), "image", [np.zeros((9, 9, 3), np.uint8)], SHORT))


def test_the_mean_embedding_is_weighted_by_duration():
    (recording,) = embed(move_bar(250_000))
    durations = np.array([window.end_us - window.start_us for window in recording.windows], np.float64)
    mean = (recording.embeddings.vectors.astype(np.float64) * durations[:, None]).sum(axis=0)
    np.testing.assert_allclose(recording.average().vectors[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert recording.average().ids == ("event[0]",)
    one = recording.embeddings[0]
    assert average_embeddings(one, np.ones(1), "x").vectors is not None
    np.testing.assert_array_equal(average_embeddings(one, np.ones(1), "x").vectors, one.vectors)


def test_embed_gives_a_row_for_each_window_of_a_folder(tmp_path: Path):
    anybind.write(move_bar(300_000), tmp_path / "bar.npz")
    binder = make_random_binder("event")
    assert len(anybind.embed(tmp_path, binding=binder)["event"]) == 1
    assert len(anybind.embed(tmp_path, binding=binder, options=SHORT)["event"]) == 3


def test_windows_of_a_long_silent_recording_are_not_held_in_memory():
    class Part:
        """A window's sample."""

    alive, counts = weakref.WeakSet(), []

    def split(sample: object, options: WindowOptions) -> Iterator[SampleWindow[Part]]:
        for number in range(50):
            part = Part()
            alive.add(part)
            counts.append(len(alive))
            yield SampleWindow(part, number, number + 1, inactivity="silence")

    kind = SimpleNamespace(name="sound", split=split, check=lambda sample: None)
    load = SimpleNamespace(load_sample=lambda item: item.source)
    windows = _select_windows(kind, load, Item("a.wav", object()), SHORT, [])
    assert [number for number, _ in windows] == list(range(50))
    assert max(counts) <= 4
