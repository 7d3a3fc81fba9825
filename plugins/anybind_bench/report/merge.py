"""Merging results of several folders: one table a suite, one row a binding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anybind.plugin import BadInput
from anybind_bench.cell import Cell, State
from anybind_bench.results import SuiteResults
from anybind_bench.suite import Evaluation, Suite


@dataclass
class BindingResults:
    """The cells of one binding, by evaluation title and seed."""

    name: str
    binding: str
    path: Path
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)

    def is_compatible(self, cells: Iterable[Cell]) -> bool:
        """Return whether none of the cells has a different result here."""
        return not any(_have_different_results(self.cells.get((cell.title, cell.seed)), cell) for cell in cells)

    def add(self, cells: Iterable[Cell]) -> None:
        """Add cells; finished cells take precedence."""
        for cell in cells:
            previous = self.cells.get((cell.title, cell.seed))
            if previous is None or previous.state is not State.DONE:
                self.cells[cell.title, cell.seed] = cell


@dataclass(frozen=True)
class MergedResults:
    """The results of one suite: the evaluations of all runs, and one row a binding."""

    suite: Suite
    rows: tuple[BindingResults, ...]


def merge_results(runs: Iterable[SuiteResults]) -> list[MergedResults]:
    """Merge the runs of each suite, suites in order of first appearance.

    A binding has one row, unless two runs have different results for one cell (other weights under one name): then it
    has one row a run, with the folder's name in brackets.

    Raises:
        BadInput: two runs have different evaluations with the same title.
    """
    by_suite: dict[str, list[SuiteResults]] = {}
    for run in runs:
        by_suite.setdefault(run.suite.name, []).append(run)
    return [MergedResults(_merge_evaluations(runs), _group_by_binding(runs)) for runs in by_suite.values()]


def _merge_evaluations(runs: Sequence[SuiteResults]) -> Suite:
    """Return the first run's suite with the evaluations of all runs."""
    evaluations: dict[str, tuple[Evaluation, SuiteResults]] = {}
    for run in runs:
        for evaluation in run.suite.evaluations:
            previous, other = evaluations.setdefault(evaluation.title, (evaluation, run))
            if previous.serialize_definition() != evaluation.serialize_definition():
                raise BadInput(
                    f"{run.folder} and {other.folder}: different evaluations with the title {evaluation.title!r}"
                    f" (suite {run.suite.name!r}, of different versions or options); report the folders separately"
                )
    return replace(runs[0].suite, evaluations=tuple(evaluation for evaluation, _ in evaluations.values()))


def _group_by_binding(runs: Sequence[SuiteResults]) -> tuple[BindingResults, ...]:
    rows: list[BindingResults] = []
    for run in runs:
        for binding in dict.fromkeys(cell.binding for cell in run.cells):
            cells = [cell for cell in run.cells if cell.binding == binding]
            row = next((row for row in rows if row.binding == binding and row.is_compatible(cells)), None)
            if row is None:
                row = BindingResults(binding, binding, run.folder)
                rows.append(row)
            row.add(cells)
    for row in rows:
        if sum(other.binding == row.binding for other in rows) > 1:
            row.name = f"{row.binding} ({row.path.resolve().name})"
    order = list(dict.fromkeys(row.binding for row in rows))
    return tuple(sorted(rows, key=lambda row: order.index(row.binding)))


def _have_different_results(one: Cell | None, other: Cell) -> bool:
    if one is None or one.result is None or other.result is None:
        return False
    return one.identity != other.identity or one.result.metrics != other.result.metrics
