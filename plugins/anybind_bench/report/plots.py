"""Plots of a report: where ours lies beside published numbers, and curves that answers hold. Places are per cent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from anybind_bench.report.answers import Answer, Column, Section
from anybind_bench.report.grid import sure
from anybind_bench.report.numbers import as_printed, is_share, metric_title, ours
from anybind_bench.report.results import Cell

COLOURS = 6
"""Series of a colour, and others of a sign, of their own; further ones begin again."""
FAR = 2.0
"""How far below the others chance may lie to be drawn, in spans of the others."""
MARGIN = 3.0
"""Room at both ends of an axis, per cent of its length."""


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, with ticks at round numbers."""

    low: float
    high: float
    step: float
    margin: float = MARGIN

    @classmethod
    def around(cls, values: Iterable[float], margin: float = MARGIN) -> Axis:
        """An axis that holds all values, with 2 to 6 ticks."""
        found = list(values)
        low, high = min(found), max(found)
        span = (high - low) or abs(high) or 1.0
        power = 10 ** math.floor(math.log10(span / 4))
        step = next(power * each for each in (1, 2, 5, 10) if span / (power * each) <= 4)
        return cls(
            math.floor(low / step) * step, max(math.ceil(high / step), math.floor(low / step) + 1) * step, step, margin
        )

    def place(self, value: float) -> float:
        """Per cent of the way along the axis."""
        way = (value - self.low) / (self.high - self.low)
        return round(self.margin + (100 - 2 * self.margin) * way, 2)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and numbers."""
        count = round((self.high - self.low) / self.step)
        values = [self.low + self.step * number for number in range(count + 1)]
        return [(self.place(value), f"{round(value, 10):g}") for value in values]


@dataclass(frozen=True)
class Mark:
    """A number on a track: where it lies, from where to where it may lie, and of whom it is."""

    name: str
    told: str
    kind: str
    colour: int
    at: float
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Track:
    """Marks on one line."""

    label: str
    marks: list[Mark]


@dataclass(frozen=True)
class Panel:
    """The plot of a question: a line for each row of the table, or for each metric where there are several."""

    title: str
    metric: str
    tracks: list[Track]
    ticks: list[tuple[float, str]]
    legend: list[Mark]


@dataclass(frozen=True)
class Curve:
    """A line of a plot, its points as SVG has them in a square of 100."""

    name: str
    colour: int
    points: str
    dots: list[tuple[float, float]]


@dataclass(frozen=True)
class Curves:
    """A plot that an answer holds."""

    title: str
    x: str
    y: str
    lines: list[Curve]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class _Number:
    name: str
    kind: str
    colour: int
    value: float
    ends: tuple[float, float] | None
    told: str


def panels(section: Section) -> list[Panel]:
    """One for each question with a number of ours and one beside it: of its metrics, those that are shares."""
    found = []
    for question in section.suite.questions:
        held = [(at, column) for at, column in enumerate(section.columns) if column.question is question]
        shares = [(at, column) for at, column in held if column.share]
        numbers = {column: _numbers(section, at, column) for at, column in (shares if len(shares) > 1 else held[:1])}
        numbers = {column: each for column, each in numbers.items() if any(one.kind == "ours" for one in each)}
        if any(len(each) > 1 for each in numbers.values()):
            numbers = _without_far_chance(numbers)
            found.append(_panel(question.title, numbers))
    return found


def _numbers(section: Section, at: int, column: Column) -> list[_Number]:
    scale = 100 if column.share else 1
    found = [
        _Number(whose, "published", number % COLOURS, value * scale, None, as_printed(value, column.share))
        for number, (whose, numbers) in enumerate(section.published.items())
        if (value := numbers[at]) is not None
    ]
    if (chance := section.chance[at]) is not None:
        found.append(_Number("chance", "chance", 0, chance * scale, None, ours(chance, column.share)))
    for colour, each in enumerate(section.ours):
        answer = each.answers[at]
        if answer.value is not None:
            ends = _ends(answer)
            told = f"{ours(answer.value, column.share)} {sure(answer, column.share)}".strip()
            scaled = None if ends is None else (ends[0] * scale, ends[1] * scale)
            found.append(_Number(each.row.name, "ours", colour % COLOURS, answer.value * scale, scaled, told))
    return found


def _without_far_chance(numbers: dict[Column, list[_Number]]) -> dict[Column, list[_Number]]:
    """The numbers without what chance gives, where that lies so far off that the others could not be told apart."""
    others = [number.value for each in numbers.values() for number in each if number.kind != "chance"]
    chances = [number.value for each in numbers.values() for number in each if number.kind == "chance"]
    span = max(others) - min(others)
    if not chances or not span or min(others) - min(chances) <= FAR * span:
        return numbers
    return {column: [number for number in each if number.kind != "chance"] for column, each in numbers.items()}


def _ends(answer: Answer) -> tuple[float, float] | None:
    if answer.value is not None and answer.deviation is not None:
        return answer.value - answer.deviation, answer.value + answer.deviation
    return answer.interval


def _panel(title: str, numbers: Mapping[Column, Sequence[_Number]]) -> Panel:
    every = [number for each in numbers.values() for number in each]
    axis = Axis.around(value for number in every for value in (number.value, *(number.ends or ())))
    marks = {column: [_mark(number, axis) for number in each] for column, each in numbers.items()}
    columns = list(marks)
    if len(columns) == 1:
        # Lines have names here: published numbers need no signs of their own.
        plain = [replace(mark, colour=mark.colour if mark.kind == "ours" else 0) for mark in marks[columns[0]]]
        tracks = [Track(mark.name, [mark]) for mark in plain]
        return Panel(title, _unit(columns[0]), tracks, axis.ticks(), [])
    tracks = [Track(metric_title(column.metric), each) for column, each in marks.items()]
    legend = {mark.name: mark for each in marks.values() for mark in each}
    return Panel(title, "%", tracks, axis.ticks(), list(legend.values()))


def _unit(column: Column) -> str:
    return f"{metric_title(column.metric)}, %" if column.share else metric_title(column.metric)


def _mark(number: _Number, axis: Axis) -> Mark:
    ends = None if number.ends is None else (axis.place(number.ends[0]), axis.place(number.ends[1]))
    return Mark(number.name, number.told, number.kind, number.colour, axis.place(number.value), ends)


def curves(section: Section) -> list[Curves]:
    """The plots that answers of this section hold, by question, binding and seed."""
    found = []
    for question in section.suite.questions:
        for each in section.ours:
            cells = [cell for cell in each.row.cells.values() if cell.question == question.title]
            for cell in cells:
                seed = f", seed {cell.seed}" if len(cells) > 1 else ""
                drawn = _curves(cell, f"{question.title}, {each.row.name}{seed}")
                found += [drawn] if drawn else []
    return found


def _curves(cell: Cell, title: str) -> Curves | None:
    plot = ((cell.result or {}).get("details") or {}).get("plot")
    if not isinstance(plot, Mapping) or not isinstance(plot.get("series"), Mapping):
        return None
    series = {str(name): _points(points) for name, points in plot["series"].items()}
    series = {name: points for name, points in series.items() if points}
    if not series:
        return None
    x_label, y_label = str(plot.get("x", "")), str(plot.get("y", ""))
    heights = [y for points in series.values() for _, y in points]
    share = is_share(y_label, heights)
    scale = 100 if share else 1
    across = Axis.around((x for points in series.values() for x, _ in points), margin=0)
    up = Axis.around((scale * y for y in heights), margin=0)
    lines = []
    for number, (name, points) in enumerate(series.items()):
        places = [(across.place(x), round(100 - up.place(scale * y), 2)) for x, y in points]
        drawn = " ".join(f"{x},{y}" for x, y in places)
        lines.append(Curve(name, number % COLOURS, drawn, places if len(places) <= 30 else []))
    return Curves(title, x_label, f"{y_label}, %" if share else y_label, lines, across.ticks(), up.ticks())


def _points(points: Any) -> list[tuple[float, float]]:
    """Those points that are two finite numbers."""
    if not isinstance(points, Sequence) or isinstance(points, str):
        return []
    return [
        (float(point[0]), float(point[1]))
        for point in points
        if isinstance(point, Sequence)
        and len(point) == 2
        and all(isinstance(value, int | float) and math.isfinite(value) for value in point)
    ]
