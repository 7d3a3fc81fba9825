"""What is told of plans and runs: rows of tables, lines, and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from anybind import AnybindError
from anybind_bench.plan import DONE, FAILED, MISSING, NOT_APPLICABLE, TO_DO, Cell, Plan, Ready
from anybind_bench.store import Results
from anybind_bench.suite import SuiteSpec, find_suite

STATES = (DONE, TO_DO, FAILED, MISSING, NOT_APPLICABLE)


def suite_row(spec: SuiteSpec) -> dict[str, Any]:
    """What is told of an installed suite; one that cannot be read is listed with the reason."""
    row: dict[str, Any] = {"name": spec.name, "questions": 0, "bindings": [], "data": {}, "summary": spec.summary}
    try:
        suite = find_suite(spec.name)
    except AnybindError as error:
        return {**row, "summary": f"broken: {error}"}
    data: dict[str, list[str]] = {}
    for question in suite.questions:
        if not question.made and question.dataset not in data.setdefault(question.path, []):
            data[question.path].append(question.dataset)
    row |= {"questions": len(suite.questions), "bindings": list(suite.bindings), "data": data}
    return {**row, "summary": suite.summary or spec.summary}


def plan_rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    """A row a question: title, folder of its data and whether it is there, bindings, seeds, states of its cells."""
    for number, ready in plan.questions.items():
        cells = [cell for cell in plan.cells if cell.number == number]
        yield (
            ready.question.title,
            _data(ready),
            ", ".join(dict.fromkeys(cell.binding for cell in cells)),
            ", ".join(map(str, ready.question.seeds)),
            _states(cells),
        )


def _data(ready: Ready) -> str:
    if ready.there is None:
        return "made by itself"
    return ready.question.path if ready.there else f"{ready.question.path} (not there)"


def _states(cells: list[Cell]) -> str:
    counts = Counter(cell.state for cell in cells)
    told = [state for state in STATES if counts[state]]
    return told[0] if len(told) == 1 else ", ".join(f"{counts[state]} {state}" for state in told)


def answers(plan: Plan) -> Iterator[tuple[str, ...]]:
    """A row a question and binding: the main metric, as the mean over the seeds that are done."""
    for number, ready in plan.questions.items():
        for named in plan.bindings:
            cells = [cell for cell in plan.cells if (cell.number, cell.binding) == (number, named.name)]
            values = [value for cell in cells if (value := main_value(cell)) is not None]
            metric = cells[0].main_metric or ""
            value = f"{sum(values) / len(values):.4f}" if values else ""
            yield ready.question.title, named.name, metric, value, _states(cells)


def main_value(cell: Cell) -> float | None:
    """The main metric of a cell that is done; None where the task left it out."""
    return (cell.result or {}).get("metrics", {}).get(cell.main_metric)


def cell_line(plan: Plan, cell: Cell) -> str:
    """One cell as it is settled."""
    value = main_value(cell)
    told = cell.error if value is None else f"{cell.main_metric} {value:.4f}"
    return f"{cell.state}: {_called(plan, cell)}{f': {told}' if told else ''}"


def problems(plan: Plan) -> Iterator[str]:
    """A line for each failure, and for each question whose data are missing."""
    for number, ready in plan.questions.items():
        cells = [cell for cell in plan.cells if cell.number == number]
        for error in dict.fromkeys(cell.error for cell in cells if cell.state == MISSING):
            yield f"missing: {ready.question.title}: {error}"
        for cell in cells:
            if cell.state == FAILED:
                yield f"failed: {_called(plan, cell)}: {cell.error}"


def _called(plan: Plan, cell: Cell) -> str:
    return f"{plan.questions[cell.number].question.title}, {cell.binding}, seed {cell.seed}"


def json_fields(plan: Plan, results: Results, embedded: Mapping[str, int] | None = None) -> dict[str, Any]:
    """The plan and its cells; with `embedded`, how many items were, once it has run."""
    states = Counter(cell.state for cell in plan.cells)
    fields: dict[str, Any] = {
        "suite": plan.suite.name,
        "results": str(results.folder),
        "plan": [
            {
                "question": number,
                "title": ready.question.title,
                "task": ready.question.task,
                "dataset": ready.question.dataset,
                "modality": ready.question.modality,
                "path": None if ready.question.made else ready.question.path,
                "there": ready.there,
                "seeds": list(ready.question.seeds),
            }
            for number, ready in plan.questions.items()
        ],
        "bindings": [named.name for named in plan.bindings],
        "cells": [
            {
                "question": cell.number,
                "binding": cell.binding,
                "seed": cell.seed,
                "identity": cell.identity,
                "state": cell.state,
                "error": cell.error,
                "main_metric": cell.main_metric,
                "value": main_value(cell),
            }
            for cell in plan.cells
        ],
        "states": {state: states[state] for state in STATES},
    }
    return fields if embedded is None else {**fields, "embedded": dict(embedded)}
