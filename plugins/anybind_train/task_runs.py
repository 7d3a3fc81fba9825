"""Functions that the training tasks share: recipes from task options, training splits, runs and their evaluation."""

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
from anybind_train.optimise import scale_learning_rate
from anybind_train.probe import exclude_items
from anybind_train.recipe import Recipe

# The `path` of the two datasets in these tasks' recipes; recipe hashes in published results depend on them.
TRAIN_DATA, TEST_DATA = "lessons", "asked"

TrainingSplit = str | Mapping[str, object] | None
"""A split of the dataset by name, or options that open another one, or None for the default."""


def build_recipe(
    table: Mapping[str, object], options: Mapping[str, object], *, binder: Binder, modality: str
) -> Recipe:
    """Build the recipe of a task.

    Args:
        table: recipe keys that the task sets, tables as in a recipe file.
        options: recipe keys of the task's user; entries of tables override those of `table` one by one.
        binder: its binding is trained.
        modality: of the student.

    Raises:
        BadOption: an unknown key, one that the task sets, or an invalid value.
    """
    merged: dict[str, object] = {"binding": binder.name, "modality": modality, **table}
    for key, value in options.items():
        if key in ("name", "binding", "modality", "data", "probe", "seed"):
            raise BadOption(f"{merged['name']}: cannot set the option {key}, which the task sets")
        default = merged.get(key)
        merged[key] = {**default, **value} if isinstance(value, Mapping) and isinstance(default, Mapping) else value
    return tables.parse_table(Recipe, _convert_tuples(merged), f"the task {merged['name']}")


def _convert_tuples(value: object) -> object:
    """Convert tuples to lists, recursively, as in a recipe file."""
    if isinstance(value, Mapping):
        return {key: _convert_tuples(each) for key, each in value.items()}
    return [_convert_tuples(each) for each in value] if isinstance(value, list | tuple) else value


def select_training_data(dataset: Dataset, train: TrainingSplit) -> Dataset:
    """Select the training data of a dataset.

    Args:
        dataset: the split to evaluate on.
        train: the name of another split; or options to open the dataset with again, from the same folder; None for the
            split `train`, or the dataset itself if it has no splits.

    Raises:
        BadInput: the folder lacks the split.
        BadOption: an unknown split or option, or options for a dataset that has no folder.
    """
    if isinstance(train, Mapping):
        return dataset.with_options(**train)
    if train is None and not dataset.split_names():
        return dataset
    return dataset.with_split(train or "train")


@contextlib.contextmanager
def open_work_folder(output: str | Path | None) -> Iterator[Path]:
    """Open the folder of the runs: `output`, or a temporary one.

    Under `torchrun` every rank trains by itself, on its own device, and `output` is the first rank's alone.
    """
    if output is not None and ranks.get_rank() == 0:
        yield Path(output)
        return
    with tempfile.TemporaryDirectory(prefix="anybind-") as folder:
        yield Path(folder)


def run_training(recipe: Recipe, sources: Mapping[str, Dataset], folder: Path, binder: Binder) -> TrainingRun:
    """Train to the last epoch in a subfolder of the recipe's own, or resume an interrupted run there.

    The binder's encoders are unchanged: the run loads its own, on the same device. Ranks do not share the work, since
    one may resume where another starts.
    """
    encoders = {name: binder.identity(name) for name in (recipe.modality, recipe.teacher) if name}
    output = folder / tables.hash_settings(
        [recipe.hash, encoders, {name: dataset.split_hash for name, dataset in sources.items()}]
    )
    # A rank's process has one device of several: Fabric needs its index.
    device = f"cuda:{torch.cuda.current_device()}" if binder.device == "cuda" else binder.device
    with ranks.single_process():
        run = TrainingRun(
            recipe,
            sources,
            output,
            binding=binder.binding,
            teacher_cache=folder / "cache",
            store=binder.store,
            fabric=make_fabric(recipe.precision, device),
            resume=(output / STATE).is_file(),
        )
        run.execute()
    return run


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
    """Evaluate a finished run by the task `zero-shot`, on samples that it was not trained on.

    Args:
        run: a finished run.
        dataset: training samples in it are excluded, and counted as `left_out`.
        candidate_labels: class names to choose among, as in the task `zero-shot`.
        name: task of the result.
        seed: of derived samples.
        curves: of the result, see `Result`.
        on_bad: called with the id and the error of samples that cannot be used.
        details: further details of the result.
    """
    test_data = exclude_items(dataset, run.data.source_keys)
    options = candidate_options(candidate_labels)
    task = create_part("task", "zero-shot", templates=run.recipe.templates, **options)
    with ranks.single_process():  # every rank has trained by itself
        result: Result = task.run(run.binder, test_data, modality=run.recipe.modality, seed=seed, on_bad=on_bad)
    details = {**result.details, "left_out": len(dataset.items) - len(test_data.items), **details}
    return replace(result, task=name, split_hash=dataset.split_hash, details=details, curves=curves or {})


def candidate_options(candidate_labels: str | Iterable[str] | None) -> dict[str, object]:
    """Return the options of the task `zero-shot` for these candidate labels."""
    labels = candidate_labels if candidate_labels in (None, "all") else list(candidate_labels)
    return {} if labels is None else {"candidate_labels": labels}


def collect_curves(probes: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """Collect the curves of top-1 by epoch, see `Result.curves`, from the probes of each training run."""
    return {
        name: {"epoch": [probe["epoch"] for probe in rows], "top1": [probe["top1"] for probe in rows]}
        for name, rows in probes.items()
        if rows
    }


def describe_run(run: TrainingRun) -> dict[str, object]:
    """Describe the training of a run: JSON-like, the same on every machine."""
    recipe, student = run.recipe, run.recipe.student
    return {
        "method": student.method,
        "epochs": recipe.epochs,
        "steps": run.steps,
        "batch_size": recipe.batch_size,
        "lr": scale_learning_rate(recipe.optimiser, recipe.batch_size).lr,
        "samples": len(run.data),
        "classes": len(run.data.classes),
        "recipe": recipe.hash,
        "data": run.data.hash,
        **({"skipped": len(run.progress.skipped)} if run.progress.skipped else {}),
    }
