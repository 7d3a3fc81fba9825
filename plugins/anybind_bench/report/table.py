"""The table of a suite: published values, measured values with intervals, and reasons for missing values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from anybind import AnybindError, Result
from anybind.plugin import TaskSpec, find_part
from anybind_bench.cell import Cell, State
from anybind_bench.report.formatting import is_fraction
from anybind_bench.report.merge import BindingResults, MergedResults
from anybind_bench.suite import Evaluation, Suite

NO_ENCODER = "the binding has no encoder for the task's modalities"
NOT_EVALUATED = "not evaluated in these results"


@dataclass(frozen=True)
class MetricValue:
    """A measured metric of one evaluation, aggregated over seeds.

    Attributes:
        value: mean over seeds; None if no seed has a result.
        interval: 95 % confidence interval, for a single seed.
        deviation: standard deviation over seeds, for several seeds.
        seeds: seeds included in the value.
        n, gallery: number of samples and candidates, if equal for all seeds.
        chance: chance level, if the result states it.
        reasons: why the value, or one of its seeds, is missing.
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
    """An evaluation and one of its metrics."""

    evaluation: Evaluation
    metric: str
    is_fraction: bool


@dataclass(frozen=True)
class BindingRow:
    """The measured values of one binding, one a column, and the published method they are compared with."""

    results: BindingResults
    reference: str | None
    values: tuple[MetricValue, ...]


@dataclass(frozen=True)
class SuiteTable:
    """The table of one suite; each row has one value a column."""

    suite: Suite
    columns: tuple[Column, ...]
    published: Mapping[str, tuple[float | None, ...]]
    chance: tuple[float | None, ...]
    binding_rows: tuple[BindingRow, ...]

    def compute_differences(self, row: BindingRow) -> list[float | None]:
        """Compute measured minus published value for each column; None if either is missing."""
        references = self.published.get(row.reference or "", (None,) * len(self.columns))
        return [
            None if value.value is None or reference is None else value.value - reference
            for value, reference in zip(row.values, references, strict=True)
        ]


def build_table(merged: MergedResults) -> SuiteTable:
    """Build the table of one suite's results."""
    suite, rows = merged.suite, merged.rows
    pairs = [
        (evaluation, metric)
        for evaluation in suite.evaluations
        for metric in evaluation.metrics or (find_main_metric(evaluation, rows),)
    ]
    values_by_row = [[aggregate_seeds(row, *pair) for pair in pairs] for row in rows]
    methods = dict.fromkeys(name for evaluation in suite.evaluations for name in evaluation.published)
    published = {name: tuple(_get_published(pair[0], name, pair[1], rows) for pair in pairs) for name in methods}
    columns = []
    for position, (evaluation, metric) in enumerate(pairs):
        values = [
            each
            for row in values_by_row
            for each in (row[position].value, row[position].chance, *(row[position].interval or ()))
        ]
        values += [row[position] for row in published.values()]
        columns.append(Column(evaluation, metric, is_fraction(metric, values)))
    chances = [[row[at].chance for row in values_by_row] for at in range(len(pairs))]
    chance = tuple(next((each for each in levels if each is not None), None) for levels in chances)
    binding_rows = tuple(
        BindingRow(row, suite.compare.get(row.binding, suite.compare.get("*")), tuple(values))
        for row, values in zip(rows, values_by_row, strict=True)
    )
    return SuiteTable(suite, tuple(columns), published, chance, binding_rows)


def find_main_metric(evaluation: Evaluation, rows: Sequence[BindingResults]) -> str:
    """Return the main metric from the cells, else from the installed task."""
    for row in rows:
        for cell in row.cells.values():
            if cell.title == evaluation.title and cell.main_metric:
                return cell.main_metric
    with suppress(AnybindError):  # reports also work without the task's plugin
        return find_part(TaskSpec, evaluation.task).load().main_metric
    return "result"


def _get_published(evaluation: Evaluation, method: str, metric: str, rows: Sequence[BindingResults]) -> float | None:
    published = evaluation.published.get(method)
    if isinstance(published, Mapping):
        return published.get(metric)
    return published if metric == find_main_metric(evaluation, rows) else None


def aggregate_seeds(row: BindingResults, evaluation: Evaluation, metric: str) -> MetricValue:
    """Aggregate a metric of a binding over its seeds."""
    cells = sorted((cell for cell in row.cells.values() if cell.title == evaluation.title), key=lambda cell: cell.seed)
    if not cells:
        return MetricValue(reasons=(NOT_EVALUATED,))
    done = [(cell, value) for cell in cells if (value := cell.get_value(metric)) is not None]
    reasons_by_cell = [
        _explain_missing_value(cell, metric, len(cells)) for cell in cells if cell.get_value(metric) is None
    ]
    reasons = tuple(dict.fromkeys([*reasons_by_cell, *_explain_missing_seeds(evaluation, cells)]))
    if not done:
        return MetricValue(reasons=reasons)
    values = [value for _, value in done]
    results: list[Result] = [cell.result for cell, _ in done if cell.result]
    return MetricValue(
        value=statistics.fmean(values),
        interval=get_interval(done[0][0], metric) if len(done) == 1 else None,
        deviation=statistics.stdev(values) if len(done) > 1 else None,
        seeds=tuple(cell.seed for cell, _ in done),
        n=_get_common_value([result.n for result in results]),
        gallery=_get_common_value([result.gallery_size for result in results]) or None,
        chance=results[0].chance.get(metric),
        reasons=reasons,
    )


def get_interval(cell: Cell, metric: str) -> tuple[float, float] | None:
    """Return the confidence interval of a cell's metric, or None if it has no finite one."""
    bounds = cell.result.intervals.get(metric) if cell.result else None
    return bounds if bounds and all(map(math.isfinite, bounds)) else None


def _explain_missing_value(cell: Cell, metric: str, n_cells: int) -> str:
    """Explain why a cell has no value for a metric."""
    seed = f"seed {cell.seed} " if n_cells > 1 else ""
    match cell.state:
        case State.DONE:
            undefined = cell.result.undefined if cell.result else {}
            return f"{seed}not defined: {undefined.get(metric, f'the result has no {metric}')}"
        case State.NOT_APPLICABLE:
            return f"not applicable: {cell.error or NO_ENCODER}"
        case State.MISSING:
            return f"data missing: {cell.error or 'the folder does not exist'}"
        case _:
            return f"{seed}failed: {cell.error or 'no reason was recorded'}"


def _explain_missing_seeds(evaluation: Evaluation, cells: Sequence[Cell]) -> list[str]:
    missing = [str(seed) for seed in evaluation.seeds if seed not in {cell.seed for cell in cells}]
    return [f"seed {', '.join(missing)} {NOT_EVALUATED}"] if missing else []


def _get_common_value(values: Collection[int]) -> int | None:
    """Return the value if all are equal, else None."""
    return next(iter(values)) if len(set(values)) == 1 else None
