"""The kind `suite`: `SuiteSpec`, and `Suite`, a list of evaluations with the published results beside ours."""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import ClassVar

from anybind import AnybindError
from anybind.plugin import BadOption, Dataset, DatasetSpec, Spec, errors, find_part, tables

Published = Mapping[str, float | Mapping[str, float]]
"""Published values by method: of the task's main metric, or by metric. Shares are 0 to 1, also where the source prints
per cent.
"""


@dataclass(frozen=True, kw_only=True)
class SuiteSpec(Spec):
    """A benchmark suite. Target: `package:file.toml`."""

    kind: ClassVar[str] = "suite"
    resources: ClassVar[tuple[str, ...]] = (".toml",)


@dataclass(frozen=True)
class Evaluation:
    """One row of a suite: a task on a dataset.

    Attributes:
        task, dataset: names of registered parts.
        modality: what the samples are embedded as.
        title: its name in plans and reports. [default: `TASK: MODALITY of DATASET`]
        path: the dataset's folder or file below the folder of all data. [default: the dataset's name]
        made: the dataset generates its samples: it needs no data and gets a folder to write into.
        options: of the task.
        dataset_options: of the dataset.
        seeds: one run each; reports show the mean.
        metrics: what reports show. [default: the task's main metric]
        published: see `Published`.
        source: where those were published.
        differs: known differences to the source: footnotes of reports.

    Raises:
        BadOption: an invalid seed, path or option.
    """

    task: str
    dataset: str
    modality: str
    title: str = ""
    path: str = ""
    made: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    dataset_options: Mapping[str, object] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    metrics: tuple[str, ...] = ()
    published: Published = field(default_factory=dict)
    source: str = ""
    differs: tuple[str, ...] = ()

    COSMETIC: ClassVar[frozenset[str]] = frozenset(
        ("path", "made", "seeds", "metrics", "published", "source", "differs")
    )
    """Fields that may change between runs: where the data are and what is shown, not what is evaluated."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or f"{self.task}: {self.modality} of {self.dataset}")
        object.__setattr__(self, "path", self.path or self.dataset)
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts:
            raise BadOption(f"path must lead from the folder of all data into it, got {self.path!r}")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise BadOption(f"seeds must be distinct whole numbers from 0, at least one, got {list(self.seeds)}")
        for name in ("options", "dataset_options"):
            try:
                json.dumps(getattr(self, name))  # identities are hashes of JSON
            except TypeError as error:
                raise BadOption(f"{name}: {error}; write it as a text") from None

    def core(self) -> str:
        """The fields that decide the result, and the title, as JSON: equal where two evaluations are the same."""
        fields = {name: value for name, value in vars(self).items() if name not in self.COSMETIC}
        return json.dumps(fields, sort_keys=True)


@dataclass(frozen=True)
class Suite:
    """A list of evaluations of the same bindings.

    Attributes:
        name: as it is registered, or of the user's choice; the default name of the results folder.
        evaluations: its rows.
        bindings: names of the bindings that are evaluated unless others are given.
        summary: one line.
        source: where its published values are from, unless an evaluation names another source.
        compare: the published method that ours is compared with, by binding; `*` stands for all other bindings.
        differs: footnotes of the whole suite.

    Raises:
        BadOption: no evaluations, a name that cannot name a folder, or two evaluations or bindings of one name.
    """

    name: str
    evaluations: tuple[Evaluation, ...]
    bindings: tuple[str, ...] = ()
    summary: str = ""
    source: str = ""
    compare: Mapping[str, str] = field(default_factory=dict)
    differs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.strip(". ") or {"/", "\\"} & set(self.name):
            raise BadOption(f"name must be valid as the name of a folder, got {self.name!r}")
        if not self.evaluations:
            raise BadOption("there are no evaluations")
        for what, names in (("evaluations", [each.title for each in self.evaluations]), ("bindings", self.bindings)):
            if double := next((name for name in names if names.count(name) > 1), None):
                raise BadOption(f"two {what} are called {double!r}")

    @classmethod
    def from_toml(cls, path: Path | Traversable) -> Suite:
        """Read a suite file: the attributes of `Suite`, and one `[[evaluations]]` table a row.

        Raises:
            BadInput: the file cannot be read.
            BadOption: invalid TOML, an unknown or missing key, or an invalid value; the message names row and key.
        """
        return tables.parse_table(cls, tables.read_toml(path), f"suite {path}")

    def select(self, names: Sequence[str]) -> list[Evaluation]:
        """Evaluations by title, task or dataset, whatever the case; all of them without a name.

        Raises:
            BadOption: there is none of that name; the message offers the nearest.
        """
        wanted = {name.lower() for name in names}
        known = {name for each in self.evaluations for name in (each.title, each.task, each.dataset)}
        for name in names:
            if name.lower() not in map(str.lower, known):
                hint = errors.suggest_names(name, known)
                raise BadOption(f"suite {self.name!r} has no evaluation, task or dataset called {name!r}{hint}")
        return [
            each
            for each in self.evaluations
            if not wanted or wanted & {each.title.lower(), each.task.lower(), each.dataset.lower()}
        ]

    def narrow(self, chosen: Sequence[Evaluation], limit: int | None = None, seeds: Sequence[int] = ()) -> Suite:
        """The suite with fewer samples or other seeds in the chosen evaluations.

        Args:
            chosen: some of the suite's evaluations.
            limit: the option `limit` of those datasets that have it.
            seeds: in place of the evaluations' own, where there are any.
        """
        evaluations = list(self.evaluations)
        for at, evaluation in enumerate(evaluations):
            if evaluation in chosen:
                options = evaluation.dataset_options
                if limit is not None and (found := dataset_class(evaluation.dataset)) and found.takes_limit:
                    options = {**options, "limit": limit}
                own_seeds = tuple(dict.fromkeys(seeds)) or evaluation.seeds
                evaluations[at] = replace(evaluation, dataset_options=options, seeds=own_seeds)
        return replace(self, evaluations=tuple(evaluations))


def dataset_class(name: str) -> type[Dataset] | None:
    """The class of a registered dataset; None for a factory, and where it cannot be loaded."""
    try:
        target = find_part(DatasetSpec, name).load()
    except AnybindError:  # reported as the failure of its cells
        return None
    return target if isinstance(target, type) and issubclass(target, Dataset) else None


def find_suite(name: str | os.PathLike[str]) -> Suite:
    """Load a suite by name, or from the path of a TOML file.

    Raises:
        UnknownName: no installed suite has that name; the message offers the nearest ones.
        BadInput, BadOption: the file cannot be read or is invalid.
    """
    if os.fspath(name).endswith(".toml"):
        return Suite.from_toml(Path(name))
    module, _, resource = find_part(SuiteSpec, os.fspath(name)).spec.target.partition(":")
    return Suite.from_toml(importlib.resources.files(module).joinpath(resource))
