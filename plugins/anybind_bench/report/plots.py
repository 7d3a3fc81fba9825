"""Charts of a report: our values beside published ones, and the curves of results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from anybind.plugin import charts
from anybind_bench.cell import Cell
from anybind_bench.report.answers import Answer, Column, Section
from anybind_bench.report.grid import sure
from anybind_bench.report.numbers import as_printed, is_share, metric_title, ours

FAR = 2.0
"""How far below the others the chance level may be to be drawn, in spans of the others."""
MARGIN = 3.0
"""Room at both ends of an axis, per cent of its length."""


@dataclass(frozen=True)
class Panel:
    """The chart of an evaluation: a track for each row of the table, or for each metric where there are several.

    Attributes:
        title, unit: its heading.
        tracks: marks by label; several on a track have a legend.
    """

    title: str
    unit: str
    tracks: list[tuple[str, list[charts.Mark]]]

    @property
    def svg(self) -> str:
        every = [mark for _, found in self.tracks for mark in found]
        axis = charts.Axis.around((value for each in every for value in (each.value, *(each.interval or ()))), MARGIN)
        return charts.draw_marks(self.tracks, axis, legend=any(len(found) > 1 for _, found in self.tracks))


@dataclass(frozen=True)
class Curves:
    """A chart of the curves of a result that have the same axes; shares in per cent.

    Attributes:
        title: its heading.
        x, y: labels of the axes.
        lines: points by name.
    """

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]

    @property
    def svg(self) -> str:
        return charts.draw_lines(self.lines, x=self.x, y=self.y)


def panels(section: Section) -> list[Panel]:
    """A panel for each evaluation with a value of ours and one beside it; of several metrics, those that are shares."""
    found = []
    for evaluation in section.suite.evaluations:
        own = [(at, column) for at, column in enumerate(section.columns) if column.evaluation is evaluation]
        shares = [(at, column) for at, column in own if column.share]
        marks = {column: _marks(section, at, column) for at, column in (shares if len(shares) > 1 else own[:1])}
        marks = {column: each for column, each in marks.items() if any(mark.kind == "filled" for mark in each)}
        if any(len(each) > 1 for each in marks.values()):
            found.append(_panel(evaluation.title, _without_far_chance(marks)))
    return found


def _marks(section: Section, at: int, column: Column) -> list[charts.Mark]:
    scale = 100 if column.share else 1
    found = [
        charts.Mark(name, value * scale, as_printed(value, column.share), "hollow", number)
        for number, (name, numbers) in enumerate(section.published.items())
        if (value := numbers[at]) is not None
    ]
    if (chance := section.chance[at]) is not None:
        found.append(charts.Mark("chance", chance * scale, ours(chance, column.share), "reference"))
    for colour, each in enumerate(section.ours):
        answer = each.answers[at]
        if answer.value is not None:
            ends = _ends(answer)
            text = f"{ours(answer.value, column.share)} {sure(answer, column.share)}".strip()
            scaled = None if ends is None else (ends[0] * scale, ends[1] * scale)
            found.append(charts.Mark(each.row.name, answer.value * scale, text, "filled", colour, scaled))
    return found


def _without_far_chance(marks: dict[Column, list[charts.Mark]]) -> dict[Column, list[charts.Mark]]:
    """The marks without the chance level, where that is so far off that the others could not be told apart."""
    others = [mark.value for each in marks.values() for mark in each if mark.kind != "reference"]
    chances = [mark.value for each in marks.values() for mark in each if mark.kind == "reference"]
    span = max(others) - min(others)
    if not chances or not span or min(others) - min(chances) <= FAR * span:
        return marks
    return {column: [mark for mark in each if mark.kind != "reference"] for column, each in marks.items()}


def _ends(answer: Answer) -> tuple[float, float] | None:
    if answer.value is not None and answer.deviation is not None:
        return answer.value - answer.deviation, answer.value + answer.deviation
    return answer.interval


def _panel(title: str, marks: dict[Column, list[charts.Mark]]) -> Panel:
    if len(marks) > 1:
        return Panel(title, "%", [(metric_title(column.metric), each) for column, each in marks.items()])
    [(column, found)] = marks.items()
    # Tracks have names here: published values need no shapes of their own, and texts no intervals.
    plain = [mark if mark.kind == "filled" else replace(mark, colour=0) for mark in found]
    short = [replace(mark, text=mark.text.partition(" ")[0]) for mark in plain]
    unit = f"{metric_title(column.metric)}, %" if column.share else metric_title(column.metric)
    return Panel(title, unit, [(mark.name, [mark]) for mark in short])


def curves(section: Section) -> list[Curves]:
    """The charts of the curves of this section's results, by evaluation, binding and seed."""
    found = []
    for evaluation in section.suite.evaluations:
        for each in section.ours:
            cells = [cell for cell in each.row.cells.values() if cell.title == evaluation.title]
            for cell in cells:
                seed = f", seed {cell.seed}" if len(cells) > 1 else ""
                found += _curves(cell, f"{evaluation.title}, {each.row.name}{seed}")
    return found


def _curves(cell: Cell, title: str) -> list[Curves]:
    groups: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for name, curve in (cell.result.curves if cell.result else {}).items():
        (x, across), (y, up) = list(curve.items())[:2]
        if points := _finite(across, up):
            groups.setdefault((x, y), {})[name] = points
    return [_chart(title, x, y, lines) for (x, y), lines in groups.items()]


def _chart(title: str, x: str, y: str, lines: dict[str, list[tuple[float, float]]]) -> Curves:
    share = is_share(y, [value for points in lines.values() for _, value in points])
    scaled = {name: [(a, 100 * b if share else b) for a, b in points] for name, points in lines.items()}
    label = metric_title(y)
    return Curves(title, metric_title(x), f"{label}, %" if share else label, scaled)


def _finite(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(xs, ys, strict=False) if math.isfinite(x) and math.isfinite(y)]
