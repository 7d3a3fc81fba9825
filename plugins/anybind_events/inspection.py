"""File summaries, and charts of a recording's event rate over time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind import read, read_chunks
from anybind.plugin import BadInput, BadOption, ReaderSpec, files, find_part, readers, samples
from anybind_events.stream import EventStream
from anybind_events.writing import RecordingTotals

CHART_SUFFIXES = (".png", ".pdf", ".svg")
MAX_STEPS = 512
"""Maximum number of time steps of a rate curve; at least half of them are in use."""
TIME_UNITS = (("min", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1))
"""Units of a time axis, with their microseconds."""
ON_COLOR, OFF_COLOR = "#c0392b", "#2c5fa8"
"""Colours of the two polarities, the same as in renderings."""


@dataclass(frozen=True)
class RecordingInfo:
    """Summary of a recording.

    Attributes:
        events: number of events.
        width, height: sensor size in pixels.
        duration_us: microseconds from the first event to the last; 0 without events.
        start_us: time of the first event in microseconds; None without events.
        on_events: number of ON events.
        time_unit: unit of the times in the file: s, ms, us or ns.
        time_unit_origin: how it is known: `format`, `column name`, `attribute`, `comment`, `type` or `option`;
            `assumed` if nothing states it.
        notes: counts of what the reader repaired or dropped, by name (`clock_wraps`, `outside`, ...).
    """

    events: int
    width: int
    height: int
    duration_us: int
    start_us: int | None
    on_events: int
    time_unit: str
    time_unit_origin: str
    notes: Mapping[str, int]

    @property
    def rate(self) -> float | None:
        """Events per second; None for a recording of zero duration."""
        return 1e6 * self.events / self.duration_us if self.duration_us else None

    @property
    def on_fraction(self) -> float | None:
        """Fraction of ON events, 0 to 1; None without events."""
        return self.on_events / self.events if self.events else None


@dataclass(frozen=True)
class FileInfo:
    """Summary of a file.

    Attributes:
        file: its path.
        format: name of its reader.
        modality: modality of its sample.
        recording: summary of a recording; None for another modality.
        sample: for another modality, the sample's array shapes, text lengths and numbers, JSON-like.
    """

    file: str
    format: str
    modality: str
    recording: RecordingInfo | None
    sample: Mapping[str, object]

    def to_dict(self) -> dict[str, object]:
        """Return all fields in one flat, JSON-like dict."""
        record: dict[str, object] = {"file": self.file, "format": self.format, "modality": self.modality}
        if self.recording is None:
            return record | dict(self.sample)
        names = ("events", "width", "height", "duration_us", "start_us", "rate", "on_fraction")
        names += ("time_unit", "time_unit_origin", "notes")
        return record | {name: getattr(self.recording, name) for name in names}


def inspect(
    file: str | os.PathLike[str],
    *,
    reader: str = "",
    chart: str | os.PathLike[str] | None = None,
    **options: Any,
) -> FileInfo:
    """Summarise a file: its format and, for a recording, events, sensor, duration, event rate, unit of time, repairs.

    Recordings are read in chunks, in bounded memory.

    Args:
        file: the file.
        reader: name of the reader; default: by content, then by file name.
        chart: a `.png`, `.pdf` or `.svg` file for a chart of the event rate over time.
        options: options of the reader.

    Raises:
        BadInput: the file cannot be read, or a chart is requested and it is not a recording.
        BadOption: the reader has no such option, or the chart has another suffix.
    """
    file = Path(file)
    if chart is not None:
        check_chart(chart := Path(chart))
    input_format = find_part(ReaderSpec, reader) if reader else readers.find_reader(file, options=options)
    description = (files.portable_name(file), input_format.name, input_format.spec.modality)
    if input_format.spec.modality != "event":
        if chart is not None:
            raise BadInput(
                f"{file}: expected an event recording to draw its event rate, got {input_format.spec.modality}"
            )
        return FileInfo(*description, None, _describe_sample(read(file, reader=input_format.name, **options)))
    curve, totals = RateCurve(), RecordingTotals()
    for stream in totals.count_chunks(read_chunks(file, reader=input_format.name, **options)):
        curve.add(stream)
    info = RecordingInfo(
        totals.events, *totals.size, totals.duration_us, totals.start_us, totals.on_events, *totals.time_unit,
        dict(totals.notes),
    )  # fmt: skip
    if chart is not None:
        draw_rate(curve, file.name, chart)
    return FileInfo(*description, info, {})


def check_chart(output: Path) -> None:
    """Check that a chart can be written to this path."""
    if output.suffix.lower() not in CHART_SUFFIXES:
        raise BadOption(f"{output}: not a supported chart format; supported: {', '.join(CHART_SUFFIXES)}")
    files.check_output(output)


def _describe_sample(sample: object) -> dict[str, object]:
    """Return the array shapes, text lengths and numbers of a sample of any type."""
    if isinstance(sample, np.ndarray):
        size = {"width": sample.shape[1], "height": sample.shape[0]} if sample.ndim >= 2 else {}
        return {**size, "shape": list(sample.shape), "type": str(sample.dtype)}
    if isinstance(sample, str):
        return {"characters": len(sample)}
    if not is_dataclass(sample) or isinstance(sample, type):
        return {}
    properties: dict[str, object] = {}
    for field in fields(sample):
        value = getattr(sample, field.name)
        if isinstance(value, np.ndarray):
            properties[field.name] = {"shape": list(value.shape), "type": str(value.dtype)}
        elif isinstance(value, int | float | str):
            properties[field.name] = value
    if isinstance(sample, samples.AudioSample | samples.VideoSample):
        properties.pop("duration", None)
        properties["duration_us"] = round(1e6 * sample.duration) or None  # 0: unknown
    return properties


class RateCurve:
    """ON and OFF event counts over time, in steps that double as the recording grows, so that memory is bounded.

    Attributes:
        step_us: length of a step in microseconds.
        counts: (2, MAX_STEPS) int64, OFF and ON events in each step from the first event on.
        start_us, end_us: times of the first and last event; None and 0 without events.
    """

    def __init__(self) -> None:
        self.step_us = 1
        self.counts = np.zeros((2, MAX_STEPS), np.int64)
        self.start_us: int | None = None
        self.end_us = 0

    def add(self, stream: EventStream) -> None:
        """Count the next events of the recording."""
        if not len(stream):
            return
        self.start_us, self.end_us = int(stream.t[0]) if self.start_us is None else self.start_us, int(stream.t[-1])
        while (self.end_us - self.start_us) // self.step_us >= MAX_STEPS:
            folded = self.counts.reshape(2, MAX_STEPS // 2, 2).sum(axis=2)
            self.counts = np.pad(folded, ((0, 0), (0, MAX_STEPS // 2)))
            self.step_us *= 2
        steps = (stream.t - self.start_us) // self.step_us
        for polarity in (False, True):
            self.counts[int(polarity)] += np.bincount(steps[stream.p == polarity], minlength=MAX_STEPS)

    def compute_rates(self) -> tuple[np.ndarray, np.ndarray]:
        """Return step edges in us after the first event, (n + 1,), and OFF and ON events per second, (2, n)."""
        length = self.end_us - (self.start_us or 0) + 1
        edges = np.append(np.arange(0, length, self.step_us), length)
        counts = self.counts[:, : len(edges) - 1].copy()
        if len(edges) > 2 and edges[-1] - edges[-2] < self.step_us / 2:  # too short for a rate of its own
            edges, counts = np.delete(edges, -2), counts[:, :-1]
            counts[:, -1] += self.counts[:, len(edges) - 1]
        return edges, 1e6 * counts / np.diff(edges)


def draw_rate(curve: RateCurve, title: str, output: Path) -> None:
    """Draw the event rate over time, ON events upwards and OFF events downwards.

    Raises:
        BadInput: the recording has no events, or the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    if curve.start_us is None:
        raise BadInput(f"{title}: the recording is empty: it has no events to draw")
    edges, (off_rate, on_rate) = curve.compute_rates()
    unit, length = next((each for each in TIME_UNITS if edges[-1] >= 2 * each[1]), TIME_UNITS[-1])
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for rate, colour, label in ((on_rate, ON_COLOR, "ON"), (-off_rate, OFF_COLOR, "OFF")):
        axes.stairs(rate, edges / length, fill=True, color=colour, alpha=0.85, label=label)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlim(0, edges[-1] / length)
    formatter = EngFormatter(sep="\N{THIN SPACE}")
    axes.yaxis.set_major_formatter(lambda value, _: formatter(abs(value)))
    axes.set_xlabel(f"time after the first event ({unit})")
    axes.set_ylabel("event rate (events/s)")
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with files.atomic_path(output) as temporary:
        figure.savefig(temporary, dpi=150)
