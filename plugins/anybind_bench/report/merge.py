"""Merging the results of several folders: one table a suite, one row a binding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anybind.plugin import BadInput
from anybind_bench.cell import Cell, State
from anybind_bench.results import SuiteResults
from anybind_bench.suite import Evaluation, Suite


@dataclass
class Row:
    """The cells of one binding, by title of the evaluation and seed."""

    name: str
    binding: str
    path: Path
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)

    def takes(self, cells: Iterable[Cell]) -> bool:
        """Whether none of the cells has another result here."""
        return not any(_differ(self.cells.get((cell.title, cell.seed)), cell) for cell in cells)

    def add(self, cells: Iterable[Cell]) -> None:
        """Add cells; one that is done precedes one that is not."""
        for cell in cells:
            former = self.cells.get((cell.title, cell.seed))
            if former is None or former.state is not State.DONE:
                self.cells[cell.title, cell.seed] = cell


@dataclass(frozen=True)
class Merged:
    """The results of one suite: the evaluations of all runs, and a row for each binding."""

    suite: Suite
    rows: tuple[Row, ...]


def merge(runs: Iterable[SuiteResults]) -> list[Merged]:
    """Merge the runs of each suite, suites in the order in which they first come.

    A binding has one row, unless two runs have different results of one cell (other weights under one name): then it
    has one for each, and the folder stands in their names.

    Raises:
        BadInput: two runs have different evaluations of the same title.
    """
    by_suite: dict[str, list[SuiteResults]] = {}
    for run in runs:
        by_suite.setdefault(run.suite.name, []).append(run)
    return [Merged(_suite(runs), _rows(runs)) for runs in by_suite.values()]


def _suite(runs: Sequence[SuiteResults]) -> Suite:
    """The first run's suite, with the evaluations of all."""
    known: dict[str, tuple[Evaluation, SuiteResults]] = {}
    for run in runs:
        for evaluation in run.suite.evaluations:
            former, other = known.setdefault(evaluation.title, (evaluation, run))
            if former.core() != evaluation.core():
                raise BadInput(
                    f"{run.folder} and {other.folder}: two different evaluations are called {evaluation.title!r} (suite"
                    f" {run.suite.name!r}): another version of the suite, or other options; report them apart"
                )
    return replace(runs[0].suite, evaluations=tuple(evaluation for evaluation, _ in known.values()))


def _rows(runs: Sequence[SuiteResults]) -> tuple[Row, ...]:
    rows: list[Row] = []
    for run in runs:
        for binding in dict.fromkeys(cell.binding for cell in run.cells):
            cells = [cell for cell in run.cells if cell.binding == binding]
            row = next((row for row in rows if row.binding == binding and row.takes(cells)), None)
            if row is None:
                row = Row(binding, binding, run.folder)
                rows.append(row)
            row.add(cells)
    for row in rows:
        if sum(other.binding == row.binding for other in rows) > 1:
            row.name = f"{row.binding} ({row.path.resolve().name})"
    order = list(dict.fromkeys(row.binding for row in rows))
    return tuple(sorted(rows, key=lambda row: order.index(row.binding)))


def _differ(one: Cell | None, other: Cell) -> bool:
    if one is None or one.result is None or other.result is None:
        return False
    return one.identity != other.identity or one.result.metrics != other.result.metrics
