"""The kind `suite`: `SuiteSpec`, and `Suite`, a list of evaluations with published results."""

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
from anybind.plugin import BadOption, Dataset, DatasetSpec, errors, find_part, kinds, tables

Published = Mapping[str, float | Mapping[str, float]]
"""Published values by method: of the task's main metric, or by metric. Fractions are 0 to 1, even if the source prints
per cent.
"""


@dataclass(frozen=True, kw_only=True)
class SuiteSpec(kinds.Spec):
    """A benchmark suite. Target: `package:file.toml`."""

    kind: ClassVar[str] = "suite"
    resources: ClassVar[tuple[str, ...]] = (".toml",)


@dataclass(frozen=True)
class Evaluation:
    """One row of a suite: a task on a dataset.

    Attributes:
        task, dataset: names of registered parts.
        modality: modality to embed the samples as.
        title: name in plans and reports. [default: `TASK: MODALITY of DATASET`]
        path: the dataset's folder or file below the folder of all data. [default: the dataset's name]
        generated: the dataset generates its samples: it needs no data, only a folder to write to.
        options: task options.
        dataset_options: dataset options.
        clamp: clamp of per-pixel event counts, for event encoders whose representation has one and that have no
            weights of their own, which keep the frames they were trained on. [default: none]
        seeds: one run each; reports show the mean.
        metrics: metrics shown in reports. [default: the task's main metric]
        published: see `Published`.
        source: source of the published values.
        differences: known differences to the source; footnotes of reports.

    Raises:
        BadOption: an invalid seed, path or option.
    """

    task: str
    dataset: str
    modality: str
    title: str = ""
    path: str = ""
    generated: bool = False
    options: Mapping[str, object] = field(default_factory=dict)
    dataset_options: Mapping[str, object] = field(default_factory=dict)
    clamp: float | None = None
    seeds: tuple[int, ...] = (0,)
    metrics: tuple[str, ...] = ()
    published: Published = field(default_factory=dict)
    source: str = ""
    differences: tuple[str, ...] = ()

    COSMETIC: ClassVar[frozenset[str]] = frozenset(
        ("path", "generated", "seeds", "metrics", "published", "source", "differences")
    )
    """Fields that do not change the result: data location and presentation."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or f"{self.task}: {self.modality} of {self.dataset}")
        object.__setattr__(self, "path", self.path or self.dataset)
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts:
            raise BadOption(f"path must be relative and stay below the folder of all data, got {self.path!r}")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise BadOption(f"seeds: expected one or more distinct integers >= 0, got {list(self.seeds)}")
        for name in ("options", "dataset_options"):
            try:
                json.dumps(getattr(self, name))  # identities are hashes of JSON
            except TypeError as error:
                raise BadOption(f"{name}: {error}; write it as a string") from None

    def serialize_definition(self) -> str:
        """Serialize the title and the fields that determine the result as JSON, to compare evaluations."""
        fields = {name: value for name, value in vars(self).items() if name not in self.COSMETIC}
        if self.clamp is None:  # earlier results have no such field
            del fields["clamp"]
        return json.dumps(fields, sort_keys=True)


@dataclass(frozen=True)
class Suite:
    """A list of evaluations of the same bindings.

    Attributes:
        name: registered name; also the default name of the results folder.
        evaluations: rows of the suite.
        bindings: names of the default bindings.
        summary: one line.
        source: source of the published values, unless an evaluation has its own.
        compare: published method to compare with, by binding; `*` stands for all other bindings.
        differences: known differences to the source; footnotes of the whole suite.

    Raises:
        BadOption: no evaluations, a name invalid for a folder, or two evaluations or bindings with one name.
    """

    name: str
    evaluations: tuple[Evaluation, ...]
    bindings: tuple[str, ...] = ()
    summary: str = ""
    source: str = ""
    compare: Mapping[str, str] = field(default_factory=dict)
    differences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.strip(". ") or {"/", "\\"} & set(self.name):
            raise BadOption(f"name: expected a valid folder name, got {self.name!r}")
        if not self.evaluations:
            raise BadOption("evaluations: expected at least one")
        for kind, names in (("evaluations", [each.title for each in self.evaluations]), ("bindings", self.bindings)):
            if duplicate := next((name for name in names if names.count(name) > 1), None):
                raise BadOption(f"two {kind} have the name {duplicate!r}")

    @classmethod
    def from_toml(cls, path: Path | Traversable) -> Suite:
        """Read a suite file: the fields of `Suite`, with one `[[evaluations]]` table a row.

        Raises:
            BadInput: the file cannot be read.
            BadOption: invalid TOML, an unknown or missing key, or an invalid value; the message names row and key.
        """
        return tables.parse_table(cls, tables.read_toml(path), f"suite {path}")

    def select(self, names: Sequence[str]) -> list[Evaluation]:
        """Select evaluations by title, task or dataset, ignoring case; all of them without names.

        Raises:
            BadOption: an unknown name; the message suggests similar ones.
        """
        lower_names = {name.lower() for name in names}
        all_names = {name for each in self.evaluations for name in (each.title, each.task, each.dataset)}
        for name in names:
            if name.lower() not in map(str.lower, all_names):
                hint = errors.suggest_names(name, all_names)
                raise BadOption(f"suite {self.name!r} has no evaluation, task or dataset {name!r}{hint}")
        return [
            each
            for each in self.evaluations
            if not lower_names or lower_names & {each.title.lower(), each.task.lower(), each.dataset.lower()}
        ]

    def restrict(self, selected: Sequence[Evaluation], limit: int | None = None, seeds: Sequence[int] = ()) -> Suite:
        """Return the suite with fewer samples or other seeds in the selected evaluations.

        Args:
            selected: some of the suite's evaluations.
            limit: dataset option `limit`, for datasets with this option.
            seeds: seeds. [default: each evaluation's]
        """
        evaluations = list(self.evaluations)
        for position, evaluation in enumerate(evaluations):
            if evaluation in selected:
                options = evaluation.dataset_options
                if limit is not None and (target := find_dataset_class(evaluation.dataset)) and target.takes_limit:
                    options = {**options, "limit": limit}
                own_seeds = tuple(dict.fromkeys(seeds)) or evaluation.seeds
                evaluations[position] = replace(evaluation, dataset_options=options, seeds=own_seeds)
        return replace(self, evaluations=tuple(evaluations))


def find_dataset_class(name: str) -> type[Dataset] | None:
    """Find the class of a registered dataset; None for a factory, or if it cannot be loaded."""
    try:
        target = find_part(DatasetSpec, name).load()
    except AnybindError:  # reported as the failure of its cells
        return None
    return target if isinstance(target, type) and issubclass(target, Dataset) else None


def find_suite(name: str | os.PathLike[str]) -> Suite:
    """Load a suite by name, or from the path of a TOML file.

    Raises:
        UnknownName: no installed suite has that name; the message suggests similar ones.
        BadInput, BadOption: the file cannot be read or is invalid.
    """
    if os.fspath(name).endswith(".toml"):
        return Suite.from_toml(Path(name))
    module, _, resource = find_part(SuiteSpec, os.fspath(name)).spec.target.partition(":")
    return Suite.from_toml(importlib.resources.files(module).joinpath(resource))
