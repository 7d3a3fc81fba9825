"""`embed` and `evaluate`: embed files, and evaluate a task on a dataset, in one call each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anybind.binder import Binder
from anybind.dataset import Dataset, load_dataset
from anybind.embeddings import Embeddings, concatenate
from anybind.errors import AnybindError, OnBad, PluginError
from anybind.input_files import list_paths
from anybind.loaded import load
from anybind.modality import has_windows, list_sources
from anybind.part import explain_failure, refuse_arguments
from anybind.reader import group_by_modality, list_sample_files, make_items
from anybind.registry import create_part, find_part
from anybind.result import Result
from anybind.spec import ModalitySpec, TaskSpec
from anybind.task import Task
from anybind.windows import WindowOptions, embed_windows

if TYPE_CHECKING:
    from anybind.store import EmbeddingStore


def embed(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    binding: str | os.PathLike[str] | Binder = "mini",
    batch_size: int | None = None,
    workers: int | None = None,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: OnBad | None = None,
    reader_options: Mapping[str, object] | None = None,
    options: WindowOptions | None = None,
) -> dict[str, Embeddings]:
    """Embed files into one space, each as the modality that it holds.

    Args:
        paths: files, or folders that are searched for files of the binding's modalities; one or several.
        binding: as `load` takes it, or a binder.
        batch_size: number of samples encoded at once. [default: the binder's, 32]
        workers: number of files decoded at a time. [default: the binder's, one a processor, at most 4]
        device: torch device, unless `binding` is a binder.
        store: where embeddings are looked up and stored, unless `binding` is a binder. [default: nowhere]
        on_bad: called with the id and the error of each file that cannot be used, which is then left out; by default
            the first one raises.
        reader_options: options for the readers that take them, such as `max_pixels`.
        options: part of each recording, and its windows; files of modalities without windows ignore it. [default:
            windows for event recordings of more than 0.6 s and sounds of more than 10 s]

    Returns:
        embeddings by modality, rows in the order of the files, and of the windows of each: their ids end in the time
        range, such as `rec.raw#0.1-0.2s`.

    Raises:
        BadInput: a file is missing, unreadable, or of no modality of the binding.
        BadOption: an option that no reader of these files takes.
    """
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, store=store)
    files = list_sample_files(list_paths(paths), binder.modalities)
    by_modality = group_by_modality(files, binder.modalities, on_bad)
    items = make_items(by_modality, reader_options)
    groups: dict[str, Embeddings] = {}
    for modality, group in items.items():
        if has_windows(modality):
            chosen = options or WindowOptions()
            recordings = embed_windows(
                binder, modality, group, chosen, batch_size=batch_size, workers=workers, on_bad=on_bad
            )
            parts = [recording.embeddings for recording in recordings if len(recording.embeddings)]
            groups |= {modality: concatenate(parts)} if parts else {}
        else:
            groups[modality] = binder.embed(modality, group, batch_size=batch_size, workers=workers, on_bad=on_bad)
    return {modality: group for modality, group in groups.items() if len(group)}


def evaluate(
    task: str | Task,
    data: str | os.PathLike[str] | Dataset,
    *,
    modality: str,
    binding: str | os.PathLike[str] | Binder = "mini",
    dataset: str = "folder",
    task_options: Mapping[str, object] | None = None,
    dataset_options: Mapping[str, object] | None = None,
    seed: int = 0,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: OnBad | None = None,
) -> Result:
    """Evaluate a task on a dataset.

    Args:
        task: a task by name, or a task.
        data: the folder of the dataset, or a dataset.
        modality: what samples are embedded as; those of another modality are derived where that is possible.
        binding: as `load` takes it, or a binder.
        dataset: the registered dataset that reads the folder.
        task_options: options of the task, by name.
        dataset_options: options of the dataset, by name.
        seed: of all randomness; it is in the result.
        device: torch device, unless `binding` is a binder.
        store: where embeddings are looked up and stored, unless `binding` is a binder. [default: nowhere]
        on_bad: called with the id and the error of each sample that cannot be used, which is then left out; by default
            the first one raises.

    Raises:
        UnknownName: no such task, dataset, binding or modality; the message offers the nearest names.
        BadOption: an option that the task or the dataset does not take.
        BadInput: the data cannot be read or does not suit the task.
        PluginError: the task raises an unexpected error, or returns something else than a result.
    """
    chosen = create_part(TaskSpec, task, **(task_options or {})) if isinstance(task, str) else task
    find_part(ModalitySpec, modality)  # an unknown name is reported before any file is looked for
    if not isinstance(data, Dataset):
        refuse_arguments(dataset_options or {}, "the task", load_dataset, "modalities")
        data = load_dataset(dataset, Path(data), modalities=task_sources(chosen, modality), **(dataset_options or {}))
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, store=store)
    binder.encoder(modality)  # an unknown modality is reported before the text encoder is loaded
    raised: list[Exception] = []
    with explain_failure(f"the task {chosen.name!r} failed", raised):
        report = None if on_bad is None else _record_errors(on_bad, raised)
        result = chosen.run(binder, data, modality=modality, seed=seed, on_bad=report)
    if not isinstance(result, Result):
        raise PluginError(f"the task {chosen.name!r}: expected a Result, got a {type(result).__name__}")
    return result


def _record_errors(on_bad: OnBad, raised: list[Exception]) -> OnBad:
    """Return a function that calls `on_bad`, and records the errors that it raises: they are the caller's own."""

    def report(sample: str, problem: AnybindError) -> None:
        try:
            on_bad(sample, problem)
        except Exception as error:
            raised.append(error)
            raise

    return report


def task_sources(task: Task, modality: str) -> tuple[str, ...]:
    """Return the modalities that a task reads, and those that they can be derived from."""
    return tuple(dict.fromkeys(source for read in task.modalities(modality) for source in list_sources(read)))
