"""What the tasks that learn share: recipes from options, training parts, runs and their folders, the last question."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from anybind import Binder, Result
from anybind.plugin import BadOption, Dataset, create_part, errors, ranks, tables
from anybind_train.devices import make_fabric
from anybind_train.engine import STATE, TrainingRun
from anybind_train.probe import exclude_items, get_source_key
from anybind_train.recipe import Recipe

TRAIN_DATA, TEST_DATA = "lessons", "asked"
"""The names by which these tasks' recipes call the data sets that they are given."""

TrainingSplit = str | Mapping[str, object] | None
"""How a training part is named: a part of the data set, or a table of its options, or None for what there is."""


def build_recipe(
    table: Mapping[str, object], options: Mapping[str, object], *, binder: Binder, modality: str
) -> Recipe:
    """The recipe of a task.

    Args:
        table: what the task says: keys of a recipe, tables as in its file.
        further: what its user says besides; entries of tables are laid over the task's, one by one.
        binder: whose binding is trained.
        modality: of the student.

    Raises:
        BadOption: an unknown key, or one that the task itself has to say, or a value that makes no sense.
    """
    merged: dict[str, object] = {"binding": binder.name, "modality": modality, **table}
    for key, value in options.items():
        if key in ("name", "binding", "modality", "data", "probe", "seed"):
            raise BadOption(f"the option {key} is no one's to give: the question says it")
        former = merged.get(key)
        merged[key] = {**former, **value} if isinstance(value, Mapping) and isinstance(former, Mapping) else value
    return tables.parse_table(Recipe, _convert_tuples(merged), f"the task {merged['name']}")


def _convert_tuples(value: object) -> object:
    """Tuples as lists, all the way down, since a recipe's file has no others."""
    if isinstance(value, Mapping):
        return {key: _convert_tuples(each) for key, each in value.items()}
    return [_convert_tuples(each) for each in value] if isinstance(value, list | tuple) else value


def select_training_data(dataset: Dataset, train: TrainingSplit) -> Dataset:
    """What a data set is learned from.

    Args:
        dataset: the part that is asked about.
        train: the name of another part; or a table of options, with which the data set is made again from the same
            folder; None for the part `train` of data that are published in parts, else the data set itself.

    Raises:
        BadInput: the folder lacks the part.
        BadOption: there is no such part or option, or a table is given for data that are in no folder.
    """
    if isinstance(train, Mapping):
        return dataset.with_options(**train)
    if train is None and not dataset.split_names():
        return dataset
    return dataset.with_split(train or "train")


@contextlib.contextmanager
def open_work_folder(output: str | Path | None) -> Iterator[Path]:
    """The folder that runs are in: one that stays, or one that goes with what it holds.

    Under `torchrun` every rank learns for itself, on its own device, and only the first one's folder stays.
    """
    if output is not None and ranks.get_rank() == 0:
        yield Path(output)
        return
    with tempfile.TemporaryDirectory(prefix="anybind-") as folder:
        yield Path(folder)


def run_training(recipe: Recipe, sources: Mapping[str, Dataset], folder: Path, binder: Binder) -> TrainingRun:
    """Train to the end, in a folder of the recipe's own in `folder`, or go on where that was interrupted.

    The binder's towers stay as they are: the run loads its own, on the same device. Ranks do not share its work: where
    one goes on, another may begin.
    """
    encoders = {of: binder.identity(of) for of in (recipe.modality, recipe.teacher) if of}
    output = folder / tables.hash_settings(
        [recipe.hash, encoders, {name: each.split_hash for name, each in sources.items()}]
    )
    with ranks.single_process():
        run = TrainingRun(
            recipe,
            sources,
            output,
            binding=binder.binding,
            teacher_cache=folder / "cache",
            store=binder.store,
            fabric=make_fabric(recipe.precision, _get_process_device(binder)),
            resume=(output / STATE).is_file(),
        )
        run.execute()
    return run


def _get_process_device(binder: Binder) -> str:
    """The binder's device with its number, where this process has one of several."""
    return f"cuda:{torch.cuda.current_device()}" if binder.device == "cuda" else binder.device


def evaluate_run(
    run: TrainingRun,
    dataset: Dataset,
    candidate_labels: str | Iterable[str] | None,
    *,
    name: str,
    seed: int,
    curves: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    on_bad: errors.OnBad | None = None,
    **details: object,
) -> Result:
    """The question `zero-shot`, asked of what a run has learned, about samples that it has not learned from.

    Args:
        run: one that has ended.
        dataset: what it is asked about; samples that are trained on are left out, and counted as `left_out`.
        among: as the task `zero-shot` takes it.
        name: of the task that the result is of.
        seed: of recordings that are derived from others.
        curves: of the result, see `Result`.
        on_bad: told of samples that cannot be used.
        details: what the result's details hold besides the question's own.
    """
    rest = exclude_items(dataset, {get_source_key(pair.item) for pair in run.data.items})
    task = create_part(
        "task",
        "zero-shot",
        templates=run.recipe.templates,
        **({} if candidate_labels is None else {"among": candidate_labels}),
    )
    with ranks.single_process():  # each has learned for itself
        result: Result = task.run(run.binder, rest, modality=run.recipe.modality, seed=seed, on_bad=on_bad)
    told = {**result.details, "left_out": len(dataset.items) - len(rest.items), **details}
    return replace(result, task=name, split_hash=dataset.split_hash, details=told, curves=curves or {})


def describe_run(run: TrainingRun) -> dict[str, object]:
    """How was learned, and of what: JSON-like, the same on every machine."""
    recipe, student = run.recipe, run.recipe.student
    return {
        "method": student.method,
        "epochs": recipe.epochs,
        "steps": run.steps,
        "batch_size": recipe.batch_size,
        "lr": recipe.optimiser.lr,
        "samples": len(run.data),
        "classes": len(run.data.classes),
        "recipe": recipe.hash,
        "data": run.data.hash,
    }
