"""The HTML page of a report: tables, footnotes, charts and the provenance of each value. One file, no script."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from anybind.plugin import pages
from anybind_bench.cell import Cell
from anybind_bench.report.layout import Footnotes, TableCell, TableLayout, layout_table, list_remarks
from anybind_bench.report.plots import make_curve_charts, make_metric_charts
from anybind_bench.report.table import SuiteTable

MAX_PROMPTS = 3


def write_page(path: Path, suite_tables: Sequence[SuiteTable]) -> None:
    """Write the page atomically.

    Raises:
        BadInput: the file cannot be written.
    """
    notes = Footnotes()
    pages.save_page(
        path,
        "anybind_bench",
        "report/page.html",
        title=", ".join(suite_table.suite.name for suite_table in suite_tables),
        sections=[_get_section_fields(suite_table, notes) for suite_table in suite_tables],
    )


def _get_section_fields(suite_table: SuiteTable, notes: Footnotes) -> dict[str, object]:
    n_notes = len(notes.texts)
    layout = layout_table(suite_table, notes)
    return {
        "suite": suite_table.suite,
        "headers": _group_headers(layout),
        "subheaders": [header for header in layout.headers if header.group],
        "rows": _get_row_fields(layout),
        "columns": len(layout.headers),
        "remarks": list_remarks(suite_table),
        "notes": list(enumerate(notes.texts, 1))[n_notes:],
        "has_published": bool(suite_table.published),
        "metric_charts": make_metric_charts(suite_table),
        "curve_charts": make_curve_charts(suite_table),
        "provenance": [
            _get_provenance(row.results.name, cell)
            for row in suite_table.binding_rows
            for cell in row.results.cells.values()
        ],
        "versions": _list_versions(suite_table),
    }


def _group_headers(layout: TableLayout) -> list[tuple[TableCell, int]]:
    """Group the headers of the first line, each with its column span; 0 for a header over both lines."""
    spans: list[tuple[TableCell, int]] = []
    for group, headers in groupby(layout.headers, key=lambda header: header.group):
        members = list(headers)
        if group:
            spans.append((TableCell(group, notes=members[0].group_notes), len(members)))
        else:
            spans += [(header, 0) for header in members]
    return spans


def _get_row_fields(layout: TableLayout) -> list[dict[str, object]]:
    """Return rows with the kind of each cell; the first row of a group has the group's header."""
    rows, previous = [], ""
    for label, cells in layout.rows:
        group = TableCell(label.group, notes=label.group_notes) if label.group and label.group != previous else None
        previous = label.group
        kinds = [label.kind or header.kind for header in layout.headers]
        rows.append({"label": label, "group": group, "cells": list(zip(cells, kinds, strict=True))})
    return rows


def _get_provenance(name: str, cell: Cell) -> dict[str, object]:
    """Return the settings behind one result."""
    result = cell.result
    prompts = result.prompts if result else ()
    n_more = len(prompts) - MAX_PROMPTS
    return {
        "title": cell.title,
        "name": name,
        "seed": cell.seed,
        "state": cell.state,
        "n": result and result.n,
        "gallery": (result and result.gallery_size) or None,
        "prompts": [*prompts[:MAX_PROMPTS], *([f"and {n_more} more"] if n_more > 0 else [])],
        "encoders": result.encoders if result else {},
        "identity": cell.identity or "",
    }


def _list_versions(suite_table: SuiteTable) -> list[tuple[str, str]]:
    """List package versions, with the rows they belong to if rows differ."""
    rows: dict[str, list[str]] = {}
    for row in suite_table.binding_rows:
        for cell in row.results.cells.values():
            if cell.result and cell.result.versions:
                text = ", ".join(f"{name} {version}" for name, version in cell.result.versions.items())
                rows.setdefault(text, []).append(row.results.name)
    if len(rows) == 1:
        return [("all results", next(iter(rows)))]
    return [(", ".join(dict.fromkeys(names)), text) for text, names in rows.items()]
