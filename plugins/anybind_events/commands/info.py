"""`anybind info`: what is in a file, in numbers, and the event rate over time as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from anybind import AnybindError, read, read_chunks
from anybind.commandline import AsJson, SkipBad, Skipped, named_values, print_json, print_table
from anybind.plugin import BadInput, BadOption, ReaderSpec, files, find_part, readers
from anybind_events.commands.convert import ReaderName, ReaderOption
from anybind_events.stream import EventStream

PICTURES = (".png", ".pdf", ".svg")
BINS = 512
"""Steps of time that a rate is counted in, at most; at least half of them are in use."""
TIME_UNITS = (("min", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1))
"""Units of a time axis, with their microseconds."""
RISES, FALLS = "#c0392b", "#2c5fa8"
"""Colours of the two polarities, as recordings are shown elsewhere."""


def info(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, or samples of any other kind.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Draw the event rate over time: a .png, .pdf or .svg.")
    ] = None,
    reader: ReaderName = "",
    option: ReaderOption = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Say what is in a file: format, number of events, sensor, duration, rate, and what its reader had to mend."""
    if output is not None:
        if len(paths) > 1:
            raise BadOption("--output draws the rate of one recording; give one file")
        if output.suffix.lower() not in PICTURES:
            raise BadOption(f"cannot draw to {output}: the name must end in {', '.join(PICTURES)}")
        files.check_output(output)
    options, skipped, rows = named_values(option), Skipped(), []
    for file in paths:
        try:
            rows.append(_info_of(file, reader, options, output))
        except AnybindError as error:
            if not skip_bad:
                raise
            skipped.note(files.name_of_path(file), error)
    if not rows:
        skipped.report()
        raise BadInput("no file could be read")
    if as_json:
        print_json(rows[0] if len(paths) == 1 else {"files": rows, "skipped": skipped})
    else:
        print_table(("file", "property", "value"), _table(rows))
    skipped.report()


def _info_of(file: Path, reader: str, options: dict[str, Any], output: Path | None) -> dict[str, Any]:
    part = find_part(ReaderSpec, reader) if reader else readers.find_reader(file)
    told: dict[str, Any] = {"file": files.name_of_path(file), "format": part.name, "modality": part.spec.modality}
    if part.spec.modality != "event":
        if output is not None:
            raise BadInput(f"{file} holds {part.spec.modality}, which has no event rate to draw")
        return told | _describe(read(file, reader=part.name, **options))
    curve = RateCurve()
    told |= _count(read_chunks(file, reader=part.name, **options), curve)
    if output is not None:
        draw_rate(curve, file.name, output)
        told["output"] = str(output)
    return told


def _count(streams: Iterable[EventStream], curve: RateCurve) -> dict[str, Any]:
    """The numbers of a recording, part by part."""
    events, rises, first, last, size = 0, 0, None, 0, (0, 0)
    notes: Counter[str] = Counter()
    for stream in streams:
        curve.add(stream)
        notes.update(stream.notes)
        size = stream.width, stream.height
        if len(stream):
            events, rises = events + len(stream), rises + int(np.count_nonzero(stream.p))
            first, last = int(stream.t[0]) if first is None else first, int(stream.t[-1])
    duration = 0 if first is None else last - first
    return {
        "events": events,
        "width": size[0],
        "height": size[1],
        "duration_us": duration,
        "start_us": first,
        "rate": 1e6 * events / duration if duration else None,
        "on_share": rises / events if events else None,
        "notes": dict(notes),
    }


def _describe(sample: Any) -> dict[str, Any]:
    """What can be said of a sample of any kind: sizes of arrays and texts, and the numbers beside them."""
    if isinstance(sample, np.ndarray):
        size = {"width": sample.shape[1], "height": sample.shape[0]} if sample.ndim >= 2 else {}
        return {**size, "shape": list(sample.shape), "type": str(sample.dtype)}
    if isinstance(sample, str):
        return {"characters": len(sample)}
    if not is_dataclass(sample):
        return {}
    told: dict[str, Any] = {}
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


def _table(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    lines = []
    for row in rows:
        shown = {name: value for name, value in row.items() if name != "file" and value not in (None, {})}
        for number, (name, value) in enumerate(shown.items()):
            lines.append((row["file"] if number == 0 else "", name.replace("_", " "), _text(name, value)))
    return lines


def _text(name: str, value: Any) -> str:
    """A value for people, with its unit."""
    if name == "rate":
        return f"{value:,.0f} events/s"
    if name == "on_share":
        return f"{100 * value:.1f} %"
    if name == "duration_us":
        return f"{value} ({value / 1e6:.3f} s)"
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')}: {each}" for key, each in value.items())
    return str(value)
