"""Preparing an evaluation: its task, its dataset, and folders for generated datasets."""

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
    files,
    find_part,
    modalities,
    tables,
)
from anybind_bench.cell import Cell, State
from anybind_bench.encoders import hash_package
from anybind_bench.suite import Evaluation, find_dataset_class

TEXT = "text"
"""Tasks may embed prompts without declaring this modality: its encoder is part of a cell's identity if present."""


@dataclass(frozen=True)
class DataFolders:
    """The folders of data.

    Attributes:
        data: the folder of all data, if given.
        generated: the folder of generated datasets.
        generate: generate missing datasets; otherwise use only existing ones.
    """

    data: Path | None
    generated: Path
    generate: bool = True

    def format_error(self, error: BaseException) -> str:
        """Format an error for results: one line, without this machine's folders."""
        text = str(error) if isinstance(error, AnybindError) else f"internal: {type(error).__name__}: {error}"
        for folder in (self.data, self.generated):
            if folder is not None:
                text = text.replace(f"{folder}/", "")
        return " ".join(text.split())[:500]


@dataclass(frozen=True)
class PreparedEvaluation:
    """An evaluation with its task and its dataset, or why one is not available.

    Attributes:
        state: `MISSING` or `FAILED` if the task or the dataset is not available.
        dataset: None also for a dataset that is not yet generated in a dry run.
        data_exists: whether the data folder exists; None for generated datasets.
    """

    evaluation: Evaluation
    task: Task | None = None
    dataset: Dataset | None = None
    split_hash: str = ""
    data_exists: bool | None = None
    state: State = State.TO_DO
    error: str | None = None

    def list_modalities(self, binding: Binding) -> tuple[str, ...]:
        """List the modalities whose encoders are known to be used before the task runs."""
        modality = self.evaluation.modality
        required = (modality,) if self.task is None else self.task.modalities(modality)
        return tuple(dict.fromkeys([*required, *([TEXT] if TEXT in binding.encoders else [])]))

    def make_cell(self, name: str, binding: Binding | AnybindError, seed: int) -> Cell:
        """Make the cell of one binding and seed; its state is `TO_DO` unless a requirement is missing."""
        cell = Cell(self.evaluation, name, seed, main_metric=self.task.main_metric if self.task else None)
        if isinstance(binding, Binding):
            missing = [modality for modality in self.list_modalities(binding) if modality not in binding.encoders]
            if missing:
                error = f"{name} has no encoder for {' and '.join(missing)}"
                return replace(cell, state=State.NOT_APPLICABLE, error=error)
        if self.state is State.TO_DO and isinstance(binding, AnybindError):
            return replace(cell, state=State.FAILED, error=" ".join(str(binding).split()))
        return replace(cell, state=self.state, error=self.error)


def prepare_evaluation(evaluation: Evaluation, folders: DataFolders, loaded: dict[str, Dataset]) -> PreparedEvaluation:
    """Create an evaluation's task and load its dataset; an error becomes the state of its cells.

    Args:
        evaluation: evaluation of the suite.
        folders: folders of data.
        loaded: datasets of other evaluations, by their settings; this evaluation's dataset is added.
    """
    path = None if evaluation.generated or folders.data is None else folders.data / evaluation.path
    data_exists = None if evaluation.generated else path is not None and path.exists()
    prepared = PreparedEvaluation(evaluation, data_exists=data_exists)
    try:
        task = create_part(TaskSpec, evaluation.task, **evaluation.options)
        if not isinstance(task, Task):
            raise BadOption(f"task {evaluation.task!r}: expected an anybind.plugin.Task, got {type(task).__name__}")
        prepared = replace(prepared, task=task)
        task_modalities = task.modalities(evaluation.modality)
        sources = tuple(dict.fromkeys(source for each in task_modalities for source in modalities.list_sources(each)))
        find_part(DatasetSpec, evaluation.dataset)  # report an unknown name before a missing folder
        if data_exists is False:
            return replace(prepared, state=State.MISSING, error=_explain_missing_data(evaluation, folders.data))
        key = repr(
            (evaluation.dataset, evaluation.path, evaluation.generated, dict(evaluation.dataset_options), sources)
        )
        if key not in loaded:
            dataset = _load_dataset(evaluation, path, folders, sources)
            if dataset is None:
                return prepared
            loaded[key] = dataset
        return replace(prepared, dataset=loaded[key], split_hash=loaded[key].split_hash)
    except (Exception, SystemExit) as error:
        incomplete = isinstance(error, BadInput) and prepared.task is not None and not evaluation.generated
        state = State.MISSING if incomplete else State.FAILED
        return replace(prepared, state=state, error=folders.format_error(error))


def _load_dataset(
    evaluation: Evaluation, path: Path | None, folders: DataFolders, sources: tuple[str, ...]
) -> Dataset | None:
    name, options = evaluation.dataset, {"modalities": sources, **evaluation.dataset_options}
    if path is not None:
        return create_part(DatasetSpec, name, path, **options)
    package = find_part(DatasetSpec, name).spec.target.partition(":")[0].partition(".")[0]
    settings = [name, sources, dict(evaluation.dataset_options), hash_package(package)]
    folder = folders.generated / f"{name}-{tables.hash_settings(settings)}"
    return generate_dataset(name, folder, options) if folders.generate or _get_marker(folder).exists() else None


def generate_dataset(name: str, folder: Path, options: Mapping[str, object]) -> Dataset:
    """Load a generated dataset; generate its samples on the first call, in an empty folder.

    One of several processes generates while the others wait. Incomplete files of a killed process are removed.

    Raises:
        BadInput: the folder cannot be written.
        AnybindError: raised by the dataset.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with files.lock_file(folder.with_name(f"{folder.name}.lock")):
            if not _get_marker(folder).exists():
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
            dataset = create_part(DatasetSpec, name, folder, **options)
            _get_marker(folder).touch()
            return dataset
    except OSError as error:
        raise BadInput(f"cannot write below {folder.parent}: {error.strerror or error}") from error


def _get_marker(folder: Path) -> Path:
    """Return the path of the file that marks a folder as complete."""
    return folder.with_name(f"{folder.name}.whole")


def _explain_missing_data(evaluation: Evaluation, data: Path | None) -> str:
    """Explain which folder is missing, and where the dataset is published if known."""
    path, dataset = evaluation.path, evaluation.dataset
    target = find_dataset_class(dataset)
    source = f"; {dataset} is published at {target.published}" if target and target.published else ""
    if data is None:
        return f"missing data folder {path} ({dataset}); set --data to its parent folder{source}"
    return f"missing folder {path} in the data folder{source}"
