"""The values of a report: published ones, ours with their intervals, and why a value is missing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from anybind import AnybindError, Result
from anybind.plugin import TaskSpec, find_part
from anybind_bench.cell import Cell, State
from anybind_bench.report.merge import Merged, Row
from anybind_bench.report.numbers import is_share
from anybind_bench.suite import Evaluation, Suite

NO_ENCODER = "the binding has no encoder for what the task needs"
NOT_EVALUATED = "not evaluated in these results"


@dataclass(frozen=True)
class Answer:
    """Our value of one evaluation and metric.

    Attributes:
        value: the metric; the mean over several seeds; None where there is none.
        interval: its 95 % interval, of one seed.
        deviation: standard deviation over seeds, where there are several.
        seeds: those that are in the value.
        n, gallery: samples and candidates, where they are the same for all seeds.
        chance: the chance level, where the result has it.
        reasons: why the value, or a seed of it, is missing.
    """

    value: float | None = None
    interval: tuple[float, float] | None = None
    deviation: float | None = None
    seeds: tuple[int, ...] = ()
    n: int | None = None
    gallery: int | None = None
    chance: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Column:
    """A evaluation and one of its metrics."""

    evaluation: Evaluation
    metric: str
    share: bool


@dataclass(frozen=True)
class Ours:
    """One row of ours: an answer for each column, and the published method that they are compared with."""

    row: Row
    against: str | None
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Section:
    """The table of one suite; rows have one value for each column."""

    suite: Suite
    columns: tuple[Column, ...]
    published: Mapping[str, tuple[float | None, ...]]
    chance: tuple[float | None, ...]
    ours: tuple[Ours, ...]

    def differences(self, ours: Ours) -> list[float | None]:
        """Ours minus the published value that it is compared with."""
        theirs = self.published.get(ours.against or "", (None,) * len(self.columns))
        return [
            None if answer.value is None or number is None else answer.value - number
            for answer, number in zip(ours.answers, theirs, strict=True)
        ]


def section(merged: Merged) -> Section:
    """The table of one suite's results."""
    suite, rows = merged.suite, merged.rows
    pairs = [(evaluation, metric) for evaluation in suite.evaluations for metric in _metrics(evaluation, rows)]
    answers = [[answer(row, *pair) for pair in pairs] for row in rows]
    methods = dict.fromkeys(name for evaluation in suite.evaluations for name in evaluation.published)
    published = {name: tuple(_published(pair[0], name, pair[1], rows) for pair in pairs) for name in methods}
    columns = []
    for at, (evaluation, metric) in enumerate(pairs):
        values = [each for row in answers for each in (row[at].value, row[at].chance, *(row[at].interval or ()))]
        values += [row[at] for row in published.values()]
        columns.append(Column(evaluation, metric, is_share(metric, values)))
    chances = [[row[at].chance for row in answers] for at in range(len(pairs))]
    chance = tuple(next((each for each in found if each is not None), None) for found in chances)
    ours = tuple(
        Ours(row, suite.compare.get(row.binding, suite.compare.get("*")), tuple(found))
        for row, found in zip(rows, answers, strict=True)
    )
    return Section(suite, tuple(columns), published, chance, ours)


def _metrics(evaluation: Evaluation, rows: Sequence[Row]) -> tuple[str, ...]:
    return evaluation.metrics or (main_metric(evaluation, rows),)


def main_metric(evaluation: Evaluation, rows: Sequence[Row]) -> str:
    """The main metric: as the cells have it, else as the installed task does."""
    for row in rows:
        for cell in row.cells.values():
            if cell.title == evaluation.title and cell.main_metric:
                return cell.main_metric
    with suppress(AnybindError):  # a report can be made where the task is not installed
        return find_part(TaskSpec, evaluation.task).load().main_metric
    return "answer"


def _published(evaluation: Evaluation, whose: str, metric: str, rows: Sequence[Row]) -> float | None:
    numbers = evaluation.published.get(whose)
    if isinstance(numbers, Mapping):
        return numbers.get(metric)
    return numbers if metric == main_metric(evaluation, rows) else None


def answer(row: Row, evaluation: Evaluation, metric: str) -> Answer:
    """The value of a binding, over all its seeds."""
    cells = sorted((cell for cell in row.cells.values() if cell.title == evaluation.title), key=lambda cell: cell.seed)
    if not cells:
        return Answer(reasons=(NOT_EVALUATED,))
    done = [(cell, value) for cell in cells if (value := cell.value(metric)) is not None]
    told = [_reason(cell, metric, len(cells)) for cell in cells if cell.value(metric) is None]
    reasons = tuple(dict.fromkeys([*told, *_not_evaluated(evaluation, cells)]))
    if not done:
        return Answer(reasons=reasons)
    values = [value for _, value in done]
    results: list[Result] = [cell.result for cell, _ in done if cell.result]
    return Answer(
        value=statistics.fmean(values),
        interval=interval(done[0][0], metric) if len(done) == 1 else None,
        deviation=statistics.stdev(values) if len(done) > 1 else None,
        seeds=tuple(cell.seed for cell, _ in done),
        n=_same([result.n for result in results]),
        gallery=_same([result.gallery_size for result in results]) or None,
        chance=results[0].chance.get(metric),
        reasons=reasons,
    )


def interval(cell: Cell, metric: str) -> tuple[float, float] | None:
    """The confidence interval of a metric of one cell, if it has a finite one."""
    ends = cell.result.intervals.get(metric) if cell.result else None
    return ends if ends and all(map(math.isfinite, ends)) else None


def _reason(cell: Cell, metric: str, cells: int) -> str:
    """Why a cell has no value of a metric."""
    seed = f"seed {cell.seed} " if cells > 1 else ""
    match cell.state:
        case State.DONE:
            undefined = cell.result.undefined if cell.result else {}
            return f"{seed}not defined: {undefined.get(metric, f'the result has no {metric}')}"
        case State.NOT_APPLICABLE:
            return f"not applicable: {cell.error or NO_ENCODER}"
        case State.MISSING:
            return f"data missing: {cell.error or 'their folder does not exist'}"
        case _:
            return f"{seed}failed: {cell.error or 'no reason was recorded'}"


def _not_evaluated(evaluation: Evaluation, cells: Sequence[Cell]) -> list[str]:
    missing = [str(seed) for seed in evaluation.seeds if seed not in {cell.seed for cell in cells}]
    return [f"seed {', '.join(missing)} {NOT_EVALUATED}"] if missing else []


def _same(values: Collection[int]) -> int | None:
    """The value that all have, else None."""
    return next(iter(values)) if len(set(values)) == 1 else None
