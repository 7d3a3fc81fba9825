"""Corruptions of recordings: labels, seeds, severities and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind_events import corrupt, corrupt_events
from anybind_events.corruption import CORRUPTIONS, SEVERITIES
from anybind_events.corruptions.functions import darken_scene
from anybind_events.stream import EventStream
from helpers.streams import draw_noise, list_contents, list_events, move_bar

ADDING = ("background-noise", "hot-pixels", "flicker")
REMOVING = ("dropped-events", "dead-region", "low-light", "resolution")


@pytest.fixture(scope="module")
def stream() -> EventStream:
    bar = move_bar(400_000, noise_hz=2.0)
    return bar.from_valid(bar.x, bar.y, bar.t + 10**9, bar.p, bar.width, bar.height)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_recording_is_valid_and_labelled(stream: EventStream, name: str, severity: int):
    result = corrupt_events(stream, name, severity=severity, seed=5)
    noisy = result.stream
    EventStream(noisy.x, noisy.y, noisy.t, noisy.p, noisy.width, noisy.height)  # raises if invalid
    assert len(result.is_signal) == len(noisy) > 0
    assert stream.t[0] <= noisy.t[0]
    assert noisy.t[-1] <= stream.t[-1]
    assert result.settings == CORRUPTIONS[name].levels[severity - 1]
    if name in ADDING:
        assert list_contents(noisy[result.is_signal]) == list_contents(stream)
        assert not result.is_signal.all()
    else:
        assert result.is_signal.all()
        assert list_contents(noisy) != list_contents(stream)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severities_increase(stream: EventStream, name: str):
    counts = [len(corrupt_events(stream, name, severity=severity).stream) for severity in SEVERITIES]
    if name in ADDING:
        assert counts == sorted(set(counts))
    if name in REMOVING:
        assert counts == sorted(set(counts), reverse=True)


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"resolution"}))
def test_the_seed_decides_all_randomness(stream: EventStream, name: str):
    first, again, other = (list_events(corrupt_events(stream, name, seed=seed).stream) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_background_noise_has_its_rate(stream: EventStream):
    for severity, hz in zip(SEVERITIES, (1, 5, 10), strict=True):
        result = corrupt_events(stream, "background-noise", severity=severity)
        pixel_seconds = stream.width * stream.height * stream.duration_us / 1e6
        assert (~result.is_signal).sum() / pixel_seconds == pytest.approx(hz, rel=0.1)


def test_a_dead_region_has_no_events():
    noise = draw_noise(1_000_000, 20.0, 40, 30, seed=0)
    stream = corrupt_events(noise, "dead-region", severity=3).stream
    dead = np.ones((30, 40), bool)
    dead[stream.y, stream.x] = False
    rows, columns = np.flatnonzero(dead.any(axis=1)), np.flatnonzero(dead.any(axis=0))
    assert dead[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert dead.mean() == pytest.approx(0.3, abs=0.03)


def test_low_light_delays_events_by_the_response_of_a_low_pass():
    """A step of two thresholds at t = 0 crosses a threshold of one when 1 - exp(-t/tau) is a half of it."""
    tau = 10_000.0
    x, t = np.zeros(3, int), np.array([0, 0, 10**6])
    stream = EventStream(x, x, t, np.array([True, True, False]), 1, 1)

    class Middle:
        """A generator whose references are 0."""

        def uniform(self, low: float, high: float, size: int) -> np.ndarray:
            return np.zeros(size)

    cutoff_hz = 1e6 / (2 * np.pi * tau)
    dark, _ = darken_scene(stream, Middle(), 1.0, cutoff_hz)  # pyright: ignore[reportArgumentType]
    assert dark.p.tolist() == [True]
    assert dark.t[0] == pytest.approx(tau * np.log(2), abs=1)
    fewer, _ = darken_scene(stream, Middle(), 2.0, cutoff_hz)  # pyright: ignore[reportArgumentType]
    assert len(fewer) == 0


def test_time_jitter_keeps_pixels_and_polarities(stream: EventStream):
    moved = corrupt_events(stream, "time-jitter", severity=2).stream
    one, other = (sorted((x, y, p) for x, y, _, p in list_events(each)) for each in (stream, moved))
    assert one == other


@pytest.mark.parametrize("duration_us", [0, 1, 700, 300_000])
def test_time_jitter_spreads_events_to_the_ends_of_the_recording(duration_us: int):
    times = np.linspace(5, 5 + duration_us, 20_000).astype(np.int64)
    zeros = np.zeros(len(times), np.uint16)
    moved = corrupt_events(EventStream(zeros, zeros, times, zeros == 1, 4, 4), "time-jitter", severity=3, seed=1).stream
    assert 5 <= moved.t[0] <= moved.t[-1] <= 5 + duration_us
    counts, _ = np.histogram(moved.t, bins=min(10, duration_us + 1))
    assert counts.min() > 0.9 * counts.mean() or duration_us < 2
    assert duration_us < 700 or np.unique(moved.t, return_counts=True)[1].max() < 100


def test_a_recording_without_events_stays_without(stream: EventStream):
    for name in CORRUPTIONS:
        assert len(corrupt_events(stream.head(0), name).stream) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corruption": "noise"}, "there is no corruption 'noise'"),
        ({"corruption": "flicker", "severity": 4}, "severity: expected 1, 2 or 3, got 4"),
        ({"corruption": "flicker", "seed": -1}, "seed: expected a whole number"),
    ],
)
def test_invalid_options_are_errors(stream: EventStream, options: dict[str, object], message: str):
    with pytest.raises(BadOption, match=message):
        corrupt_events(stream, **options)  # pyright: ignore[reportArgumentType]


def test_the_command_writes_recording_and_labels(cli, tmp_path: Path, stream: EventStream):
    anybind.write(stream, tmp_path / "clean.npz")
    arguments = ("--corruption", "background-noise", "--severity", 2, "--seed", 3)
    labels = tmp_path / "labels.npy"
    noisy = tmp_path / "noisy.h5"
    record = json.loads(
        cli("corrupt", tmp_path / "clean.npz", "-o", noisy, *arguments, "--labels-output", labels, "--json").out
    )
    expected = corrupt_events(stream, "background-noise", severity=2, seed=3)
    assert list_contents(anybind.read(noisy)) == list_contents(expected.stream)
    assert np.load(labels).tolist() == expected.is_signal.tolist()
    assert record["noise"] == (~expected.is_signal).sum() == record["events"] - record["original_events"]
    assert record["settings"] == {"shot_hz": 5.0}


def test_the_command_lists_the_corruptions(cli):
    listed = json.loads(cli("corrupt", "--json").out)["corruptions"]
    assert [each["name"] for each in listed] == list(CORRUPTIONS)


def test_what_cannot_be_corrupted_is_an_error_without_an_output(cli, tmp_path: Path, stream: EventStream):
    anybind.write(stream.head(1), tmp_path / "one.npz")
    output = tmp_path / "out.npz"
    command = ("corrupt", tmp_path / "one.npz", "-o", output, "--corruption")
    assert "there is no corruption" in cli(*command, "dark").error()
    assert "no events are left by resolution" in cli(*command, "resolution", "--severity", 3).error()
    assert "give an output and a corruption" in cli("corrupt", tmp_path / "one.npz").error()
    assert "expected a name that ends in .npy" in cli(*command, "flicker", "--labels-output", "x.txt").error()
    assert not output.exists()
    with pytest.raises(BadInput, match="expected an event recording, got"):
        (tmp_path / "labels.txt").write_text("no events")
        corrupt(write_image(tmp_path), output, corruption="flicker")


def write_image(folder: Path) -> Path:
    import PIL.Image

    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "image.png")
    return folder / "image.png"
