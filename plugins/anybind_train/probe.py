"""The probe: an evaluation that runs after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anybind import Binder
from anybind.plugin import BadInput, BadOption, Dataset, Item, Task, create_part, errors, ranks
from anybind_train.data import SourceKey, Sources, get_source_key, open_dataset, parse_class_names
from anybind_train.invalid_samples import InvalidSamples
from anybind_train.recipe import Recipe

LOWER_IS_BETTER = {"rank", "loss", "error"}
"""Words in names of metrics that cannot select the best epoch: the best one has the highest value."""


class DatasetSubset(Dataset):
    """A subset of a dataset's items, and optionally of its classes."""

    def __init__(self, dataset: Dataset, keep: Callable[[Item], bool], classes: Sequence[str] | None = None) -> None:
        self.name, self.licence, self.dataset = dataset.name, dataset.licence, dataset
        self.set_items([item for item in dataset.items if keep(item)], dataset.classes if classes is None else classes)

    @property
    def all_classes(self) -> Sequence[str]:
        return self.dataset.all_classes


def exclude_items(dataset: Dataset, keys: set[SourceKey]) -> Dataset:
    """Return the dataset without the items of these source keys."""
    return DatasetSubset(dataset, lambda item: get_source_key(item) not in keys)


@dataclass(frozen=True)
class ProbeTask:
    """A task, its dataset, the metric that selects the best epoch, and invalid samples that are left out."""

    task: Task
    dataset: Dataset
    metric: str
    invalid: InvalidSamples


def build_probe(recipe: Recipe, sources: Sources, trained_on: set[SourceKey]) -> ProbeTask | None:
    """Build the recipe's probe; None if the recipe has none.

    Raises:
        BadInput: the probe shares samples with the training data, and `probe.held_out` is not set.
        BadOption, UnknownName: no such task or options, or lower values of `probe.metric` are better.
    """
    config = recipe.probe
    if config is None:
        return None
    dataset = open_dataset(config, sources, recipe.modality)
    shared = [item for item in dataset.items if get_source_key(item) in trained_on]
    if shared and not config.held_out:
        raise BadInput(
            f"probe: {len(shared)} samples are also training samples ({shared[0].id}, ...):"
            " select other classes, or set probe.held_out = true"
        )
    options: dict[str, object] = {"templates": recipe.templates, **config.task_options}
    if config.candidate_labels == "all":
        options["candidate_labels"] = list(dataset.all_classes)
    elif config.candidate_labels:
        names = parse_class_names(config.candidate_labels, sources)
        options["candidate_labels"] = [dataset.resolve_class_name(name) for name in names]
    task: Task = create_part("task", config.task, **options)
    metric = config.metric or task.main_metric
    if LOWER_IS_BETTER & set(metric.split("_")):
        raise BadOption(f"probe.metric: expected a metric whose higher values are better, got {metric!r}")
    samples = exclude_items(dataset, trained_on) if shared else dataset
    invalid = InvalidSamples(recipe.skip_invalid, len(samples.items), "probe")
    return ProbeTask(task, samples, metric, invalid)


def run_probe(probe: ProbeTask, binder: Binder, recipe: Recipe) -> dict[str, float]:
    """Evaluate the binding as it is now; return the metrics.

    Raises:
        BadInput: more samples are invalid than the recipe allows.
        BadOption: the task has no metric of the probe's name.
    """
    probe.invalid.start_epoch()
    on_bad = probe.invalid.skip if recipe.skip_invalid else None
    with ranks.single_process():  # only the main process evaluates
        result = probe.task.run(binder, probe.dataset, modality=recipe.modality, seed=recipe.seed, on_bad=on_bad)
    if probe.metric not in result.metrics:
        near = errors.suggest_names(probe.metric, result.metrics)
        raise BadOption(f"probe.metric: the task {probe.task.name!r} has no metric {probe.metric!r}{near}")
    return {name: float(value) for name, value in result.metrics.items()}
