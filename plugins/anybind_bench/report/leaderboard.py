"""A leaderboard: bindings by tasks over many results, on one HTML page that needs no network and no script."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anybind import AnybindError
from anybind.plugin import BadInput, BadOption, BindingSpec, files, find_part, pages, tables
from anybind_bench.encoders import merge_identities
from anybind_bench.report.formatting import DASH, format_interval, format_metric, format_value
from anybind_bench.report.merge import merge_results
from anybind_bench.report.table import BindingRow, Column, MetricValue, SuiteTable, build_table
from anybind_bench.results import RESULTS_FILE, SuiteResults, read_results
from anybind_bench.submissions import CheckedSubmission, check_submissions, read_submission

UNKNOWN = "unknown"
LOWER_IS_BETTER = {"rank", "loss", "seconds", "s", "ms", "error"}
"""Words in the names of metrics whose lower values are better."""


@dataclass(frozen=True, eq=False)
class LeaderboardTask:
    """A column: the main metric of an evaluation of a suite.

    Attributes:
        suite: name of the suite.
        column: the evaluation, its metric and how it is printed.
        modalities: modalities of the samples, and of what is retrieved.
        lower_is_better: whether lower values are better.
    """

    suite: str
    column: Column
    modalities: tuple[str, ...]
    lower_is_better: bool


@dataclass(frozen=True, eq=False)
class LeaderboardRow:
    """A row: a binding.

    Attributes:
        name: name of the binding; with the source in brackets, if two have the name and differ.
        licence: licence of the weights; `unknown` if no source states it.
        values: one a task.
        borda: Borda count: over all tasks, the number of bindings with a value that it outperforms.
        provenance: what the sources state: encoder identities, command, date, versions.
    """

    name: str
    licence: str
    values: tuple[MetricValue, ...]
    borda: int
    provenance: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Leaderboard:
    """Bindings by tasks; rows in order of their Borda count."""

    tasks: tuple[LeaderboardTask, ...]
    rows: tuple[LeaderboardRow, ...]

    def to_json_fields(self) -> dict[str, object]:
        """Return the tasks and rows as JSON-like fields; fractions from 0 to 1."""
        tasks = [
            {
                "suite": task.suite,
                "title": task.column.evaluation.title,
                "metric": task.column.metric,
                "modalities": list(task.modalities),
            }
            for task in self.tasks
        ]
        rows = [
            {
                "binding": row.name,
                "licence": row.licence,
                "borda": row.borda,
                "values": [value.value for value in row.values],
            }
            for row in self.rows
        ]
        return {"tasks": tasks, "rows": rows}


Source = SuiteResults | CheckedSubmission | str | os.PathLike[str]


def write_leaderboard(sources: Source | Sequence[Source], output: str | os.PathLike[str]) -> Leaderboard:
    """Write a leaderboard as one static HTML page: sortable, and filterable by modality and licence.

    Args:
        sources: see `build_leaderboard`.
        output: the page (.html).

    Raises:
        BadOption: unsupported suffix.
        BadInput: see `build_leaderboard`, or the file cannot be written.
    """
    path = Path(output)
    if path.suffix.lower() != ".html":
        raise BadOption(f"{path}: expected a leaderboard file ending in .html")
    files.check_output(path)
    leaderboard = build_leaderboard(sources)
    pages.save_page(path, "anybind_bench", "report/leaderboard.html", **_get_page_fields(leaderboard))
    return leaderboard


def build_leaderboard(sources: Source | Sequence[Source]) -> Leaderboard:
    """Merge results into a table of bindings by tasks.

    Args:
        sources: results of `run_suite` or their folders, or files or folders of submissions.

    Raises:
        BadInput: a source is not valid, or two have different evaluations of one suite with one title.
    """
    is_single = isinstance(sources, SuiteResults | CheckedSubmission | str | os.PathLike)
    listed = [sources] if is_single else sources
    read = [each for source in listed for each in _read_source(source)]
    suite_tables = [build_table(merged) for merged in merge_results([each for each, _ in read])]
    submissions = [submission for _, submission in read if submission is not None]
    positions = [(table, number) for table in suite_tables for number in _list_main_columns(table)]
    tasks = tuple(_make_task(table, number) for table, number in positions)
    rows_by_name: dict[str, dict[int, BindingRow]] = {}
    for table in suite_tables:
        for row in table.binding_rows:
            rows_by_name.setdefault(_choose_name(row, rows_by_name), {})[id(table)] = row
    values = {
        name: tuple(
            rows[id(table)].values[number] if id(table) in rows else MetricValue() for table, number in positions
        )
        for name, rows in rows_by_name.items()
    }
    borda = _count_outperformed(tasks, values)
    rows = [
        LeaderboardRow(name, _find_licence(own, submissions), values[name], borda[name], _describe(own, submissions))
        for name, own in ((name, list(rows.values())) for name, rows in rows_by_name.items())
    ]
    return Leaderboard(tasks, tuple(sorted(rows, key=lambda row: (-row.borda, row.name))))


def _choose_name(row: BindingRow, rows_by_name: Mapping[str, Mapping[int, BindingRow]]) -> str:
    """Return the row's name, with a hash of its encoders if rows of that name have other encoders."""
    name, encoders = row.results.name, _collect_encoders([row])
    others = _collect_encoders(list(rows_by_name.get(name, {}).values()))
    if any(merge_identities(others.get(each, identity), identity) is None for each, identity in encoders.items()):
        return f"{name} ({tables.hash_settings(encoders)[:6]})"
    return name


