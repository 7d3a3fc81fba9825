"""SVG charts: lines, marks with intervals, and steps over time.

Each chart is one `<svg>` element with its own style, for a page in both colour schemes or for a file (`save_chart`).
Charts are as wide as the page and of fixed height, so that text keeps its size: horizontal positions are in per cent,
vertical ones in pixels.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from anybind.files import atomic_path

COLOURS = 6  # number of colours; further series reuse them
DOTS = 30  # maximum number of points of a line with dots
TEXT_PX, ROW_PX = 12, 20
COLUMNS = 1000  # horizontal resolution of `draw_steps`
TIME_STEPS_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000, 86400),
)
TIME_TICKS, MAX_TIME_TICK = (
    8,
    0.9,
)  # maximum number; last position on the axis, so that its label fits a narrow page
_SHAPES = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0", "M-4-4h8v8h-8z", "M0-5.5l5.5 5.5l-5.5 5.5l-5.5-5.5z",
    "M0-5l5 8.5h-10z", "M0 5l5-8.5h-10z", "M-2.5-5h5v10h-5z",
)  # fmt: skip
_STYLE = """
.ab{overflow:visible;font:12px system-ui,sans-serif;font-variant-numeric:tabular-nums;display:block}
.ab svg{overflow:visible}.ab text{fill:var(--ink,#1d2330)}.ab .muted{fill:var(--soft,#667085)}
.ab .halo{paint-order:stroke;stroke:var(--paper,#fff);stroke-width:3px}.ab .strong{font-weight:600}
.ab .grid{stroke:var(--line,#e3e7ee);vector-effect:non-scaling-stroke}
.ab .c0{--c:#3d62d6}.ab .c1{--c:#c2571a}.ab .c2{--c:#18794e}.ab .c3{--c:#8b4fc7}.ab .c4{--c:#94700a}.ab .c5{--c:#0b7f8f}
.ab .line{fill:none;stroke:var(--c);stroke-width:2;vector-effect:non-scaling-stroke}
.ab .c1 .line{stroke-dasharray:7 4}.ab .c2 .line{stroke-dasharray:2 3}.ab .c3 .line{stroke-dasharray:8 3 2 3}
.ab .c4 .line{stroke-dasharray:12 4}.ab .c5 .line{stroke-dasharray:4 2}.ab .filled{fill:var(--c)}
.ab .dot{stroke:var(--c);stroke-width:6;stroke-linecap:round;vector-effect:non-scaling-stroke}
.ab .hollow{fill:var(--paper,#fff);stroke:var(--soft,#667085);stroke-width:2}
.ab .reference{stroke:var(--soft,#667085);stroke-width:2;stroke-dasharray:3 2}
.ab .interval{stroke:var(--c);stroke-width:3;opacity:.45}
.ab .area{fill:var(--c);opacity:.17}.ab .band{fill:rgba(214,90,61,.22)}
.ab .threshold{stroke:var(--bad,#b4462f);stroke-dasharray:5 4;vector-effect:non-scaling-stroke}
@media screen and (prefers-color-scheme:dark){.ab .c0{--c:#7896ff}.ab .c1{--c:#f59e6b}.ab .c2{--c:#4cc38a}
.ab .c3{--c:#c79bf2}.ab .c4{--c:#e3c14f}.ab .c5{--c:#4fc3d4}}
"""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, with ticks.

    Attributes:
        ticks: values and their texts.
        margin: margin at both ends, per cent.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    margin: float = 0.0

    @classmethod
    def around(cls, values: Iterable[float], margin: float = 0.0) -> Axis:
        """Create an axis that contains all values, with 2 to 6 ticks at round numbers."""
        listed = list(values)
        low, high = min(listed), max(listed)
        span = (high - low) or abs(high) or 1.0
        power = 10 ** math.floor(math.log10(span / 4))
        step = next(power * each for each in (1, 2, 5, 10) if span / (power * each) <= 4)
        first = math.floor(low / step)
        last = max(math.ceil(high / step), first + 1)
        ticks = tuple((step * at, f"{round(step * at, 10):g}") for at in range(first, last + 1))
        return cls(first * step, last * step, ticks, margin)

    @classmethod
    def of_time(cls, end_s: float) -> Axis:
        """Create a time axis from 0 to `end_s` seconds, with at most 8 ticks at round times."""
        step = next((step for step in TIME_STEPS_S if end_s / step <= TIME_TICKS), end_s)
        decimals = sum(step < limit for limit in (1, 0.1, 0.01))
        times = np.arange(0, MAX_TIME_TICK * end_s, step).tolist() if end_s else [0.0]
        return cls(0.0, end_s or 1.0, tuple((time, format_time(time, decimals)) for time in times))

    def place(self, value: float) -> float:
        """Return the position of a value, per cent of the axis."""
        return round(self.margin + (100 - 2 * self.margin) * (value - self.low) / (self.high - self.low), 3)


@dataclass(frozen=True)
class Mark:
    """A value on a track of `draw_marks`.

    Attributes:
        name: name in the legend.
        value: position on the axis.
        text: the value as text.
        kind: `filled` (our results), `hollow` (published results) or `reference` (such as the chance level).
        colour: number of its colour, and of its shape if hollow.
        interval: lowest and highest value.
    """

    name: str
    value: float
    text: str
    kind: str = "filled"
    colour: int = 0
    interval: tuple[float, float] | None = None


def format_time(seconds: float, decimals: int = 0) -> str:
    """Format a time in seconds: `0:07`, `12:30`, `1:02:03` (rounded down), and with decimals `0:07.3`, `0:07.346`."""
    whole, fraction = divmod(round(seconds * 10**decimals) if decimals else int(seconds + 1e-9), 10**decimals)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{fraction:0{decimals}d}" if decimals else text


def draw_lines(series: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str, height: int = 220) -> str:
    """Draw lines, with a legend for several.

    Args:
        series: points (x, y), finite, of each line; at least one point in total.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        height: height of the plot without labels, pixels.
    """
    across, up = (Axis.around(point[at] for each in series.values() for point in each) for at in (0, 1))
    top = ROW_PX + 4
    heights = [(round(top + height * (1 - up.place(value) / 100), 1), text) for value, text in up.ticks]
    parts = [f'<text x="0" y="{TEXT_PX}" class="muted">{escape(y)}</text>']
    parts += [f'<line class="grid" x1="0" x2="100%" y1="{at}" y2="{at}"/>' for at, _ in heights]
    drawn = []
    for number, points in enumerate(series.values()):
        positions = [(across.place(a), round(height * (1 - up.place(b) / 100), 2)) for a, b in points]
        line = " ".join(f"{a},{b}" for a, b in positions)
        dots = "".join(f'<path class="dot" d="M{a} {b}h0"/>' for a, b in positions if len(positions) <= DOTS)
        drawn.append(f'<g class="c{number % COLOURS}"><polyline class="line" points="{line}"/>{dots}</g>')
    parts.append(_stretch(drawn, top, 100, height))
    parts += [f'<text class="muted halo" x="0" y="{at - 3}">{escape(text)}</text>' for at, text in heights]
    bottom = top + height + TEXT_PX + 3
    parts += _draw_ticks(across, bottom)
    parts.append(f'<text class="muted" x="50%" y="{bottom + ROW_PX - 3}" text-anchor="middle">{escape(x)}</text>')
    bottom += ROW_PX
    names = list(series) if len(series) > 1 else []
    for number, name in enumerate(names):
        at = bottom + ROW_PX * (number + 1) - 6
        sample = f'<line class="line" x1="0" x2="22" y1="{at - 4}" y2="{at - 4}"/>'
        parts.append(f'<g class="c{number % COLOURS}">{sample}</g><text x="28" y="{at}">{escape(name)}</text>')
    return _make_svg(parts, bottom + ROW_PX * len(names), f"{y} by {x}")


def draw_marks(tracks: Sequence[tuple[str, Sequence[Mark]]], axis: Axis, *, legend: bool = False) -> str:
    """Draw values with their intervals on one axis, in labelled tracks.

    Args:
        tracks: label and marks of each track; a track of one mark shows its text.
        axis: axis of all tracks, with a margin.
        legend: whether to list the names of the marks below.
    """
    parts: list[str] = []
    names: dict[str, Mark] = {}
    top = 0
    for label, marks in tracks:
        strong = " strong" if len(marks) == 1 and marks[0].kind == "filled" else ""
        parts.append(f'<text class="label{strong}" x="0" y="{top + TEXT_PX}">{escape(label)}</text>')
        if len(marks) == 1:
            text = escape(marks[0].text)
            parts.append(f'<text class="{strong.strip()}" x="100%" y="{top + TEXT_PX}" text-anchor="end">{text}</text>')
        middle = top + ROW_PX + 6
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{middle}" y2="{middle}"/>')
        parts += [_draw_mark(mark, axis, middle) for mark in marks]
        names |= {mark.name: mark for mark in marks}
        top += 2 * ROW_PX
    parts += _draw_ticks(axis, top + TEXT_PX)
    top += ROW_PX
    for mark in names.values() if legend else ():
        parts.append(f'<g transform="translate(8 {top + 9})" class="c{mark.colour % COLOURS}">{_draw_shape(mark)}</g>')
        parts.append(f'<text x="22" y="{top + TEXT_PX + 1}">{escape(mark.name)}</text>')
        top += ROW_PX
    label_text = "; ".join(f"{label}: {', '.join(f'{m.name} {m.text}' for m in marks)}" for label, marks in tracks)
    return _make_svg(parts, top, label_text)


def draw_steps(
    starts_s: np.ndarray,
    end_s: float,
    values: np.ndarray,
    *,
    label: str,
    threshold: float | None = None,
    bands: Iterable[tuple[float, float]] = (),
    colour: int = 0,
    height: int = 180,
) -> str:
    """Draw values over time, each lasting until the next one starts.

    Time is divided into 1000 columns, each with its largest value, so that short peaks of long recordings are visible.

    Args:
        starts_s: (n,), non-decreasing, the first at 0, seconds.
        end_s: end of the last value, seconds.
        values: (n,), finite.
        label: label of the chart.
        threshold: a value that is drawn as a dashed line.
        bands: starts and ends of highlighted times, seconds.
        colour: number of the colour.
        height: height of the plot, pixels.
    """
    line, low, high = step_line(starts_s, end_s, values, at_least=threshold or 0.0, height=height)
    inner = [
        f'<rect class="band" x="{left}" y="0" width="{width}" height="{height}"/>'
        for left, width in step_bands(bands, end_s)
    ]
    points = " ".join(f"{a},{b}" for a, b in line)
    inner.append(f'<polygon class="area" points="0,{height} {points} {COLUMNS},{height}"/>')
    inner.append(f'<polyline class="line" style="stroke-width:1.5;stroke-dasharray:none" points="{points}"/>')
    if threshold is not None:
        at = round(height * (1 - (threshold - low) / (high - low)), 2)
        inner.append(f'<line class="threshold" x1="0" x2="{COLUMNS}" y1="{at}" y2="{at}"/>')
    inner.append(f'<line class="grid" x1="0" x2="{COLUMNS}" y1="{height}" y2="{height}"/>')
    drawn = _stretch([f'<g class="c{colour % COLOURS}">', *inner, "</g>"], ROW_PX, COLUMNS, height)
    parts = [
        f'<text class="muted" x="0" y="{TEXT_PX}">{escape(label)}</text>',
        f'<text class="muted" x="100%" y="{TEXT_PX}" text-anchor="end">{low:.3g} to {high:.3g}</text>',
        drawn,
        *_draw_ticks(Axis.of_time(end_s), ROW_PX + height + TEXT_PX + 3, anchor="start"),
    ]
    return _make_svg(parts, 2 * ROW_PX + height, f"{label} over time")


def step_line(
    starts_s: np.ndarray, end_s: float, values: np.ndarray, *, at_least: float = 0.0, height: int = 100
) -> tuple[list[tuple[int, float]], float, float]:
    """Compute the corners of the line of `draw_steps`, 1000 wide, and the values at its bottom and top.

    Args:
        starts_s: see `draw_steps`, seconds.
        end_s: see `draw_steps`, seconds.
        values: (n,), see `draw_steps`.
        at_least: a value that the chart includes.
        height: height of the plot, pixels.
    """
    columns = np.floor(starts_s / max(end_s, 1e-9) * COLUMNS).astype(int).clip(0, COLUMNS - 1)
    heights = np.full(COLUMNS, -np.inf)
    np.maximum.at(heights, columns, values)
    last = np.maximum.accumulate(np.where(np.isfinite(heights), np.arange(COLUMNS), 0))
    heights = heights[last]  # columns without a new value repeat the last one
    low, high = min(0.0, float(values.min())), max(float(values.max()), at_least)
    high = high if high > low else low + 1
    corners = [0, *(np.flatnonzero(np.diff(heights)) + 1).tolist(), COLUMNS]
    line = [
        (at, round(height * (1 - (float(heights[begin]) - low) / (high - low)), 2))
        for begin, end in itertools.pairwise(corners)
        for at in (begin, end)
    ]
    return line, low, high


def step_bands(spans_s: Iterable[tuple[float, float]], end_s: float) -> list[tuple[float, float]]:
    """Compute left ends and widths of spans in seconds in `draw_steps`, at least 2 of 1000 wide, to be visible."""
    scale = COLUMNS / max(end_s, 1e-9)
    return [(round(begin * scale, 2), round(max(2.0, (end - begin) * scale), 2)) for begin, end in spans_s]


def save_chart(svg: str, path: str | os.PathLike[str]) -> None:
    """Write a chart to an SVG file, atomically; raise `BadInput` if it cannot be written."""
    with atomic_path(path) as temporary:
        temporary.write_text(svg, encoding="utf-8")


def _make_svg(parts: Iterable[str], height: float, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ab" width="100%" height="{height:g}" role="img"'
        f' aria-label="{escape(label)}"><style>{_STYLE}</style>{"".join(parts)}</svg>'
    )


def _stretch(parts: Iterable[str], top: float, width: float, height: float) -> str:
    """Stretch elements to the width of the chart."""
    return (
        f'<svg x="0" y="{top}" width="100%" height="{height}" viewBox="0 0 {width} {height}"'
        f' preserveAspectRatio="none">{"".join(parts)}</svg>'
    )


def _draw_ticks(axis: Axis, at: float, anchor: str = "") -> list[str]:
    """Draw the labels of an axis; those at its ends stay inside the chart."""
    texts = []
    for value, text in axis.ticks:
        position = axis.place(value)
        side = anchor or ("start" if position < 4 else "end" if position > 96 else "middle")
        texts.append(f'<text class="muted" x="{position}%" y="{at}" text-anchor="{side}">{escape(text)}</text>')
    return texts


def _draw_mark(mark: Mark, axis: Axis, at: float) -> str:
    ends = ""
    if mark.interval:
        low, high = (axis.place(value) for value in mark.interval)
        ends = f'<line class="interval" x1="{low}%" x2="{high}%" y1="{at}" y2="{at}"/>'
    shape = f"<title>{escape(f'{mark.name} {mark.text}')}</title>{_draw_shape(mark)}"
    return f'<g class="c{mark.colour % COLOURS}">{ends}<svg x="{axis.place(mark.value)}%" y="{at}">{shape}</svg></g>'


def _draw_shape(mark: Mark) -> str:
    if mark.kind == "reference":
        return '<path class="reference" d="M0-8v16"/>'
    return f'<path class="{mark.kind}" d="{_SHAPES[mark.colour % COLOURS if mark.kind == "hollow" else 0]}"/>'
