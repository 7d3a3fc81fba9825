"""Filters in commands and windows: what is filtered, when, and which stored embeddings it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadOption
from anybind.modality import find_modality
from anybind.plugin import windows
from anybind.store import EmbeddingStore
from anybind_events import convert, render
from anybind_events.stream import EventStream
from helpers.streams import draw_noise, list_contents, move_bar

NOISE = "background-activity"


@pytest.fixture
def noisy() -> EventStream:
    return move_bar(1_000_000, noise_hz=5.0)


@pytest.fixture
def recording(tmp_path: Path, noisy: EventStream) -> Path:
    anybind.write(noisy, tmp_path / "noisy.npz")
    return tmp_path / "noisy.npz"


def split(stream: EventStream, **options: str) -> list[windows.SampleWindow[EventStream]]:
    return list(find_modality("event").split(stream, windows.WindowOptions(**options)))  # pyright: ignore


def test_conversion_filters_in_chunks(cli, recording: Path, noisy: EventStream, monkeypatch: pytest.MonkeyPatch):
    def read_in_small_chunks(*arguments: object, **options: object) -> object:
        return anybind.read_chunks(*arguments, count=1_000, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr("anybind_events.conversion.read_chunks", read_in_small_chunks)
    output = recording.with_name("out.h5")
    result = cli("convert", recording, output, "--filter", f"hot-pixel,{NOISE}")
    assert result.code == 0, result.err
    assert list_contents(anybind.read(output)) == list_contents(noisy.filter(f"hot-pixel,{NOISE}"))


@pytest.mark.parametrize("suffix", [".npz", ".raw"])
def test_a_time_range_is_selected_behind_the_filters(recording: Path, noisy: EventStream, suffix: str):
    """Filters see the recording from its beginning, whether or not the format seeks."""
    source, output = recording.with_suffix(suffix), recording.with_name("part.npz")
    anybind.write(noisy, source)
    convert(source, output, start=300_000, end=500_000, filters=NOISE)
    filtered, origin = noisy.filter(NOISE), int(noisy.t[0])
    first, last = np.searchsorted(filtered.t, [origin + 300_000, origin + 500_000])
    assert list_contents(anybind.read(output)) == list_contents(filtered.slice_events(first, last))


def test_filters_that_leave_no_event_are_an_error(cli, recording: Path, tmp_path: Path):
    filters = "refractory,region:x=0:y=0:width=1:height=1,rate-limit:rate=1,spatio-temporal-contrast"
    for command in (("convert", recording, tmp_path / "out.npz"), ("render", recording, "-o", tmp_path / "out.png")):
        assert "are left by the filters" in cli(*command, "--filter", filters).error()
    assert not (tmp_path / "out.npz").exists()


def test_an_image_is_rendered_of_filtered_events(cli, recording: Path, noisy: EventStream, tmp_path: Path):
    record = json.loads(cli("render", recording, "-o", tmp_path / "out.png", "--filter", NOISE, "--json").out)
    assert record["events"] == len(noisy.filter(NOISE))
    assert render(noisy, tmp_path / "same.png", filters=NOISE).events == record["events"]
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "out.png").read_bytes()


def test_only_recordings_are_filtered(cli, tmp_path: Path):
    import PIL.Image

    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "image.png")
    error = cli("convert", tmp_path / "image.png", tmp_path / "out.png", "--filter", NOISE).error()
    assert "--filter apply to event recordings" in error
    with pytest.raises(BadOption, match="have no time ranges, windows, regions or filters"):
        list(find_modality("image").split(np.zeros((8, 8, 3), np.uint8), windows.WindowOptions(filters=NOISE)))


@pytest.mark.torch
def test_an_unknown_filter_is_reported_by_every_command(cli, recording: Path, tmp_path: Path):
    pytest.importorskip("torch")
    output = tmp_path / "out"
    for command in (
        ("convert", recording, output.with_suffix(".h5")),
        ("render", recording, "-o", output.with_suffix(".png")),
        ("embed", recording, "-o", output.with_suffix(".safetensors")),
        ("classify", recording, "--labels", "a bar,a duck"),
        ("index", recording, "-o", output.with_suffix(".safetensors")),
        ("search", "a bar", "--in", tmp_path),
        ("explain", recording, "--text", "a bar"),
        ("evaluate", "zero-shot", "--data", tmp_path, "--modality", "event"),
    ):
        assert "there is no filter 'noise'" in cli(*command, "--filter", "noise").error()


def test_windows_are_those_of_the_recording_with_filtered_events(noisy: EventStream):
    plain, filtered = split(noisy, window="100ms"), split(noisy, window="100ms", filters=NOISE)
    spans = [[(each.start_us, each.end_us) for each in divided] for divided in (filtered, plain)]
    assert spans[0] == spans[1]
    whole = noisy.filter(NOISE)
    for window in filtered:
        first, last = np.searchsorted(whole.t, [int(noisy.t[0]) + window.start_us, int(noisy.t[0]) + window.end_us])
        assert list_contents(window.sample) == list_contents(whole.slice_events(first, last))
    assert not any(window.is_whole for window in split(noisy, window="whole", filters="refractory:period_us=1"))


def test_noise_that_a_filter_thins_out_is_no_motion():
    noise = draw_noise(100_000, 10.0, 346, 260, seed=0)
    [window] = split(noise, window="whole", filters=NOISE)
    assert len(window.sample)
    assert window.inactivity == "nothing moved"
    [moving] = split(move_bar(100_000, noise_hz=5.0), window="whole", filters=NOISE)
    assert moving.inactivity == ""


def test_a_filter_that_leaves_no_events_gives_windows_without_events(noisy: EventStream):
    silent = noisy.filter("region:x=0:y=0:width=4:height=4")
    [window] = split(silent, window="whole", filters="region:x=60:y=60:width=2:height=2")
    assert window.inactivity == "no events"


def test_sounds_have_no_filters():
    with pytest.raises(BadOption, match="sounds have no region of interest, events or filters"):
        kind = find_modality("sound")
        sample = kind.make(np.zeros((1, 800), np.float32), 8_000)
        list(kind.split(sample, windows.WindowOptions(filters=NOISE)))


@pytest.mark.torch
def test_filtered_recordings_have_embeddings_of_their_own_in_the_store(recording: Path, tmp_path: Path):
    pytest.importorskip("torch")
    store = EmbeddingStore(tmp_path / "store")

    def embed(filters: str) -> np.ndarray:
        options = windows.WindowOptions(window="whole", filters=filters)
        return anybind.embed(recording, store=store, options=options)["event"].vectors

    first, second, other = embed(NOISE), embed(f"{NOISE}:duration_us=1000"), embed("")
    assert not np.allclose(first, second)
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(embed(NOISE), first)
    np.testing.assert_array_equal(embed(""), other)


@pytest.mark.torch
def test_an_index_is_updated_when_the_filters_change(recording: Path, tmp_path: Path):
    pytest.importorskip("torch")
    from anybind_retrieval import build_index

    def update(filters: str) -> int:
        """Return the number of entries that are kept as they are."""
        options = windows.WindowOptions(filters=filters)
        return build_index(tmp_path / "index.safetensors", recording, options=options).counts.unchanged

    assert update(NOISE) == 0
    assert update(NOISE) > 0
    assert update(f"{NOISE}:duration_us=1000") == 0


@pytest.mark.torch
def test_commands_with_windows_take_filters(cli: Callable, recording: Path, tmp_path: Path):
    pytest.importorskip("torch")
    arguments = ("--labels", "a bar,a duck", "--window", "whole", "--json")
    plain = json.loads(cli("classify", recording, *arguments).out)
    filtered = json.loads(cli("classify", recording, *arguments, "--filter", NOISE).out)
    assert filtered["windows"]["filters"].startswith("background-activity:duration_us=")
    assert plain["files"][0]["scores"] != filtered["files"][0]["scores"]
