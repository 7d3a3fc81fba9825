"""`Suite`: tasks x data sets x bindings, with the published numbers beside ours."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anybind.config import check_keys, read_toml
from anybind.errors import BadOption
from anybind.registry import find_part


@dataclass(frozen=True)
class Question:
    """One row of a suite.

    Attributes:
        task, dataset: names of registered parts.
        modality: what the samples are embedded as.
        options: of the task.
        dataset_options: of the data set.
        published: numbers that others reported, by whose they are, for the task's main metric.
        source: where those were published.
    """

    task: str
    dataset: str
    modality: str
    options: Mapping[str, Any] = field(default_factory=dict)
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Suite:
    """A list of questions, to be asked of the same bindings."""

    name: str
    questions: tuple[Question, ...]
    bindings: tuple[str, ...] = ()
    summary: str = ""

    @classmethod
    def from_toml(cls, path: Path | Any) -> Suite:
        """Read a suite file: `name`, `summary`, `bindings`, and one `[[questions]]` table a row.

        Raises:
            BadInput: the file cannot be read.
            BadOption: it is no TOML, or has an unknown or a missing key; the message says which.
        """
        table = read_toml(path)
        check_keys(f"suite {path}", table, ("name", "summary", "bindings", "questions"), ("name", "questions"))
        fields = tuple(Question.__dataclass_fields__)
        for key in ("bindings", "questions"):
            if not isinstance(table.get(key, []), list):
                raise BadOption(f"suite {path}: {key} must be a list")
        for number, row in enumerate(table["questions"], start=1):
            check_keys(f"suite {path}, [[questions]] {number}", row, fields, ("task", "dataset", "modality"))
        return cls(
            name=table["name"],
            questions=tuple(Question(**row) for row in table["questions"]),
            bindings=tuple(table.get("bindings", ())),
            summary=table.get("summary", ""),
        )


def find_suite(name: str | os.PathLike[str]) -> Suite:
    """A suite by name, or by the path of a TOML file.

    Raises:
        UnknownName: no installed suite has that name; the message offers the nearest ones.
        BadInput, BadOption: the file cannot be read or makes no sense.
    """
    if os.fspath(name).endswith(".toml"):
        return Suite.from_toml(Path(name))
    module, _, resource = find_part("suite", os.fspath(name)).spec.target.partition(":")
    return Suite.from_toml(importlib.resources.files(module).joinpath(resource))
