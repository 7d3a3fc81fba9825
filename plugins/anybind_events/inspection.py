"""What a file holds, in numbers, and a recording's event rate over time as a chart."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind import read, read_chunks
from anybind.plugin import BadInput, BadOption, ReaderSpec, files, find_part, readers
from anybind_events.stream import EventStream
from anybind_events.writing import Totals

PICTURES = (".png", ".pdf", ".svg")
BINS = 512
"""Steps of time that a rate is counted in, at most; at least half of them are in use."""
TIME_UNITS = (("min", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1))
"""Units of a time axis, with their microseconds."""
RISES, FALLS = "#c0392b", "#2c5fa8"
"""Colours of the two polarities, as recordings are shown elsewhere."""


@dataclass(frozen=True)
class RecordingInfo:
    """A recording in numbers.

    Attributes:
        events: number of events.
        width, height: sensor size in pixels.
        duration_us: microseconds from the first event to the last; 0 without events.
        start_us: time of the first event in microseconds; None without events.
        on_events: number of ON events.
        notes: what the reader repaired or dropped, by name (`clock_wraps`, `outside`, ...).
    """

    events: int
    width: int
    height: int
    duration_us: int
    start_us: int | None
    on_events: int
    notes: Mapping[str, int]

    @property
    def rate(self) -> float | None:
        """Events per second; None for a recording without duration."""
        return 1e6 * self.events / self.duration_us if self.duration_us else None

    @property
    def on_share(self) -> float | None:
        """Share of ON events, 0 to 1; None without events."""
        return self.on_events / self.events if self.events else None


@dataclass(frozen=True)
class FileInfo:
    """What a file holds.

    Attributes:
        file: its path.
        format: name of its reader.
        modality: of its sample.
        recording: the numbers of a recording; None for another modality.
        sample: for another modality, sizes of the sample's arrays and texts, and its numbers, JSON-like.
    """

    file: str
    format: str
    modality: str
    recording: RecordingInfo | None
    sample: Mapping[str, object]

    def to_dict(self) -> dict[str, object]:
        """Flat and JSON-like."""
        about: dict[str, object] = {"file": self.file, "format": self.format, "modality": self.modality}
        if self.recording is None:
            return about | dict(self.sample)
        names = ("events", "width", "height", "duration_us", "start_us", "rate", "on_share", "notes")
        return about | {name: getattr(self.recording, name) for name in names}


def inspect(
    file: str | os.PathLike[str],
    *,
    reader: str = "",
    chart: str | os.PathLike[str] | None = None,
    **options: Any,
) -> FileInfo:
    """Describe a file: its format, and of a recording event count, sensor size, duration, rate, and what was repaired.

    A recording is read in parts, in bounded memory.

    Args:
        file: the file.
        reader: name of the reader. [default: by content, then by file name]
        chart: a `.png`, `.pdf` or `.svg` file to draw a recording's event rate over time to.
        options: of the reader.

    Raises:
        BadInput: the file cannot be read, or is no recording where a chart is asked for.
        BadOption: an option that the reader does not take, or a chart of another ending.
    """
    file = Path(file)
    if chart is not None:
        check_chart(chart := Path(chart))
    part = find_part(ReaderSpec, reader) if reader else readers.find_reader(file)
    about = (files.portable_name(file), part.name, part.spec.modality)
    if part.spec.modality != "event":
        if chart is not None:
            raise BadInput(f"{file} holds {part.spec.modality}, which has no event rate to draw")
        return FileInfo(*about, None, _describe(read(file, reader=part.name, **options)))
    curve, totals = RateCurve(), Totals()
    for stream in totals.count(read_chunks(file, reader=part.name, **options)):
        curve.add(stream)
    info = RecordingInfo(
        totals.events, *totals.size, totals.duration_us, totals.start_us, totals.on_events, dict(totals.notes)
    )
    if chart is not None:
        draw_rate(curve, file.name, chart)
    return FileInfo(*about, info, {})


def check_chart(output: Path) -> None:
    """Raise unless a chart can be drawn to this file."""
    if output.suffix.lower() not in PICTURES:
        raise BadOption(f"cannot draw to {output}: the name must end in {', '.join(PICTURES)}")
    files.check_output(output)


def _describe(sample: object) -> dict[str, object]:
    """What can be said of a sample of any kind: sizes of arrays and texts, and the numbers beside them."""
    if isinstance(sample, np.ndarray):
        size = {"width": sample.shape[1], "height": sample.shape[0]} if sample.ndim >= 2 else {}
        return {**size, "shape": list(sample.shape), "type": str(sample.dtype)}
    if isinstance(sample, str):
        return {"characters": len(sample)}
    if not is_dataclass(sample) or isinstance(sample, type):
        return {}
    told: dict[str, object] = {}
    for each in fields(sample):
        value = getattr(sample, each.name)
        if isinstance(value, np.ndarray):
            told[each.name] = {"shape": list(value.shape), "type": str(value.dtype)}
        elif isinstance(value, int | float | str):
            told[each.name] = value
    return told


class RateCurve:
    """Rises and falls over time, counted in steps that grow with the recording, so that any length fits.

    Attributes:
        step_us: the length of a step.
        counts: (2, BINS) int64, falls and rises in each step from the first event on.
        start_us, end_us: times of the first and last event; None and 0 without events.
    """

    def __init__(self) -> None:
        self.step_us = 1
        self.counts = np.zeros((2, BINS), np.int64)
        self.start_us: int | None = None
        self.end_us = 0

    def add(self, stream: EventStream) -> None:
        """Count the next events of the recording."""
        if not len(stream):
            return
        self.start_us, self.end_us = int(stream.t[0]) if self.start_us is None else self.start_us, int(stream.t[-1])
        while (self.end_us - self.start_us) // self.step_us >= BINS:
            folded = self.counts.reshape(2, BINS // 2, 2).sum(axis=2)
            self.counts = np.pad(folded, ((0, 0), (0, BINS // 2)))
            self.step_us *= 2
        steps = (stream.t - self.start_us) // self.step_us
        for polarity in (False, True):
            self.counts[int(polarity)] += np.bincount(steps[stream.p == polarity], minlength=BINS)

    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges of the steps in microseconds after the first event, (n + 1,), and events a second in them, (2, n)."""
        length = self.end_us - (self.start_us or 0) + 1
        edges = np.append(np.arange(0, length, self.step_us), length)
        counts = self.counts[:, : len(edges) - 1].copy()
        if len(edges) > 2 and edges[-1] - edges[-2] < self.step_us / 2:  # too short for a rate of its own
            edges, counts = np.delete(edges, -2), counts[:, :-1]
            counts[:, -1] += self.counts[:, len(edges) - 1]
        return edges, 1e6 * counts / np.diff(edges)


def draw_rate(curve: RateCurve, title: str, output: Path) -> None:
    """Draw how many events a second there were over time, rises upwards and falls downwards.

    Raises:
        BadInput: there are no events, or the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    if curve.start_us is None:
        raise BadInput(f"{title} is an empty recording: there is no event rate to draw")
    edges, (falls, rises) = curve.rates()
    unit, length = next((each for each in TIME_UNITS if edges[-1] >= 2 * each[1]), TIME_UNITS[-1])
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for rate, colour, label in ((rises, RISES, "rises"), (-falls, FALLS, "falls")):
        axes.stairs(rate, edges / length, fill=True, color=colour, alpha=0.85, label=label)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlim(0, edges[-1] / length)
    prefixed = EngFormatter(sep="\N{THIN SPACE}")
    axes.yaxis.set_major_formatter(lambda value, _: prefixed(abs(value)))
    axes.set_xlabel(f"time after the first event ({unit})")
    axes.set_ylabel("event rate (events/s)")
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with files.atomic_path(output) as temporary:
        figure.savefig(temporary, dpi=150)
