"""Tables as text with footnotes, shared by the HTML page, Markdown and the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from anybind_bench.report.formatting import (
    DASH,
    format_difference,
    format_interval,
    format_metric,
    format_published,
    format_value,
)
from anybind_bench.report.table import BindingRow, Column, MetricValue, SuiteTable

MAX_COLUMNS = 8
"""Tables with more columns are transposed."""


class Footnotes:
    """Footnotes of a whole report, numbered from 1; equal texts share one number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number_texts(self, texts: Iterable[str]) -> tuple[int, ...]:
        """Return the footnote number of each text; add texts that are new."""
        numbers = []
        for text in texts:
            if text not in self.texts:
                self.texts.append(text)
            numbers.append(self.texts.index(text) + 1)
        return tuple(numbers)


@dataclass(frozen=True)
class TableCell:
    """A cell of the table.

    Attributes:
        text: main text.
        details: smaller lines below it.
        notes: footnote numbers.
        kind: kind of a row or column label: published, chance, measured, interval or difference.
        group: of a header, the evaluation that neighbouring metrics share.
        group_notes: footnote numbers of the group.
        sign: sign of a difference of fractions: -1, 0 or 1.
    """

    text: str
    details: tuple[str, ...] = ()
    notes: tuple[int, ...] = ()
    kind: str = ""
    group: str = ""
    group_notes: tuple[int, ...] = ()
    sign: int = 0


@dataclass(frozen=True)
class TableLayout:
    """Column headers, and rows of a label and one cell a column."""

    headers: list[TableCell]
    rows: list[tuple[TableCell, list[TableCell]]] = field(default_factory=list)

    def transpose(self) -> TableLayout:
        """Swap rows and columns."""
        columns = zip(*(entries for _, entries in self.rows), strict=True)
        return TableLayout([label for label, _ in self.rows], list(zip(self.headers, map(list, columns), strict=True)))


def layout_table(suite_table: SuiteTable, notes: Footnotes) -> TableLayout:
    """Lay out the table of a suite: one row a method or binding, one column an evaluation and metric.

    With more columns than `MAX_COLUMNS` the table is transposed; intervals and sample counts then have their own
    columns.
    """
    transposed = len(suite_table.columns) > MAX_COLUMNS
    layout = TableLayout([_make_header(column, suite_table, notes) for column in suite_table.columns])
    for method, published in suite_table.published.items():
        cells = [
            TableCell(format_published(number, column.is_fraction))
            for number, column in zip(published, suite_table.columns, strict=True)
        ]
        layout.rows.append((TableCell(method, kind="published"), cells))
    if any(number is not None for number in suite_table.chance):
        cells = [
            TableCell(format_value(*pair))
            for pair in zip(suite_table.chance, (c.is_fraction for c in suite_table.columns), strict=True)
        ]
        layout.rows.append((TableCell("chance", kind="chance"), cells))
    for row in suite_table.binding_rows:
        _add_binding_row(layout, suite_table, row, notes, transposed)
    return layout.transpose() if transposed else layout


def _make_header(column: Column, suite_table: SuiteTable, notes: Footnotes) -> TableCell:
    evaluation, numbers = column.evaluation, notes.number_texts(list_footnotes(column, suite_table))
    if len(evaluation.metrics) > 1:
        return TableCell(format_metric(column.metric), group=evaluation.title, group_notes=numbers)
    return TableCell(evaluation.title, details=(format_metric(column.metric),), notes=numbers)


def list_footnotes(column: Column, suite_table: SuiteTable) -> list[str]:
    """List an evaluation's footnotes: its source if not the suite's, and its differences to the source."""
    evaluation = column.evaluation
    own_source = evaluation.source if evaluation.source != suite_table.suite.source else ""
    return [*([f"published values: {own_source}"] if own_source else []), *evaluation.differences]


def _add_binding_row(
    layout: TableLayout, suite_table: SuiteTable, row: BindingRow, notes: Footnotes, transposed: bool
) -> None:
    are_fractions = [column.is_fraction for column in suite_table.columns]
    pairs = list(zip(row.values, are_fractions, strict=True))
    cells = [
        TableCell(
            format_value(answer.value, share),
            details=() if transposed else tuple(filter(None, (format_uncertainty(answer, share), format_n(answer)))),
            notes=notes.number_texts(answer.reasons),
        )
        for answer, share in pairs
    ]
    layout.rows.append((TableCell(row.results.name, kind="measured"), cells))
    if transposed and any(answer.interval or answer.deviation is not None for answer in row.values):
        label = TableCell(
            "95 % interval" if any(answer.interval for answer in row.values) else "deviation", kind="interval"
        )
        layout.rows.append((label, [TableCell(format_uncertainty(answer, share) or DASH) for answer, share in pairs]))
    if transposed:
        counts = [DASH if answer.n is None else f"{answer.n:,}" for answer in row.values]
        layout.rows.append((TableCell("n", kind="interval"), [TableCell(count) for count in counts]))
    if row.reference in suite_table.published:
        differences = list(zip(suite_table.compute_differences(row), are_fractions, strict=True))
        cells = [TableCell(format_difference(*pair), sign=_get_sign(*pair)) for pair in differences]
        layout.rows.append((TableCell(f"difference to {row.reference}", kind="difference"), cells))


def format_uncertainty(value: MetricValue, fraction: bool) -> str:
    """Format the confidence interval, or the standard deviation over seeds."""
    if value.deviation is not None:
        return f"± {format_value(value.deviation, fraction)}, {len(value.seeds)} seeds"
    return format_interval(value.interval, fraction)


def format_n(value: MetricValue) -> str:
    """Format the number of samples: `n = 1,741`."""
    return "" if value.n is None else f"n = {value.n:,}"


def _get_sign(value: float | None, fraction: bool) -> int:
    """Return the sign of a difference; 0 for metrics other than fractions, which may be better when lower."""
    return 0 if value is None or not fraction else (value > 0) - (value < 0)


def list_remarks(suite_table: SuiteTable) -> list[str]:
    """List the lines below a table: units, sources, and the suite's differences to them."""
    values = [value for row in suite_table.binding_rows for value in row.values]
    compared = any(row.reference in suite_table.published for row in suite_table.binding_rows)
    suffix = ", differences in percentage points" if compared else ""
    sentences = [
        f"Fractions are in per cent{suffix}." if any(column.is_fraction for column in suite_table.columns) else ""
    ]
    if any(value.interval for value in values):
        sentences.append("Intervals are 95 % confidence intervals.")
    if any(value.deviation is not None for value in values):
        sentences.append("Several seeds: mean ± standard deviation.")
    lines = [" ".join(filter(None, sentences))]
    if suite_table.suite.source and suite_table.published:
        lines.append(f"Published values: {suite_table.suite.source}.")
    return [line for line in (*lines, *suite_table.suite.differences) if line]
