"""The kind `suite`: `SuiteSpec`, and `Suite` - tasks x data sets x bindings, with the published numbers beside ours."""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anybind.plugin import BadOption, Spec, find_part, tables

Published = Mapping[str, float | Mapping[str, float]]
"""Numbers by whose they are: of the task's main metric, or by the names of metrics. In the metric's own unit: shares
are 0 to 1, also where the source prints per cent.
"""


@dataclass(frozen=True, kw_only=True)
class SuiteSpec(Spec):
    """A benchmark suite. Target: `package:file.toml`."""

    kind: ClassVar[str] = "suite"
    resources: ClassVar[tuple[str, ...]] = (".toml",)


@dataclass(frozen=True)
class Question:
    """One row of a suite.

    Attributes:
        task, dataset: names of registered parts.
        modality: what the samples are embedded as.
        title: names it in plans and reports; task, data set and modality if left out.
        path: the data set's folder or file, from the folder of all data; the data set's name if left out.
        made: the data set makes what it holds: it needs no data, and is given an empty folder to write into.
        options: of the task.
        dataset_options: of the data set.
        seeds: it is asked once with each; reports show the mean.
        metrics: what reports show, by name; the task's main metric if left out.
        published: numbers that others reported.
        source: where those were published.
        differs: what is known to be otherwise than in the source: footnotes of reports.
    """

    task: str
    dataset: str
    modality: str
    title: str = ""
    path: str = ""
    made: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    metrics: tuple[str, ...] = ()
    published: Published = field(default_factory=dict)
    source: str = ""
    differs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or f"{self.task}: {self.modality} of {self.dataset}")
        object.__setattr__(self, "path", self.path or self.dataset)


@dataclass(frozen=True)
class Suite:
    """A list of questions, to be asked of the same bindings.

    Attributes:
        name: as it is registered, or of the user's choice.
        questions: its rows.
        bindings: names of those that are asked unless others are given.
        summary: what it is, in a line.
        source: where its published numbers are from; that of questions which name none.
        compare: whose published numbers are set against ours, by binding; under `*` those for all other bindings.
        differs: footnotes of the whole suite, as those of questions.
    """

    name: str
    questions: tuple[Question, ...]
    bindings: tuple[str, ...] = ()
    summary: str = ""
    source: str = ""
    compare: Mapping[str, str] = field(default_factory=dict)
    differs: tuple[str, ...] = ()

    @classmethod
    def from_toml(cls, path: Path | Any) -> Suite:
        """Read a suite file: the attributes of `Suite`, and one `[[questions]]` table a row.

        Raises:
            BadInput: the file cannot be read.
            BadOption: it is no TOML, or has an unknown or a missing key, or a value of another kind than it takes; the
                message says which.
        """
        table = tables.read_toml(path)
        where = f"suite {path}"
        tables.check_keys(where, table, tuple(cls.__dataclass_fields__), ("name", "questions"))
        _check_kinds(where, table, lists=("bindings", "questions", "differs"), mappings=("compare",))
        if not table["questions"]:
            raise BadOption(f"{where}: there are no questions in it")
        questions = tuple(
            _question(f"{where}, [[questions]] {at}", row) for at, row in enumerate(table["questions"], 1)
        )
        suite = cls(**{**_lists_as_tuples(table), "questions": questions})
        _check_names(where, suite)
        return suite


def _question(where: str, row: Any) -> Question:
    tables.check_keys(where, row, tuple(Question.__dataclass_fields__), ("task", "dataset", "modality"))
    mappings = ("options", "dataset_options", "published")
    _check_kinds(where, row, lists=("seeds", "metrics", "differs"), mappings=mappings)
    _check_seeds(where, row.get("seeds", [0]))
    path = PurePosixPath(row.get("path", ""))
    if path.is_absolute() or ".." in path.parts:
        raise BadOption(f"{where}: path must lead from the folder of all data into it, got {str(path)!r}")
    for whose, numbers in row.get("published", {}).items():
        every = numbers.values() if isinstance(numbers, Mapping) else [numbers]
        if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in every):
            raise BadOption(f"{where}: published numbers of {whose!r} must be numbers")
    return Question(**_lists_as_tuples(row))


def _check_seeds(where: str, seeds: Sequence[Any]) -> None:
    if not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise BadOption(f"{where}: seeds must be whole numbers, 0 or more, and at least one")
    if len(set(seeds)) < len(seeds):
        raise BadOption(f"{where}: a seed stands twice among {', '.join(map(str, seeds))}")


def _lists_as_tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _check_kinds(where: str, table: Mapping[str, Any], *, lists: Sequence[str], mappings: Sequence[str]) -> None:
    """Raise `BadOption` where a value is not of the kind that its key takes: the others are words, `made` aside."""
    for key, value in table.items():
        kind, told = (list, "a list") if key in lists else (Mapping, "a table") if key in mappings else (str, "a text")
        if key == "made":
            kind, told = bool, "true or false"
        if not isinstance(value, kind):
            raise BadOption(f"{where}: {key} must be {told}")
        if isinstance(value, list) and key not in ("questions", "seeds") and {type(each) for each in value} - {str}:
            raise BadOption(f"{where}: {key} must be a list of texts")
        if kind is Mapping:
            try:
                json.dumps(value)  # what a result is known by is hashed as JSON, which has no dates
            except TypeError as error:
                raise BadOption(f"{where}: {key} holds what no JSON can hold ({error}); write it as a text") from None


def _check_names(where: str, suite: Suite) -> None:
    if not suite.name.strip(". ") or {"/", "\\"} & set(suite.name):
        raise BadOption(f"{where}: name must be fit to name a folder, got {suite.name!r}")
    titles = [question.title for question in suite.questions]
    for title in titles:
        if titles.count(title) > 1:
            raise BadOption(f"{where}: two questions are called {title!r}; give each a title of its own")
    for name in suite.bindings:
        if suite.bindings.count(name) > 1:
            raise BadOption(f"{where}: the binding {name!r} stands there twice")
    for binding, whose in suite.compare.items():
        if not isinstance(whose, str):
            raise BadOption(f"{where}: compare must say by a text whose numbers {binding!r} is set against")


def find_suite(name: str | os.PathLike[str]) -> Suite:
    """A suite by name, or by the path of a TOML file.

    Raises:
        UnknownName: no installed suite has that name; the message offers the nearest ones.
        BadInput, BadOption: the file cannot be read or makes no sense.
    """
    if os.fspath(name).endswith(".toml"):
        return Suite.from_toml(Path(name))
    module, _, resource = find_part(SuiteSpec, os.fspath(name)).spec.target.partition(":")
    return Suite.from_toml(importlib.resources.files(module).joinpath(resource))
