"""Charts of a report: measured values beside published ones, and the curves of results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from anybind.plugin import pages
from anybind_bench.cell import Cell
from anybind_bench.report.formatting import format_metric, format_published, format_value, is_fraction
from anybind_bench.report.layout import format_uncertainty
from anybind_bench.report.table import Column, MetricValue, SuiteTable

MAX_CHANCE_DISTANCE = 2.0
"""Largest distance of a drawn chance level below the other values, in multiples of their range."""
MARGIN_PERCENT = 3.0
"""Margin at both ends of an axis, per cent of its length."""


@dataclass(frozen=True)
class MetricChart:
    """The chart of an evaluation: one track a table row, or one a metric if there are several.

    Attributes:
        title, unit: heading.
        tracks: label and marks of each; a track with several marks gets a legend.
    """

    title: str
    unit: str
    tracks: list[tuple[str, list[pages.Mark]]]

    @property
    def svg(self) -> str:
        marks = [mark for _, track in self.tracks for mark in track]
        values = (value for mark in marks for value in (mark.value, *(mark.interval or ())))
        axis = pages.Axis.around(values, MARGIN_PERCENT)
        return pages.draw_marks(self.tracks, axis, legend=any(len(track) > 1 for _, track in self.tracks))


@dataclass(frozen=True)
class CurveChart:
    """A chart of a result's curves with the same axes; fractions in per cent.

    Attributes:
        title: heading.
        x, y: axis labels.
        lines: points by name.
    """

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]

    @property
    def svg(self) -> str:
        return pages.draw_lines(self.lines, x=self.x, y=self.y)


def make_metric_charts(suite_table: SuiteTable) -> list[MetricChart]:
    """Make one chart an evaluation with a measured value and another to compare; several metrics: fractions only."""
    metric_charts = []
    for evaluation in suite_table.suite.evaluations:
        columns = [(at, column) for at, column in enumerate(suite_table.columns) if column.evaluation is evaluation]
        fractions = [(at, column) for at, column in columns if column.is_fraction]
        marks = {
            column: _make_marks(suite_table, at, column)
            for at, column in (fractions if len(fractions) > 1 else columns[:1])
        }
        marks = {column: each for column, each in marks.items() if any(mark.kind == "filled" for mark in each)}
        if any(len(each) > 1 for each in marks.values()):
            metric_charts.append(_make_metric_chart(evaluation.title, _drop_distant_chance(marks)))
    return metric_charts


def _make_marks(suite_table: SuiteTable, position: int, column: Column) -> list[pages.Mark]:
    scale = 100 if column.is_fraction else 1
    marks = [
        pages.Mark(name, value * scale, format_published(value, column.is_fraction), "hollow", number)
        for number, (name, numbers) in enumerate(suite_table.published.items())
        if (value := numbers[position]) is not None
    ]
    if (chance := suite_table.chance[position]) is not None:
        marks.append(pages.Mark("chance", chance * scale, format_value(chance, column.is_fraction), "reference"))
    for colour, row in enumerate(suite_table.binding_rows):
        measured = row.values[position]
        if measured.value is not None:
            bounds, fraction = _get_bounds(measured), column.is_fraction
            text = f"{format_value(measured.value, fraction)} {format_uncertainty(measured, fraction)}".strip()
            interval = None if bounds is None else (bounds[0] * scale, bounds[1] * scale)
            marks.append(pages.Mark(row.results.name, measured.value * scale, text, "filled", colour, interval))
    return marks


def _drop_distant_chance(marks: dict[Column, list[pages.Mark]]) -> dict[Column, list[pages.Mark]]:
    """Drop a chance level so distant that it would squeeze the other marks together."""
    others = [mark.value for each in marks.values() for mark in each if mark.kind != "reference"]
    chances = [mark.value for each in marks.values() for mark in each if mark.kind == "reference"]
    span = max(others) - min(others)
    if not chances or not span or min(others) - min(chances) <= MAX_CHANCE_DISTANCE * span:
        return marks
    return {column: [mark for mark in each if mark.kind != "reference"] for column, each in marks.items()}


def _get_bounds(value: MetricValue) -> tuple[float, float] | None:
    if value.value is not None and value.deviation is not None:
        return value.value - value.deviation, value.value + value.deviation
    return value.interval


def _make_metric_chart(title: str, marks: dict[Column, list[pages.Mark]]) -> MetricChart:
    if len(marks) > 1:
        return MetricChart(title, "%", [(format_metric(column.metric), each) for column, each in marks.items()])
    [(column, column_marks)] = marks.items()
    # Track labels name the values here: marks need no shapes of their own, and texts no intervals.
    plain = [mark if mark.kind == "filled" else replace(mark, colour=0) for mark in column_marks]
    short = [replace(mark, text=mark.text.partition(" ")[0]) for mark in plain]
    unit = f"{format_metric(column.metric)}, %" if column.is_fraction else format_metric(column.metric)
    return MetricChart(title, unit, [(mark.name, [mark]) for mark in short])


def make_curve_charts(suite_table: SuiteTable) -> list[CurveChart]:
    """Make the charts of the results' curves, by evaluation, binding and seed."""
    curve_charts = []
    for evaluation in suite_table.suite.evaluations:
        for row in suite_table.binding_rows:
            cells = [cell for cell in row.results.cells.values() if cell.title == evaluation.title]
            for cell in cells:
                seed = f", seed {cell.seed}" if len(cells) > 1 else ""
                curve_charts += _make_cell_charts(cell, f"{evaluation.title}, {row.results.name}{seed}")
    return curve_charts


def _make_cell_charts(cell: Cell, title: str) -> list[CurveChart]:
    groups: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for name, curve in (cell.result.curves if cell.result else {}).items():
        (x, across), (y, up) = list(curve.items())[:2]
        if points := _drop_nonfinite(across, up):
            groups.setdefault((x, y), {})[name] = points
    return [_make_curve_chart(title, x, y, lines) for (x, y), lines in groups.items()]


def _make_curve_chart(title: str, x: str, y: str, lines: dict[str, list[tuple[float, float]]]) -> CurveChart:
    fraction = is_fraction(y, [value for points in lines.values() for _, value in points])
    scaled = {name: [(a, 100 * b if fraction else b) for a, b in points] for name, points in lines.items()}
    label = format_metric(y)
    return CurveChart(title, format_metric(x), f"{label}, %" if fraction else label, scaled)


def _drop_nonfinite(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(xs, ys, strict=False) if math.isfinite(x) and math.isfinite(y)]
