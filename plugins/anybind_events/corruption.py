"""Corruptions of recordings by name and severity, with per-event labels, to measure robustness."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anybind.plugin import BadInput, BadOption, errors, files, modalities, readers
from anybind_events.corruptions import functions
from anybind_events.stream import EventStream
from anybind_events.writing import find_writer, write_streams

SEVERITIES = (1, 2, 3)
Apply = Callable[..., functions.Labelled]


@dataclass(frozen=True)
class Corruption:
    """A corruption of event streams.

    Attributes:
        name: its name.
        summary: what it does, one line.
        apply: takes a stream, a generator and the settings; see `anybind_events.corruptions.functions`.
        levels: the settings of the severities 1, 2 and 3.
    """

    name: str
    summary: str
    apply: Apply
    levels: tuple[Mapping[str, float], ...]


CORRUPTIONS: Mapping[str, Corruption] = {
    each.name: each
    for each in (
        Corruption(
            "background-noise", "background activity of 1, 5, 10 Hz a pixel", functions.add_background_noise,
            ({"shot_hz": 1.0}, {"shot_hz": 5.0}, {"shot_hz": 10.0}),
        ),
        Corruption(
            "hot-pixels", "hot pixels of about 300 Hz: 0.1, 0.3, 1 % of all", functions.add_hot_pixels,
            ({"share": 0.001}, {"share": 0.003}, {"share": 0.01}),
        ),
        Corruption(
            "flicker", "light that flickers at 100 Hz on 0.5, 2, 5 % of the sensor", functions.add_flicker,
            ({"share": 0.005}, {"share": 0.02}, {"share": 0.05}),
        ),
        Corruption(
            "dropped-events", "25, 50, 75 % of the events dropped", functions.drop_events,
            ({"probability": 0.25}, {"probability": 0.5}, {"probability": 0.75}),
        ),
        Corruption(
            "dead-region", "a rectangle of 5, 15, 30 % of the sensor without events", functions.blind_region,
            ({"share": 0.05}, {"share": 0.15}, {"share": 0.3}),
        ),
        Corruption(
            "low-light", "1, 1.5, 2 times the threshold; cut-off at 100, 30, 15 Hz", functions.darken_scene,
            (
                {"threshold": 1.0, "cutoff_hz": 100.0},
                {"threshold": 1.5, "cutoff_hz": 30.0},
                {"threshold": 2.0, "cutoff_hz": 15.0},
            ),
        ),
        Corruption(
            "time-jitter", "times moved by normal deviates of 1, 5, 20 ms", functions.jitter_times,
            ({"sigma_us": 1_000.0}, {"sigma_us": 5_000.0}, {"sigma_us": 20_000.0}),
        ),
        Corruption(
            "resolution", "pixels 2, 3, 4 times as wide and high", functions.coarsen,
            ({"factor": 2}, {"factor": 3}, {"factor": 4}),
        ),
    )
}  # fmt: skip
"""The corruptions by name."""


@dataclass(frozen=True, eq=False)
class CorruptedStream:
    """A corrupted recording with labels.

    Attributes:
        stream: its events.
        is_signal: (n,) bool, True for events of the recording, False for noise that the corruption added.
        corruption, severity, seed: what it was made with.
        settings: the settings of the corruption at this severity.
    """

    stream: EventStream
    is_signal: np.ndarray
    corruption: str
    severity: int
    seed: int
    settings: Mapping[str, float]


def corrupt_events(stream: EventStream, corruption: str, *, severity: int = 1, seed: int = 0) -> CorruptedStream:
    """Corrupt a recording.

    Args:
        stream: the recording; without events it stays as it is.
        corruption: a name of `CORRUPTIONS`.
        severity: 1, 2 or 3.
        seed: seed of all randomness, 0 or more.

    Raises:
        BadOption: no such corruption or severity, or an invalid seed.
    """
    chosen = find_corruption(corruption)
    if severity not in SEVERITIES:
        raise BadOption(f"severity: expected 1, 2 or 3, got {severity!r}")
    if not isinstance(seed, int) or seed < 0:
        raise BadOption(f"seed: expected a whole number, 0 or more, got {seed!r}")
    settings = chosen.levels[severity - 1]
    labelled = stream, np.ones(len(stream), np.bool_)
    if len(stream):
        labelled = chosen.apply(stream, np.random.default_rng([seed, severity]), **settings)
    return CorruptedStream(*labelled, corruption, severity, seed, settings)


def find_corruption(name: str) -> Corruption:
    """Return a corruption; raise `BadOption` with the nearest names if there is none."""
    if name not in CORRUPTIONS:
        hint = errors.suggest_names(name, CORRUPTIONS)
        raise BadOption(f"there is no corruption {name!r}{hint}; expected {', '.join(CORRUPTIONS)}")
    return CORRUPTIONS[name]


@dataclass(frozen=True)
class CorruptedFile:
    """A corrupted recording in a file.

    Attributes:
        file, output: the recording and the written one.
        labels: the written labels; empty if there are none.
        corruption, severity, seed, settings: see `CorruptedStream`.
        events: number of written events.
        noise: number of those that the corruption added.
        original_events: number of events of the recording.
    """

    file: str
    output: str
    labels: str
    corruption: str
    severity: int
    seed: int
    settings: Mapping[str, float]
    events: int
    noise: int
    original_events: int


def corrupt(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    corruption: str,
    severity: int = 1,
    seed: int = 0,
    labels: str | os.PathLike[str] | None = None,
    reader: str = "",
    **options: object,
) -> CorruptedFile:
    """Corrupt a recording in a file, and write it, with a label for each event if wanted.

    Args:
        file: the recording.
        output: the recording to write, in the format of its suffix.
        corruption, severity, seed: as for `corrupt_events`.
        labels: a NumPy file (`.npy`) to write: (n,) bool, True for signal and False for noise, in the order in which
            the events are written. [default: none]
        reader: name of the reader. [default: by content, then by file name]
        options: options of the reader.

    Raises:
        BadInput: the file is not an event recording with events, none is left, or no format writes the output's suffix.
        BadOption: as `corrupt_events`, or labels of another suffix.
    """
    file, output = Path(file), Path(output)
    find_corruption(corruption)
    files.check_output(output, inputs=[file])
    if labels is not None:
        files.check_output(labels, [".npy"], inputs=[file, output])
    writer = find_writer(output)
    stream = _read_recording(file, reader, options)
    corrupted = corrupt_events(stream, corruption, severity=severity, seed=seed)
    if not len(corrupted.stream):
        raise BadInput(f"{file}: no events are left by {corruption} of severity {severity}")
    write_streams(iter([corrupted.stream]), file, output, writer)
    if labels is not None:
        with files.atomic_path(Path(labels)) as temporary, temporary.open("wb") as target:
            np.save(target, corrupted.is_signal)
    noise = int(np.count_nonzero(~corrupted.is_signal))
    return CorruptedFile(
        str(file), str(output), "" if labels is None else str(labels), corruption, severity, seed,
        dict(corrupted.settings), len(corrupted.stream), noise, len(stream),
    )  # fmt: skip


def _read_recording(file: Path, reader: str, options: Mapping[str, object]) -> EventStream:
    sample = readers.read(file, reader=reader or None, **options)
    if not isinstance(sample, EventStream):
        raise BadInput(f"{file}: expected an event recording, got {modalities.infer_modality(sample)}")
    if not len(sample):
        raise BadInput(f"{file}: the recording is empty: it has no events")
    return sample