def _collect_encoders(rows: Sequence[BindingRow]) -> dict[str, str]:
    """Return the identity of each encoder of finished cells, by modality."""
    results = [cell.result for row in rows for cell in row.results.cells.values() if cell.result]
    encoders: dict[str, str] = {}
    for result in results:
        for modality, identity in result.encoders.items():
            encoders[modality] = merge_identities(encoders.get(modality, identity), identity) or identity
    return encoders


def _read_source(source: Source) -> list[tuple[SuiteResults, CheckedSubmission | None]]:
    if isinstance(source, SuiteResults):
        return [(source, None)]
    if isinstance(source, CheckedSubmission):
        return [(source.results, source)]
    path = Path(source)
    if (path / RESULTS_FILE).exists() or path.name == RESULTS_FILE:
        return [(read_results(path), None)]
    if path.is_dir():
        valid, problems = check_submissions(path)
        if problems or not valid:
            more = (
                f" (and {len(problems) - 1} more problems: `anybind bench check-results`)" if len(problems) > 1 else ""
            )
            raise BadInput(f"{problems[0]}{more}" if problems else f"{path}: no results")
        return [(each.results, each) for each in valid]
    checked = read_submission(path)
    return [(checked.results, checked)]


def _list_main_columns(table: SuiteTable) -> list[int]:
    """Return the first column of each evaluation that has a value."""
    first: dict[str, int] = {}
    for number, column in enumerate(table.columns):
        first.setdefault(column.evaluation.title, number)
    return [
        number for number in first.values() if any(row.values[number].value is not None for row in table.binding_rows)
    ]


def _make_task(table: SuiteTable, number: int) -> LeaderboardTask:
    column = table.columns[number]
    evaluation, target = column.evaluation, column.evaluation.options.get("to")
    modalities: list[str] = [evaluation.modality, *([target] if isinstance(target, str) and target else [])]
    words = set(re.split(r"[^a-z]+", column.metric.lower()))
    return LeaderboardTask(table.suite.name, column, tuple(dict.fromkeys(modalities)), bool(words & LOWER_IS_BETTER))


def _count_outperformed(
    tasks: Sequence[LeaderboardTask], values: Mapping[str, Sequence[MetricValue]]
) -> dict[str, int]:
    """Count, over all tasks, the bindings that each binding outperforms; a missing value outperforms none."""
    counts = dict.fromkeys(values, 0)
    for number, task in enumerate(tasks):
        sign = -1 if task.lower_is_better else 1
        scores = {name: sign * value for name, row in values.items() if (value := row[number].value) is not None}
        for name, score in scores.items():
            counts[name] += sum(score > other for other in scores.values())
    return counts


def _find_licence(rows: Sequence[BindingRow], submissions: Sequence[CheckedSubmission]) -> str:
    """Return the licence that submissions state, or else the installed binding of this name."""
    names = {row.results.binding for row in rows}
    stated = dict.fromkeys(each.submission.licence for each in submissions if each.submission.binding in names)
    if stated:
        return ", ".join(stated)
    try:
        return find_part(BindingSpec, rows[0].results.binding.partition(":")[0]).spec.weights_licence or UNKNOWN
    except AnybindError:
        return UNKNOWN


def _describe(rows: Sequence[BindingRow], submissions: Sequence[CheckedSubmission]) -> tuple[tuple[str, str], ...]:
    """Return what is known of the origin of a row's values, as pairs of a name and a text."""
    results = [cell.result for row in rows for cell in row.results.cells.values() if cell.result]
    versions = {name: version for result in results for name, version in result.versions.items()}
    names = {row.results.binding for row in rows}
    own = [each.submission for each in submissions if each.submission.binding in names]
    return (
        *((f"{modality} encoder", identity) for modality, identity in _collect_encoders(rows).items()),
        *(("command", each.command) for each in own),
        *(("date", day) for day in dict.fromkeys(each.date for each in own)),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or UNKNOWN),
    )


def _get_page_fields(leaderboard: Leaderboard) -> dict[str, object]:
    best = [_find_best(leaderboard, number) for number in range(len(leaderboard.tasks))]
    suites = dict.fromkeys(task.suite for task in leaderboard.tasks)
    return {
        "suites": [(suite, sum(task.suite == suite for task in leaderboard.tasks)) for suite in suites],
        "tasks": [
            {
                "title": task.column.evaluation.title,
                "suite": task.suite,
                "metric": format_metric(task.column.metric) + (" ↓" if task.lower_is_better else ""),
                "modalities": task.modalities,
                "sign": -1 if task.lower_is_better else 1,
            }
            for task in leaderboard.tasks
        ],
        "modalities": sorted({name for task in leaderboard.tasks for name in task.modalities}),
        "licences": sorted({row.licence for row in leaderboard.rows}),
        "rows": [
            {
                "row": row,
                "count": sum(value.value is not None for value in row.values),
                "cells": [
                    _get_cell_fields(value, task, best[number])
                    for number, (value, task) in enumerate(zip(row.values, leaderboard.tasks, strict=True))
                ],
            }
            for row in leaderboard.rows
        ],
    }


def _find_best(leaderboard: Leaderboard, number: int) -> float | None:
    values = [value for row in leaderboard.rows if (value := row.values[number].value) is not None]
    choose = min if leaderboard.tasks[number].lower_is_better else max
    return choose(values, default=None)


def _get_cell_fields(value: MetricValue, task: LeaderboardTask, best: float | None) -> dict[str, object]:
    is_fraction = task.column.is_fraction
    return {
        "value": "" if value.value is None else repr(value.value),
        "text": DASH if value.value is None else format_value(value.value, is_fraction),
        "interval": format_interval(value.interval, is_fraction),
        "is_best": value.value is not None and value.value == best,
        "reason": "; ".join(value.reasons) if value.value is None else "",
        "modalities": task.modalities,
    }
