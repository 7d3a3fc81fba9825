"""Reports as Markdown, CSV and JSON, and on the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

from anybind.commandline import print_table, print_text
from anybind_bench.cell import Cell
from anybind_bench.report.formatting import format_difference, format_metric, format_published, format_value
from anybind_bench.report.layout import (
    Footnotes,
    TableCell,
    format_uncertainty,
    layout_table,
    list_footnotes,
    list_remarks,
)
from anybind_bench.report.table import SuiteTable, get_interval

TERMINAL_COLUMNS = ("evaluation", "value", "95 % interval", "n", "difference")
CSV_COLUMNS: tuple[str, ...] = (
    "suite", "evaluation", "binding", "run", "seed", "state", "metric", "value", "low", "high", "published_name",
    "published_value", "n", "gallery_size", "chance", "identity", "error",
)  # fmt: skip


FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""First characters of a formula in a spreadsheet: OWASP's list and its full-width forms, also after blanks."""


def format_markdown(suite_tables: Sequence[SuiteTable]) -> str:
    """Format the tables as GitHub-flavoured Markdown with footnotes."""
    notes = Footnotes()
    lines: list[str] = []
    for suite_table in suite_tables:
        layout = layout_table(suite_table, notes)
        headers = [_format_cell(head) for head in layout.headers]
        lines += [f"## {suite_table.suite.name}", ""]
        if suite_table.suite.summary:
            lines += [_escape_markdown(suite_table.suite.summary), ""]
        lines += [_format_markdown_row(["", *headers]), _format_markdown_row(["---", *["---:"] * len(headers)])]
        for label, entries in layout.rows:
            name = _format_cell(label)
            name = f"**{name}**" if label.kind == "measured" else name
            lines.append(_format_markdown_row([name, *(_format_cell(entry) for entry in entries)]))
        lines += ["", *(f"{_escape_markdown(line)}  " for line in list_remarks(suite_table)), ""]
    lines += [f"[^{number}]: {_escape_markdown(text)}" for number, text in enumerate(notes.texts, 1)]
    return "\n".join(lines).rstrip() + "\n"


def _format_markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _format_cell(cell: TableCell) -> str:
    """Format a table cell on one line."""
    notes = "".join(f"[^{mark}]" for mark in (*cell.group_notes, *cell.notes))
    name = f"{cell.group} {cell.text}" if cell.group else cell.text
    details = f" ({', '.join(cell.details)})" if cell.details else ""
    return _escape_markdown(name + details) + notes


def _escape_markdown(text: str) -> str:
    """Escape a text for Markdown, on one line."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def print_report(suite_tables: Sequence[SuiteTable]) -> None:
    """Print the tables on the terminal: one line a value, below the title of its evaluation and metric."""
    notes = Footnotes()
    for suite_table in suite_tables:
        rows = [row for position in range(len(suite_table.columns)) for row in _list_rows(suite_table, position, notes)]
        used = [column for column in range(len(TERMINAL_COLUMNS)) if any(row[column] for row in rows)]
        columns = [TERMINAL_COLUMNS[column] for column in used]
        print_table(columns, [[row[column] for column in used] for row in rows], suite_table.suite.name)
        for line in list_remarks(suite_table):
            print_text(line)
    for number, text in enumerate(notes.texts, 1):
        print_text(f"[{number}] {text}")


def _list_rows(suite_table: SuiteTable, position: int, notes: Footnotes) -> Iterator[tuple[str, ...]]:
    """List the terminal's rows of one evaluation and metric, with the columns `TERMINAL_COLUMNS`."""
    column = suite_table.columns[position]
    footnotes = _format_notes(notes.number_texts(list_footnotes(column, suite_table)))
    yield f"{column.evaluation.title}, {format_metric(column.metric)}{footnotes}", "", "", "", ""
    for method, published in suite_table.published.items():
        if published[position] is not None:
            yield f"  {method}", format_published(published[position], column.is_fraction), "", "", ""
    if suite_table.chance[position] is not None:
        yield "  chance", format_value(suite_table.chance[position], column.is_fraction), "", "", ""
    for row in suite_table.binding_rows:
        measured, difference = row.values[position], suite_table.compute_differences(row)[position]
        value = format_value(measured.value, column.is_fraction) + _format_notes(notes.number_texts(measured.reasons))
        yield (
            f"  {row.results.name}",
            value,
            format_uncertainty(measured, column.is_fraction),
            "" if measured.n is None else f"{measured.n:,}",
            "" if difference is None else f"{format_difference(difference, column.is_fraction)} ({row.reference})",
        )


