"""Comparison of simulated with real recordings: how events are distributed over time, pixels and polarities."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anybind import read
from anybind.plugin import BadInput, Item, files, modalities, readers
from anybind_events.inspection import check_chart
from anybind_events.modality import draw_recording
from anybind_events.stream import EventStream

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = 12
"""Parts of equal duration, from the first event to the last, over which the event rate is compared."""
DECADE_STEPS = 4
"""Bins per decade of the histogram of intervals."""
DECADES = 7
"""Decades of intervals, from 1 microsecond to 10 seconds; shorter and longer ones count in the outer bins."""
COLOURS = {"simulated": "#2c5fa8", "real": "#c0392b"}
MIN_SHARE = 1e-5
"""Smallest share of the chart."""
HOT_FACTOR = 5.0
"""A hot pixel has at least this many times (1 + the mean number of events of its eight neighbours)."""


@dataclass(frozen=True)
class RecordingStatistics:
    """Statistics of a recording.

    The area is the smallest rectangle that contains all events, since files of some formats name no sensor size.

    Attributes:
        file: the recording; `event` for one in memory.
        events: number of events.
        width, height: size of that area in pixels.
        duration_us: microseconds from the first event to the last.
        pixel_rate: events per second and pixel of the area, in Hz.
        rate_shares: (12,) share of the events in each of twelve parts of equal duration.
        interval_shares: (28,) share of the intervals between consecutive events of a pixel in each quarter of a decade,
            from 1 microsecond to 10 seconds.
        on_share: share of ON events.
        active_share: share of the area's pixels with an event.
        hot_share: share of the area's pixels that are hot: five times more events than their neighbours.
        hot_event_share: share of the events that hot pixels have.
    """

    file: str
    events: int
    width: int
    height: int
    duration_us: int
    pixel_rate: float
    rate_shares: tuple[float, ...]
    interval_shares: tuple[float, ...]
    on_share: float
    active_share: float
    hot_share: float
    hot_event_share: float


@dataclass(frozen=True)
class Realism:
    """How far simulated recordings are from real ones.

    Attributes:
        simulated, real: statistics of each recording.
        distances: by name; 0 where the mean statistics are equal. `rate`: Wasserstein distance of the event rate over
            time, in shares of the duration. `intervals`: Wasserstein distance of the intervals of a pixel, in decades.
            `pixel_rate`: |log10 of the ratio of medians|. `on_share`, `active_share`, `hot_share`, `hot_event_share`:
            absolute differences of means.
        output: the chart; None if there is none.
    """

    simulated: tuple[RecordingStatistics, ...]
    real: tuple[RecordingStatistics, ...]
    distances: Mapping[str, float]
    output: str | None = None


def measure_realism(
    simulated: str | os.PathLike[str] | EventStream | Sequence[str | os.PathLike[str] | EventStream],
    real: str | os.PathLike[str] | EventStream | Sequence[str | os.PathLike[str] | EventStream],
    *,
    output: str | os.PathLike[str] | None = None,
    reader_options: Mapping[str, object] | None = None,
) -> Realism:
    """Measure how far simulated recordings are from real ones; each recording weighs the same.

    With few real recordings this is a calibration to these, not a measure of how real a simulation is.

    Args:
        simulated, real: files, or recordings in memory, one or several, of the same kind of scene and movement.
        output: chart of the statistics: .png, .pdf or .svg.
        reader_options: options for the readers that take them, such as `source` for one of several cameras.

    Raises:
        BadInput: there is no recording of either kind, one cannot be read or has fewer than two events, or the chart
            cannot be written.
        BadOption: another suffix of the chart, or an option that no reader takes.
    """
    simulated, real = (
        [group] if isinstance(group, str | os.PathLike | EventStream) else list(group) for group in (simulated, real)
    )
    for name, group in (("simulated", simulated), ("real", real)):
        if not group:
            raise BadInput(f"expected at least one {name} recording")
    if output is not None:
        check_chart(Path(output))
    recordings = iter(_read_recordings([*simulated, *real], reader_options or {}))
    groups = [list(itertools.islice(recordings, len(group))) for group in (simulated, real)]
    first, second = (tuple(compute_statistics(stream, file) for file, stream in group) for group in groups)
    if output is not None:
        draw_realism((first, second), [group[0][1] for group in groups], Path(output))
    return Realism(first, second, compare_statistics(first, second), None if output is None else str(output))


def compute_statistics(stream: EventStream, file: str = "event") -> RecordingStatistics:
    """Compute the statistics of a recording with two or more events."""
    if len(stream) < 2 or not stream.duration_us:
        raise BadInput(f"{file}: expected events at two or more times, got {len(stream)} events")
    x, y = (column.astype(np.int64) - int(column.min()) for column in (stream.x, stream.y))
    width, height = int(x.max()) + 1, int(y.max()) + 1
    pixels = y * width + x
    counts = np.bincount(pixels, minlength=width * height).reshape(height, width)
    hot = counts >= HOT_FACTOR * (1 + _average_neighbours(counts))
    order = np.argsort(pixels, kind="stable")
    intervals = np.diff(stream.t[order])[np.diff(pixels[order]) == 0]
    bins = np.floor(np.log10(np.maximum(intervals, 1)) * DECADE_STEPS).astype(int).clip(max=DECADES * DECADE_STEPS - 1)
    parts = (stream.t - stream.t[0]) * PARTS // (stream.duration_us + 1)
    return RecordingStatistics(
        file, len(stream), width, height, stream.duration_us,
        pixel_rate=len(stream) / (stream.duration_us * 1e-6) / counts.size,
        rate_shares=_share(np.bincount(parts, minlength=PARTS)),
        interval_shares=_share(np.bincount(bins, minlength=DECADES * DECADE_STEPS)),
        on_share=float(stream.p.mean()),
        active_share=float((counts > 0).mean()),
        hot_share=float(hot.mean()),
        hot_event_share=float(counts[hot].sum() / len(stream)),
    )  # fmt: skip


def compare_statistics(
    simulated: Sequence[RecordingStatistics], real: Sequence[RecordingStatistics]
) -> dict[str, float]:
    """Compute the distances of `Realism`."""
    groups = simulated, real

    def subtract(name: str) -> np.ndarray:
        first, second = (np.mean([getattr(each, name) for each in group], axis=0) for group in groups)
        return first - second

    rates = [np.median([each.pixel_rate for each in group]) for group in groups]
    return {
        "rate": float(np.abs(np.cumsum(subtract("rate_shares"))).sum() / PARTS),
        "intervals": float(np.abs(np.cumsum(subtract("interval_shares"))).sum() / DECADE_STEPS),
        "pixel_rate": float(abs(np.log10(rates[0] / rates[1]))),
        **{name: float(abs(subtract(name))) for name in ("on_share", "active_share", "hot_share", "hot_event_share")},
    }


def _read_recordings(
    recordings: Sequence[str | os.PathLike[str] | EventStream], options: Mapping[str, object]
) -> Iterator[tuple[str, EventStream]]:
    """Yield the name and the events of each recording, read with the options that its reader takes."""
    paths = [Path(each) for each in recordings if not isinstance(each, EventStream)]
    items = iter(readers.add_options([Item(files.portable_name(path), path) for path in paths], options))
    for recording in recordings:
        if isinstance(recording, EventStream):
            yield "event", recording
            continue
        item = next(items)
        sample = read(recording, **item.options)
        if not isinstance(sample, EventStream):
            raise BadInput(f"{recording}: expected an event recording, got {modalities.infer_modality(sample)}")
        yield item.id, sample


def _average_neighbours(counts: np.ndarray) -> np.ndarray:
    """Return the mean of the eight neighbours of each pixel, (height, width); the border is reflected."""
    padded = np.pad(counts, 1, mode="symmetric")
    height, width = counts.shape
    windows = [padded[row : row + height, column : column + width] for row in range(3) for column in range(3)]
    return (np.sum(windows, axis=0) - counts) / 8


def _share(counts: np.ndarray) -> tuple[float, ...]:
    return tuple((counts / max(1, counts.sum())).tolist())


def draw_realism(
    statistics: tuple[Sequence[RecordingStatistics], Sequence[RecordingStatistics]],
    examples: Sequence[EventStream],
    output: Path,
) -> None:
    """Draw the statistics of simulated and real recordings, and the event counts of one example of each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplot_mosaic([["rate", "intervals", "shares"], ["simulated", "real", "distances"]])
    decades = np.arange(DECADES * DECADE_STEPS + 1) / DECADE_STEPS
    for (name, colour), group in zip(COLOURS.items(), statistics, strict=True):
        label = f"{name} (n = {len(group)})"
        for axis, field, edges in (
            ("rate", "rate_shares", np.arange(PARTS + 1)),
            ("intervals", "interval_shares", decades),
        ):
            rows = np.array([getattr(each, field) for each in group])
            for row in rows if len(rows) > 1 else ():
                axes[axis].stairs(row, edges, color=colour, alpha=0.2)
            axes[axis].stairs(rows.mean(axis=0), edges, color=colour, linewidth=2, label=label)
    for axis, x_label, y_label in (
        ("rate", "twelfth of the duration", "share of events"),
        ("intervals", "interval of a pixel (log10 of microseconds)", "share of intervals"),
    ):
        axes[axis].set_xlabel(x_label)
        axes[axis].set_ylabel(y_label)
        axes[axis].legend(frameon=False, fontsize="small")
    _draw_shares(axes["shares"], statistics)
    for name, stream in zip(COLOURS, examples, strict=True):
        axes[name].imshow(draw_recording(stream))
        axes[name].set_title(f"{name}: {len(stream)} events", fontsize="medium", loc="left")
        axes[name].set_axis_off()
    rows = "\n".join(f"{name:<16} {value:.4f}" for name, value in compare_statistics(*statistics).items())
    axes["distances"].text(
        0, 1, f"distance\n\n{rows}", family="monospace", va="top", transform=axes["distances"].transAxes
    )
    axes["distances"].set_axis_off()
    with files.atomic_path(output) as temporary:
        figure.savefig(temporary, dpi=130)


def _draw_shares(axis: Axes, statistics: Sequence[Sequence[RecordingStatistics]]) -> None:
    """Draw a dot for each recording and share, on a log scale."""
    fields = ("on_share", "active_share", "hot_share", "hot_event_share")
    for number, (colour, group) in enumerate(zip(COLOURS.values(), statistics, strict=True)):
        for row, field in enumerate(fields):
            values = [max(getattr(each, field), MIN_SHARE) for each in group]
            axis.plot(values, [row + 0.25 * number] * len(values), "o", color=colour, alpha=0.6)
    axis.set_xscale("log")
    axis.set_yticks(np.arange(len(fields)) + 0.125, [each.replace("_", " ") for each in fields])
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
