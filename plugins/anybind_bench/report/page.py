"""The page of a report: tables, footnotes, charts, and how each number was made. One file, no script."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from anybind.plugin import pages
from anybind_bench.cell import Cell
from anybind_bench.report.answers import Section
from anybind_bench.report.grid import Entry, Footnotes, Grid, grid, remarks
from anybind_bench.report.plots import curves, panels

SHOWN_PROMPTS = 3


def write_page(path: Path, sections: Sequence[Section]) -> None:
    """Write the page, whole or not at all.

    Raises:
        BadInput: the file cannot be written.
    """
    notes = Footnotes()
    pages.save_page(
        path,
        "anybind_bench",
        "report/page.html",
        title=", ".join(section.suite.name for section in sections),
        sections=[_section(section, notes) for section in sections],
    )


def _section(section: Section, notes: Footnotes) -> dict[str, object]:
    told = len(notes.texts)
    table = grid(section, notes)
    return {
        "suite": section.suite,
        "top": _top(table),
        "below": [head for head in table.heads if head.group],
        "rows": _rows(table),
        "columns": len(table.heads),
        "remarks": remarks(section),
        "notes": list(enumerate(notes.texts, 1))[told:],
        "published": bool(section.published),
        "panels": panels(section),
        "curves": curves(section),
        "made": [_made(each.row.name, cell) for each in section.ours for cell in each.row.cells.values()],
        "versions": _versions(section),
    }


def _top(table: Grid) -> list[tuple[Entry, int]]:
    """Heads of the first line, each with how many columns it is over; 0 where it has one and both lines."""
    found: list[tuple[Entry, int]] = []
    for group, heads in groupby(table.heads, key=lambda head: head.group):
        held = list(heads)
        if group:
            found.append((Entry(group, marks=held[0].group_marks), len(held)))
        else:
            found += [(head, 0) for head in held]
    return found


def _rows(table: Grid) -> list[dict[str, object]]:
    """Rows with the kind of each place; the first of a group says what the group is."""
    rows, former = [], ""
    for label, entries in table.rows:
        begins = Entry(label.group, marks=label.group_marks) if label.group and label.group != former else None
        former = label.group
        kinds = [label.kind or head.kind for head in table.heads]
        rows.append({"label": label, "begins": begins, "entries": list(zip(entries, kinds, strict=True))})
    return rows


def _made(row: str, cell: Cell) -> dict[str, object]:
    """How one result was made."""
    result = cell.result
    prompts = result.prompts if result else ()
    more = len(prompts) - SHOWN_PROMPTS
    return {
        "title": cell.title,
        "row": row,
        "seed": cell.seed,
        "state": cell.state,
        "n": result and result.n,
        "gallery": (result and result.gallery_size) or None,
        "prompts": [*prompts[:SHOWN_PROMPTS], *([f"and {more} more"] if more > 0 else [])],
        "encoders": result.encoders if result else {},
        "identity": cell.identity or "",
    }


def _versions(section: Section) -> list[tuple[str, str]]:
    """Packages and their versions, and the rows that they were of where not all are the same."""
    rows: dict[str, list[str]] = {}
    for each in section.ours:
        for cell in each.row.cells.values():
            if cell.result and cell.result.versions:
                text = ", ".join(f"{name} {version}" for name, version in cell.result.versions.items())
                rows.setdefault(text, []).append(each.row.name)
    if len(rows) == 1:
        return [("all results", next(iter(rows)))]
    return [(", ".join(dict.fromkeys(names)), text) for text, names in rows.items()]