def _format_notes(numbers: Sequence[int]) -> str:
    return "".join(f" [{number}]" for number in numbers)


def format_csv(suite_tables: Sequence[SuiteTable]) -> str:
    """Format the tables as CSV: one row a cell and metric, and one a published value; fractions from 0 to 1.

    Rows of cells hold the published value of the compared method; rows of published values leave the cells' columns
    empty. Texts that a spreadsheet would run as a formula, such as `=1+1`, begin with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for suite_table in suite_tables:
        for position, column in enumerate(suite_table.columns):
            column_fields = {
                "suite": suite_table.suite.name,
                "evaluation": column.evaluation.title,
                "metric": column.metric,
            }
            for method, published in suite_table.published.items():
                if published[position] is not None:
                    fields = {**column_fields, "published_name": method, "published_value": published[position]}
                    writer.writerow(_neutralise_formulas(fields))
            for row in suite_table.binding_rows:
                row_fields = {**column_fields, "run": row.results.name, "chance": row.values[position].chance}
                if references := suite_table.published.get(row.reference or ""):
                    row_fields |= {"published_name": row.reference, "published_value": references[position]}
                for cell in row.results.cells.values():
                    if cell.title == column.evaluation.title:
                        fields = {**row_fields, **_get_cell_fields(cell, column.metric)}
                        writer.writerow(_neutralise_formulas(fields))
    return text.getvalue()


def _neutralise_formulas(fields: Mapping[str, object]) -> dict[str, object]:
    """Put an apostrophe before texts that begin like a formula; numbers, also as texts, stay numbers."""
    neutral = dict(fields)
    for name, value in fields.items():
        if isinstance(value, str):
            text = value.replace("\r", " ")  # `csv` does not quote it, and it would end the row
            is_formula = (text[:1] == "\t" or text.lstrip().startswith(FORMULA_SIGNS)) and not _is_number(text)
            neutral[name] = f"'{text}" if is_formula else text
    return neutral


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _get_cell_fields(cell: Cell, metric: str) -> dict[str, object]:
    low, high = get_interval(cell, metric) or (None, None)
    return {
        "binding": cell.binding,
        "seed": cell.seed,
        "state": cell.state,
        "value": cell.get_value(metric),
        "low": low,
        "high": high,
        "n": cell.result and cell.result.n,
        "gallery_size": cell.result and cell.result.gallery_size,
        "identity": cell.identity,
        "error": cell.error,
    }


def to_json_fields(suite_tables: Sequence[SuiteTable]) -> list[dict[str, object]]:
    """Return the merged tables as JSON-like fields; fractions from 0 to 1."""
    return [_get_table_fields(suite_table) for suite_table in suite_tables]


def _get_table_fields(suite_table: SuiteTable) -> dict[str, object]:
    suite = suite_table.suite
    rows: list[dict[str, object]] = [
        {"kind": "published", "name": method, "values": list(published)}
        for method, published in suite_table.published.items()
    ]
    rows += [
        {
            "kind": "measured",
            "name": row.results.name,
            "binding": row.results.binding,
            "values": [asdict(value) for value in row.values],
            "reference": row.reference,
            "differences": suite_table.compute_differences(row),
        }
        for row in suite_table.binding_rows
    ]
    columns = [
        {
            "evaluation": column.evaluation.title,
            "metric": column.metric,
            "is_fraction": column.is_fraction,
            "source": column.evaluation.source or suite.source,
            "differences": list(column.evaluation.differences),
        }
        for column in suite_table.columns
    ]
    suite_fields = {
        "suite": suite.name,
        "summary": suite.summary,
        "source": suite.source,
        "differences": list(suite.differences),
    }
    return {**suite_fields, "columns": columns, "chance": list(suite_table.chance), "rows": rows}
