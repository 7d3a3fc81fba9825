"""Results folders: read, checked, and those of one suite laid together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from anybind.plugin import BadInput
from anybind_bench.suite import Question, Suite

FORMAT = 1
NAME = "results.json"
STATES = ("done", "failed", "missing", "not-applicable")
COSMETIC = ("path", "made", "seeds", "metrics", "published", "source", "differs")
"""What a question may say otherwise in another run: where its data lie and what is shown, not what is asked."""


@dataclass(frozen=True)
class Cell:
    """One question asked of one binding with one seed.

    Attributes:
        question: its title.
        state: one of `STATES`.
        error: why there is no result, in a line.
        main_metric: of the task, where it is known.
        result: the fields of `anybind.Result`, where it is done.
    """

    question: str
    binding: str
    seed: int
    identity: str | None
    state: str
    error: str
    main_metric: str | None
    result: Mapping[str, Any] | None


@dataclass(frozen=True)
class Run:
    """One results folder."""

    path: Path
    suite: Suite
    cells: tuple[Cell, ...]


@dataclass
class Row:
    """What one binding answered, by title of the question and seed."""

    name: str
    binding: str
    path: Path
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)

    def takes(self, cells: Iterable[Cell]) -> bool:
        """Whether no cell was answered otherwise here."""
        return not any(_differ(self.cells.get((cell.question, cell.seed)), cell) for cell in cells)

    def add(self, cells: Iterable[Cell]) -> None:
        """Take cells in; one that is done stands before one that is not."""
        for cell in cells:
            former = self.cells.get((cell.question, cell.seed))
            if former is None or former.state != "done":
                self.cells[cell.question, cell.seed] = cell


@dataclass(frozen=True)
class Merged:
    """The results of one suite: its questions as all runs together have them, and a row for each binding."""

    suite: Suite
    rows: tuple[Row, ...]


def read_run(path: Path) -> Run:
    """Read a results folder, or the `results.json` in it.

    Raises:
        BadInput: there is none, it is damaged, or another version wrote it; the message says which.
    """
    file = path / NAME if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"{path} holds no results: there is no {file}; `anybind bench run` writes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{file} is damaged: {error}; run the suite again into the same folder") from error
    if not isinstance(fields, Mapping) or "format" not in fields:
        raise BadInput(f"{file} holds no results of `anybind bench run`")
    if fields["format"] != FORMAT:
        raise BadInput(
            f"{file} was written by another version of anybind (format {fields['format']!r}; this one reads {FORMAT}):"
            " run the suite again, or report it with the version that wrote it"
        )
    try:
        return _run(path, fields)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BadInput(
            f"{file} is damaged, or was written by another version of anybind ({type(error).__name__}: {error})"
        ) from error


def _run(path: Path, fields: Mapping[str, Any]) -> Run:
    questions = tuple(Question(**_tuples(each)) for each in fields["questions"])
    suite = Suite(**{**_tuples(fields["suite"]), "questions": questions})
    return Run(path, suite, tuple(_cell(each, questions) for each in fields["cells"]))


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _cell(fields: Mapping[str, Any], questions: Sequence[Question]) -> Cell:
    if fields["state"] not in STATES:
        raise ValueError(f"no state {fields['state']!r}")
    result = fields["result"] if fields["state"] == "done" else None
    if fields["state"] == "done":
        sum(
            value for value in fields["result"]["metrics"].values() if value is not None
        )  # raises where one is no number
    return Cell(
        question=questions[fields["question"]].title,
        binding=str(fields["binding"]),
        seed=int(fields["seed"]),
        identity=fields.get("identity"),
        state=fields["state"],
        error=" ".join(str(fields.get("error") or "").split()),
        main_metric=fields.get("main_metric"),
        result=result,
    )


def merge(runs: Iterable[Run]) -> list[Merged]:
    """The runs of each suite laid together, suites in the order in which they first come.

    A binding has one row, unless two runs answered the same question otherwise (other weights under one name): then it
    has one for each, and the folder stands in their names.

    Raises:
        BadInput: two runs have another question under the same title.
    """
    by_suite: dict[str, list[Run]] = {}
    for run in runs:
        by_suite.setdefault(run.suite.name, []).append(run)
    return [Merged(_suite(runs), _rows(runs)) for runs in by_suite.values()]


def _suite(runs: Sequence[Run]) -> Suite:
    """The first run's suite, with the questions of all."""
    known: dict[str, tuple[Question, Run]] = {}
    for run in runs:
        for question in run.suite.questions:
            former, by = known.setdefault(question.title, (question, run))
            if _asked(former) != _asked(question):
                raise BadInput(
                    f"{run.path} and {by.path} both ask {question.title!r} of the suite {run.suite.name!r}, and not the"
                    " same: another version of the suite, or other options; report them apart"
                )
    return replace(runs[0].suite, questions=tuple(question for question, _ in known.values()))


def _asked(question: Question) -> dict[str, Any]:
    return {key: value for key, value in asdict(question).items() if key not in COSMETIC}


def _rows(runs: Sequence[Run]) -> tuple[Row, ...]:
    rows: list[Row] = []
    for run in runs:
        for binding in dict.fromkeys(cell.binding for cell in run.cells):
            cells = [cell for cell in run.cells if cell.binding == binding]
            row = next((row for row in rows if row.binding == binding and row.takes(cells)), None)
            if row is None:
                row = Row(binding, binding, run.path)
                rows.append(row)
            row.add(cells)
    for row in rows:
        if sum(other.binding == row.binding for other in rows) > 1:
            row.name = f"{row.binding} ({row.path.resolve().name})"
    order = list(dict.fromkeys(row.binding for row in rows))
    return tuple(sorted(rows, key=lambda row: order.index(row.binding)))


def _differ(one: Cell | None, other: Cell) -> bool:
    if one is None or one.state != "done" or other.state != "done":
        return False
    metrics = [each.result and each.result["metrics"] for each in (one, other)]
    return one.identity != other.identity or metrics[0] != metrics[1]
