"""What stands in the table: published numbers, ours with how sure they are, and why a number is not there."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from anybind import AnybindError
from anybind.plugin import TaskSpec, find_part
from anybind_bench.report.numbers import is_share
from anybind_bench.report.results import Cell, Merged, Row
from anybind_bench.suite import Question, Suite

NO_ENCODER = "the binding has no encoder for what the task needs"
NOT_ASKED = "not asked in these results"


@dataclass(frozen=True)
class Answer:
    """Ours, of one question and metric.

    Attributes:
        value: the metric; the mean where several seeds were asked; None where there is none.
        interval: its 95 % interval, of one seed.
        deviation: standard deviation over seeds, where there are several.
        seeds: those that are in the value.
        n, gallery: samples asked about and candidates, where they are the same for all seeds.
        chance: what chance gives, where the task says it.
        reasons: why the value, or a seed of it, is not there.
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
    """A question and one of its metrics."""

    question: Question
    metric: str
    share: bool


@dataclass(frozen=True)
class Ours:
    """One row of ours: an answer for each column, and whose published numbers they are held against."""

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
        """Ours less the published number that it is held against."""
        theirs = self.published.get(ours.against or "", (None,) * len(self.columns))
        return [
            None if answer.value is None or number is None else answer.value - number
            for answer, number in zip(ours.answers, theirs, strict=True)
        ]


def section(merged: Merged) -> Section:
    """The table of one suite's results."""
    suite, rows = merged.suite, merged.rows
    asked = [(question, metric) for question in suite.questions for metric in _metrics(question, rows)]
    answers = [[answer(row, *each) for each in asked] for row in rows]
    whose = list(dict.fromkeys(name for question in suite.questions for name in question.published))
    published = {name: tuple(_published(question, name, metric, rows) for question, metric in asked) for name in whose}
    columns = []
    for at, (question, metric) in enumerate(asked):
        values = [each for row in answers for each in (row[at].value, row[at].chance, *(row[at].interval or ()))]
        columns.append(Column(question, metric, is_share(metric, [*values, *(row[at] for row in published.values())])))
    chance = tuple(_first(row[at].chance for row in answers) for at in range(len(asked)))
    ours = tuple(
        Ours(row, suite.compare.get(row.binding, suite.compare.get("*")), tuple(found))
        for row, found in zip(rows, answers, strict=True)
    )
    return Section(suite, tuple(columns), published, chance, ours)


def _metrics(question: Question, rows: Sequence[Row]) -> tuple[str, ...]:
    return question.metrics or (main_metric(question, rows),)


def main_metric(question: Question, rows: Sequence[Row]) -> str:
    """The metric that stands for the whole: as the cells say, else as the installed task does."""
    for row in rows:
        for cell in row.cells.values():
            if cell.question == question.title and cell.main_metric:
                return cell.main_metric
    with suppress(AnybindError):  # a report can be made where the task is not installed
        return find_part(TaskSpec, question.task).load().main_metric
    return "answer"


def _published(question: Question, whose: str, metric: str, rows: Sequence[Row]) -> float | None:
    numbers = question.published.get(whose)
    if isinstance(numbers, Mapping):
        return numbers.get(metric)
    return numbers if metric == main_metric(question, rows) else None


def answer(row: Row, question: Question, metric: str) -> Answer:
    """What a binding answered, over all its seeds."""
    cells = sorted((cell for cell in row.cells.values() if cell.question == question.title), key=lambda cell: cell.seed)
    if not cells:
        return Answer(reasons=(NOT_ASKED,))
    done = [(cell, value) for cell in cells if (value := value_of(cell, metric)) is not None]
    told = [_reason(cell, metric, len(cells)) for cell in cells if value_of(cell, metric) is None]
    reasons = tuple(dict.fromkeys([*told, *_not_asked(question, cells)]))
    if not done:
        return Answer(reasons=reasons)
    values = [value for _, value in done]
    return Answer(
        value=statistics.fmean(values),
        interval=interval(done[0][0], metric) if len(done) == 1 else None,
        deviation=statistics.stdev(values) if len(done) > 1 else None,
        seeds=tuple(cell.seed for cell, _ in done),
        n=_same(_result(cell).get("n") for cell, _ in done),
        gallery=_same(_result(cell).get("gallery_size") for cell, _ in done) or None,
        chance=_chance(done[0][0], metric),
        reasons=reasons,
    )


def value_of(cell: Cell, metric: str) -> float | None:
    """A metric of one cell; None where it is not there or not finite."""
    return _number((_result(cell).get("metrics") or {}).get(metric))


def interval(cell: Cell, metric: str) -> tuple[float, float] | None:
    """The 95 % interval of a metric, which stands in the details as `METRIC_interval` or in `intervals`."""
    details = _details(cell)
    known = details.get("intervals")
    ends = details.get(f"{metric}_interval") or (known.get(metric) if isinstance(known, Mapping) else None)
    if not isinstance(ends, Sequence) or len(ends) != 2 or None in map(_number, ends):
        return None
    return float(ends[0]), float(ends[1])


def _result(cell: Cell) -> Mapping[str, Any]:
    return cell.result or {}


def _details(cell: Cell) -> Mapping[str, Any]:
    return _result(cell).get("details") or {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _chance(cell: Cell, metric: str) -> float | None:
    chance = _details(cell).get("chance")
    if isinstance(chance, Mapping):
        return _number(chance.get(metric))
    return _number(chance) if metric == cell.main_metric else None


def _reason(cell: Cell, metric: str, cells: int) -> str:
    of_seed = f"seed {cell.seed} " if cells > 1 else ""
    if cell.state == "done":
        notes = _details(cell).get("notes")
        told = (
            "; ".join(map(str, notes)) if isinstance(notes, list) and notes else f"there is no {metric} in the answer"
        )
        return f"{of_seed}not defined: {told}"
    if cell.state == "not-applicable":
        return f"not applicable: {cell.error or NO_ENCODER}"
    if cell.state == "missing":
        return f"data missing: {cell.error or 'their folder is not there'}"
    return f"{of_seed}failed: {cell.error or 'it was not said why'}"


def _not_asked(question: Question, cells: Sequence[Cell]) -> list[str]:
    missing = [str(seed) for seed in question.seeds if seed not in {cell.seed for cell in cells}]
    return [f"seed {', '.join(missing)} {NOT_ASKED}"] if missing else []


def _first(values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _same(values: Any) -> Any:
    """The value that all have, else None."""
    found = list(values)
    return found[0] if all(value == found[0] for value in found) else None
