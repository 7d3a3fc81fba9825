"""Preparing an evaluation: its task, its dataset, and the folders of datasets that generate their samples."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from anybind import AnybindError, Binding
from anybind.plugin import (
    BadInput,
    BadOption,
    Dataset,
    DatasetSpec,
    Task,
    TaskSpec,
    create_part,
    find_part,
    modalities,
    tables,
)
from anybind_bench.cell import Cell, State
from anybind_bench.encoders import package_stamp
from anybind_bench.results import file_lock
from anybind_bench.suite import Evaluation, dataset_class

TEXT = "text"
"""Tasks turn class names into prompts without naming this modality: it takes part wherever a binding has it."""


@dataclass(frozen=True)
class Folders:
    """Where data are.

    Attributes:
        data: the folder of all data, if one is given.
        made: for datasets that generate their samples.
        make: whether they may; otherwise only what was generated before is used.
    """

    data: Path | None
    made: Path
    make: bool = True

    def shorten(self, error: BaseException) -> str:
        """An error as results store it: one line, without the folders of this machine."""
        text = str(error) if isinstance(error, AnybindError) else f"internal: {type(error).__name__}: {error}"
        for folder in (self.data, self.made):
            if folder is not None:
                text = text.replace(f"{folder}/", "")
        return " ".join(text.split())[:500]


@dataclass(frozen=True)
class Prepared:
    """An evaluation with its task and its dataset, or why they are not available.

    Attributes:
        state: `MISSING` or `FAILED` where one of them is not available.
        dataset: None also where it generates its samples, has not yet, and may not now.
        data_found: whether the folder of its data exists; None where it generates them.
    """

    evaluation: Evaluation
    task: Task | None = None
    dataset: Dataset | None = None
    split_hash: str = ""
    data_found: bool | None = None
    state: State = State.TO_DO
    error: str | None = None

    def modalities(self, binding: Binding) -> tuple[str, ...]:
        """The modalities whose encoders are known to take part before the task runs."""
        modality = self.evaluation.modality
        needed = (modality,) if self.task is None else self.task.modalities(modality)
        return tuple(dict.fromkeys([*needed, *([TEXT] if TEXT in binding.encoders else [])]))

    def cell(self, name: str, binding: Binding | AnybindError, seed: int) -> Cell:
        """The cell of one binding and seed; it is to do unless something is missing."""
        cell = Cell(self.evaluation, name, seed, main_metric=self.task.main_metric if self.task else None)
        if isinstance(binding, Binding):
            lacking = [modality for modality in self.modalities(binding) if modality not in binding.encoders]
            if lacking:
                error = f"{name} has no encoder for {' and '.join(lacking)}"
                return replace(cell, state=State.NOT_APPLICABLE, error=error)
        if self.state is State.TO_DO and isinstance(binding, AnybindError):
            return replace(cell, state=State.FAILED, error=" ".join(str(binding).split()))
        return replace(cell, state=self.state, error=self.error)


def prepare(evaluation: Evaluation, folders: Folders, loaded: dict[str, Dataset]) -> Prepared:
    """Create the task and load the dataset of an evaluation; an error becomes the state of its cells.

    Args:
        evaluation: the row of the suite.
        folders: where data are.
        loaded: datasets of other evaluations, by everything that decides them; this one is added.
    """
    path = None if evaluation.made or folders.data is None else folders.data / evaluation.path
    found = None if evaluation.made else path is not None and path.exists()
    prepared = Prepared(evaluation, data_found=found)
    try:
        task = create_part(TaskSpec, evaluation.task, **evaluation.options)
        if not isinstance(task, Task):
            raise BadOption(f"task {evaluation.task!r}: expected an anybind.plugin.Task, got {type(task).__name__}")
        prepared = replace(prepared, task=task)
        read = task.modalities(evaluation.modality)
        sources = tuple(dict.fromkeys(source for each in read for source in modalities.list_sources(each)))
        find_part(DatasetSpec, evaluation.dataset)  # an unknown name is reported before a missing folder
        if found is False:
            return replace(prepared, state=State.MISSING, error=_where_to_get(evaluation, folders.data))
        key = repr((evaluation.dataset, evaluation.path, evaluation.made, dict(evaluation.dataset_options), sources))
        if key not in loaded:
            dataset = _load(evaluation, path, folders, sources)
            if dataset is None:
                return prepared
            loaded[key] = dataset
        return replace(prepared, dataset=loaded[key], split_hash=loaded[key].split_hash)
    except (Exception, SystemExit) as error:
        incomplete = isinstance(error, BadInput) and prepared.task is not None and not evaluation.made
        state = State.MISSING if incomplete else State.FAILED
        return replace(prepared, state=state, error=folders.shorten(error))


def _load(evaluation: Evaluation, path: Path | None, folders: Folders, sources: tuple[str, ...]) -> Dataset | None:
    name, options = evaluation.dataset, {"modalities": sources, **evaluation.dataset_options}
    if path is not None:
        return create_part(DatasetSpec, name, path, **options)
    package = find_part(DatasetSpec, name).spec.target.partition(":")[0].partition(".")[0]
    settings = [name, sources, dict(evaluation.dataset_options), package_stamp(package)]
    folder = folders.made / f"{name}-{tables.hash_settings(settings)}"
    return make_dataset(name, folder, options) if folders.make or _complete(folder).exists() else None


def make_dataset(name: str, folder: Path, options: Mapping[str, object]) -> Dataset:
    """Load a dataset that generates its samples; the first time, into an empty folder.

    Of several processes one generates and the others wait. What a killed process has left incomplete is removed.

    Raises:
        BadInput: the folder cannot be written.
        AnybindError: as the dataset raises.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(folder.with_name(f"{folder.name}.lock")):
            if not _complete(folder).exists():
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
            dataset = create_part(DatasetSpec, name, folder, **options)
            _complete(folder).touch()
            return dataset
    except OSError as error:
        raise BadInput(f"cannot write below {folder.parent}: {error.strerror or error}") from error


def _complete(folder: Path) -> Path:
    """A file that marks a folder as complete."""
    return folder.with_name(f"{folder.name}.whole")


def _where_to_get(evaluation: Evaluation, data: Path | None) -> str:
    """What is missing, and where it is published, if the dataset has that."""
    path, dataset = evaluation.path, evaluation.dataset
    found = dataset_class(dataset)
    source = f"; {dataset} is published at {found.published}" if found and found.published else ""
    if data is None:
        return f"needs the folder {path} of {dataset}; give the folder of all data by --data{source}"
    return f"there is no {path} in the folder of all data{source}"
