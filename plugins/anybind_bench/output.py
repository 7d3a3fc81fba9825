"""Output of `anybind bench` for suites and runs: table rows, lines and JSON fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypedDict

from anybind import AnybindError
from anybind_bench.cell import Cell, State
from anybind_bench.prepare import PreparedEvaluation
from anybind_bench.suite import SuiteSpec, find_suite
from anybind_bench.suite_run import SuiteRun


class SuiteSummary(TypedDict):
    """An installed suite as JSON fields; `data` holds dataset names by required folder."""

    name: str
    evaluations: int
    bindings: list[str]
    data: dict[str, list[str]]
    summary: str


def summarize_suite(spec: SuiteSpec) -> SuiteSummary:
    """Summarize an installed suite; an unreadable suite's summary is the reason."""
    try:
        suite = find_suite(spec.name)
    except AnybindError as error:
        return SuiteSummary(name=spec.name, evaluations=0, bindings=[], data={}, summary=f"broken: {error}")
    data: dict[str, list[str]] = {}
    for each in suite.evaluations:
        if not each.generated and each.dataset not in data.setdefault(each.path, []):
            data[each.path].append(each.dataset)
    summary, count = suite.summary or spec.summary, len(suite.evaluations)
    return SuiteSummary(name=spec.name, evaluations=count, bindings=list(suite.bindings), data=data, summary=summary)


def _group_cells(run: SuiteRun) -> Iterator[tuple[PreparedEvaluation, list[Cell]]]:
    for title, prepared in run.prepared.items():
        yield prepared, [cell for cell in run.cells if cell.title == title]


def list_plan_rows(run: SuiteRun) -> Iterator[tuple[str, ...]]:
    """List one row an evaluation: title, data folder, seeds, cell states."""
    for prepared, cells in _group_cells(run):
        evaluation = prepared.evaluation
        data = "generated" if evaluation.generated else evaluation.path
        data += " (missing)" if prepared.data_exists is False else ""
        seeds = ", ".join(map(str, evaluation.seeds))
        yield evaluation.title, data, seeds, _format_states(cells)


def _format_states(cells: Sequence[Cell]) -> str:
    counts = Counter(cell.state for cell in cells)
    states = [state for state in State if counts[state]]
    return states[0] if len(states) == 1 else ", ".join(f"{counts[state]} {state}" for state in states)


def list_result_rows(run: SuiteRun) -> Iterator[tuple[str, ...]]:
    """List a row an evaluation, then one a binding and metric: its mean over finished seeds, cell states."""
    for prepared, title_cells in _group_cells(run):
        yield prepared.evaluation.title, "", "", ""
        for name in run.bindings:
            cells = [cell for cell in title_cells if cell.binding == name]
            names, states = prepared.evaluation.metrics or (cells[0].main_metric or "",), _format_states(cells)
            for number, metric in enumerate(names):
                values = [value for cell in cells if (value := cell.get_value(metric)) is not None]
                value = f"{sum(values) / len(values):.4f}" if values else ""
                yield ("" if number else f"  {name}"), metric, value, ("" if number else states)


def format_cell(cell: Cell) -> str:
    """Format a finished cell on one line."""
    value = cell.main_value
    text = cell.error if value is None else f"{cell.main_metric} {value:.4f}"
    return f"{cell.state}: {cell}{f': {text}' if text else ''}"


def list_problems(run: SuiteRun) -> Iterator[str]:
    """List one line a failed cell, and one an evaluation with missing data."""
    for prepared, cells in _group_cells(run):
        for error in dict.fromkeys(cell.error for cell in cells if cell.state is State.MISSING):
            yield f"missing: {prepared.evaluation.title}: {error}"
        for cell in cells:
            if cell.state is State.FAILED:
                yield f"failed: {cell}: {cell.error}"


def get_run_fields(run: SuiteRun) -> dict[str, object]:
    """Return the plan and its cells as JSON fields."""
    numbers = {evaluation.title: number for number, evaluation in enumerate(run.suite.evaluations)}
    states = Counter(cell.state for cell in run.cells)
    return {
        "suite": run.suite.name,
        "results": str(run.store.folder),
        "plan": [
            {
                "evaluation": numbers[title],
                "title": title,
                "task": prepared.evaluation.task,
                "dataset": prepared.evaluation.dataset,
                "modality": prepared.evaluation.modality,
                "path": None if prepared.evaluation.generated else prepared.evaluation.path,
                "data_exists": prepared.data_exists,
                "seeds": list(prepared.evaluation.seeds),
            }
            for title, prepared in run.prepared.items()
        ],
        "bindings": list(run.bindings),
        "cells": [
            {
                "evaluation": numbers[cell.title],
                "binding": cell.binding,
                "seed": cell.seed,
                "identity": cell.identity,
                "state": cell.state,
                "error": cell.error,
                "main_metric": cell.main_metric,
                "value": cell.main_value,
            }
            for cell in run.cells
        ],
        "states": {state: states[state] for state in State},
    }
