"""Reports as Markdown, as CSV, as JSON, and on the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

import typer

from anybind.commandline import print_table
from anybind_bench.cell import Cell
from anybind_bench.report.answers import Section, interval
from anybind_bench.report.grid import Entry, Footnotes, footnotes, grid, remarks, sure
from anybind_bench.report.numbers import as_printed, difference, metric_title, ours

HEADS = ("evaluation", "metric", "of", "value", "95 % interval", "n", "difference")
CSV_COLUMNS: tuple[str, ...] = (
    "suite", "evaluation", "binding", "run", "seed", "state", "metric", "value", "low", "high", "published_name",
    "published_value", "n", "gallery_size", "chance", "identity", "error",
)  # fmt: skip


def markdown(sections: Sequence[Section]) -> str:
    """The tables as GitHub reads them, with footnotes."""
    notes = Footnotes()
    parts: list[str] = []
    for section in sections:
        table = grid(section, notes)
        heads = [_joined(head) for head in table.heads]
        parts += [f"## {section.suite.name}", ""]
        if section.suite.summary:
            parts += [_plain(section.suite.summary), ""]
        parts += [_line(["", *heads]), _line(["---", *["---:"] * len(heads)])]
        for label, entries in table.rows:
            name = _joined(label)
            name = f"**{name}**" if label.kind == "ours" else name
            parts.append(_line([name, *(_joined(entry) for entry in entries)]))
        parts += ["", *(f"{_plain(line)}  " for line in remarks(section)), ""]
    parts += [f"[^{number}]: {_plain(text)}" for number, text in enumerate(notes.texts, 1)]
    return "\n".join(parts).rstrip() + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _joined(entry: Entry) -> str:
    """An entry on one line."""
    marks = "".join(f"[^{mark}]" for mark in (*entry.group_marks, *entry.marks))
    name = f"{entry.group} {entry.text}" if entry.group else entry.text
    more = f" ({', '.join(entry.more)})" if entry.more else ""
    return _plain(name + more) + marks


def _plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def show(sections: Sequence[Section]) -> None:
    """Print the tables on the terminal: a line for each number, which any terminal is wide enough for."""
    notes = Footnotes()
    for section in sections:
        lines = _lines(section, notes)
        used = [at for at in range(len(HEADS)) if any(line[at] for line in lines)]
        rows = [[line[at] for at in used] for line in _blanked(lines)]
        print_table([HEADS[at] for at in used], rows, section.suite.name)
        for line in remarks(section):
            typer.echo(line)
    for number, text in enumerate(notes.texts, 1):
        typer.echo(f"[{number}] {text}")


def _lines(section: Section, notes: Footnotes) -> list[Sequence[str]]:
    lines: list[Sequence[str]] = []
    for at, column in enumerate(section.columns):
        title = column.evaluation.title + _marked(notes.marks(footnotes(column, section)))
        about = (title, metric_title(column.metric))
        for whose, numbers in section.published.items():
            if numbers[at] is not None:
                lines.append((*about, whose, as_printed(numbers[at], column.share), "", "", ""))
        if section.chance[at] is not None:
            lines.append((*about, "chance", ours(section.chance[at], column.share), "", "", ""))
        for each in section.ours:
            answer, apart = each.answers[at], section.differences(each)[at]
            told = "" if apart is None else f"{difference(apart, column.share)} ({each.against})"
            value = ours(answer.value, column.share) + _marked(notes.marks(answer.reasons))
            n = "" if answer.n is None else f"{answer.n:,}"
            lines.append((*about, each.row.name, value, sure(answer, column.share), n, told))
    return lines


def _blanked(lines: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Lines without the evaluation, and the metric, that the line before has too."""
    former: Sequence[str] = ("", "")
    for line in lines:
        evaluation, metric = line[:2]
        same = evaluation == former[0]
        yield ["" if same else evaluation, "" if same and metric == former[1] else metric, *line[2:]]
        former = line


def _marked(numbers: Sequence[int]) -> str:
    return "".join(f" [{number}]" for number in numbers)


def comma_separated(sections: Sequence[Section]) -> str:
    """A row for each cell and metric, and one for each published number; numbers as they are, shares 0 to 1.

    In rows of ours the published number is that which it is held against; in rows of published numbers the columns of
    ours are empty.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for section in sections:
        for at, column in enumerate(section.columns):
            about = {"suite": section.suite.name, "evaluation": column.evaluation.title, "metric": column.metric}
            for whose, numbers in section.published.items():
                if numbers[at] is not None:
                    writer.writerow({**about, "published_name": whose, "published_value": numbers[at]})
            for each in section.ours:
                against = section.published.get(each.against or "")
                theirs = {} if against is None else {"published_name": each.against, "published_value": against[at]}
                for cell in each.row.cells.values():
                    if cell.title == column.evaluation.title:
                        told = {"run": each.row.name, "chance": each.answers[at].chance}
                        writer.writerow({**about, **theirs, **told, **_cell_fields(cell, column.metric)})
    return text.getvalue()


def _cell_fields(cell: Cell, metric: str) -> dict[str, object]:
    low, high = interval(cell, metric) or (None, None)
    return {
        "binding": cell.binding,
        "seed": cell.seed,
        "state": cell.state,
        "value": cell.value(metric),
        "low": low,
        "high": high,
        "n": cell.result and cell.result.n,
        "gallery_size": cell.result and cell.result.gallery_size,
        "identity": cell.identity,
        "error": cell.error,
    }


def fields_of(sections: Sequence[Section]) -> list[dict[str, object]]:
    """The merged tables, JSON-like; numbers as they are, shares 0 to 1."""
    return [_fields(section) for section in sections]


def _fields(section: Section) -> dict[str, object]:
    suite = section.suite
    rows: list[dict[str, object]] = [
        {"kind": "published", "name": whose, "values": list(numbers)} for whose, numbers in section.published.items()
    ]
    for each in section.ours:
        against = {"against": each.against, "differences": section.differences(each)}
        answers = [asdict(answer) for answer in each.answers]
        rows.append({"kind": "ours", "name": each.row.name, "binding": each.row.binding, "answers": answers, **against})
    columns = [
        {
            "evaluation": column.evaluation.title,
            "metric": column.metric,
            "share": column.share,
            "source": column.evaluation.source or suite.source,
            "differs": list(column.evaluation.differs),
        }
        for column in section.columns
    ]
    about = {"suite": suite.name, "summary": suite.summary, "source": suite.source, "differs": list(suite.differs)}
    return {**about, "columns": columns, "chance": list(section.chance), "rows": rows}
