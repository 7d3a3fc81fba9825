"""What `anybind bench` prints of suites and runs: rows of tables, lines, and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypedDict

from anybind import AnybindError
from anybind_bench.cell import Cell, State
from anybind_bench.prepare import Prepared
from anybind_bench.suite import SuiteSpec, find_suite
from anybind_bench.suite_run import SuiteRun


class SuiteRow(TypedDict):
    """An installed suite as JSON; `data` holds the datasets by the folder that they need."""

    name: str
    evaluations: int
    bindings: list[str]
    data: dict[str, list[str]]
    summary: str


def suite_row(spec: SuiteSpec) -> SuiteRow:
    """An installed suite as JSON; one that cannot be read is listed with the reason."""
    try:
        suite = find_suite(spec.name)
    except AnybindError as error:
        return SuiteRow(name=spec.name, evaluations=0, bindings=[], data={}, summary=f"broken: {error}")
    data: dict[str, list[str]] = {}
    for each in suite.evaluations:
        if not each.made and each.dataset not in data.setdefault(each.path, []):
            data[each.path].append(each.dataset)
    summary, count = suite.summary or spec.summary, len(suite.evaluations)
    return SuiteRow(name=spec.name, evaluations=count, bindings=list(suite.bindings), data=data, summary=summary)


def _groups(run: SuiteRun) -> Iterator[tuple[Prepared, list[Cell]]]:
    for title, prepared in run.prepared.items():
        yield prepared, [cell for cell in run.cells if cell.title == title]


def plan_rows(run: SuiteRun) -> Iterator[tuple[str, ...]]:
    """A row an evaluation: title, folder of its data, bindings, seeds, states of its cells."""
    for prepared, cells in _groups(run):
        evaluation = prepared.evaluation
        data = "generated" if evaluation.made else evaluation.path
        data += " (missing)" if prepared.data_found is False else ""
        seeds = ", ".join(map(str, evaluation.seeds))
        yield evaluation.title, data, ", ".join(run.bindings), seeds, _states(cells)


def _states(cells: Sequence[Cell]) -> str:
    counts = Counter(cell.state for cell in cells)
    found = [state for state in State if counts[state]]
    return found[0] if len(found) == 1 else ", ".join(f"{counts[state]} {state}" for state in found)


def result_rows(run: SuiteRun) -> Iterator[tuple[str, ...]]:
    """A row an evaluation and binding: the main metric, as the mean over the seeds that are done."""
    for prepared, every in _groups(run):
        for name in run.bindings:
            cells = [cell for cell in every if cell.binding == name]
            values = [value for cell in cells if (value := cell.main_value) is not None]
            value = f"{sum(values) / len(values):.4f}" if values else ""
            yield prepared.evaluation.title, name, cells[0].main_metric or "", value, _states(cells)


def cell_line(cell: Cell) -> str:
    """A finished cell in a line."""
    value = cell.main_value
    text = cell.error if value is None else f"{cell.main_metric} {value:.4f}"
    return f"{cell.state}: {cell}{f': {text}' if text else ''}"


def problems(run: SuiteRun) -> Iterator[str]:
    """A line for each failure, and for each evaluation whose data are missing."""
    for prepared, cells in _groups(run):
        for error in dict.fromkeys(cell.error for cell in cells if cell.state is State.MISSING):
            yield f"missing: {prepared.evaluation.title}: {error}"
        for cell in cells:
            if cell.state is State.FAILED:
                yield f"failed: {cell}: {cell.error}"


def json_fields(run: SuiteRun) -> dict[str, object]:
    """The plan and its cells."""
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
                "path": None if prepared.evaluation.made else prepared.evaluation.path,
                "there": prepared.data_found,
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
