"""The question that is asked after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anybind import Binder
from anybind.plugin import BadInput, BadOption, Dataset, Item, Task, create_part, errors, ranks
from anybind_train.data import Sources, open_dataset, parse_class_names
from anybind_train.recipe import Recipe


class DatasetSubset(Dataset):
    """A data set of which some items are kept, and some classes."""

    def __init__(self, dataset: Dataset, keep: Callable[[Item], bool], classes: Sequence[str] | None = None) -> None:
        self.name, self.licence, self.dataset = dataset.name, dataset.licence, dataset
        self._items = [item for item in dataset.items if keep(item)]
        self._classes = dataset.classes if classes is None else classes

    @property
    def items(self) -> Sequence[Item]:
        return self._items

    @property
    def classes(self) -> Sequence[str]:
        return self._classes

    @property
    def all_classes(self) -> Sequence[str]:
        return self.dataset.all_classes


def exclude_items(dataset: Dataset, trained_on: set[tuple[str | int, str]]) -> Dataset:
    """A data set less the items that are trained on, which are known by their `source_key`."""
    return DatasetSubset(dataset, lambda item: get_source_key(item) not in trained_on)


@dataclass(frozen=True)
class ProbeTask:
    """A task, what it is asked about, and which of its metrics counts."""

    task: Task
    dataset: Dataset
    metric: str


def get_source_key(item: Item) -> tuple[str | int, str]:
    """What tells two recordings apart: where they lie, or which sample in memory they are, and which part."""
    place = str(item.source) if isinstance(item.source, str | Path) else id(item.source)
    return place, repr(sorted(item.options.items()))


def build_probe(recipe: Recipe, sources: Sources, trained_on: set[tuple[str | int, str]]) -> ProbeTask | None:
    """The recipe's probe, made; None where it has none.

    Raises:
        BadInput: it would ask about samples that are trained on, though it is not told to hold them out.
    """
    plan = recipe.probe
    if plan is None:
        return None
    dataset = open_dataset(plan, sources, recipe.modality)
    known = [item for item in dataset.items if get_source_key(item) in trained_on]
    if known and not plan.held_out:
        raise BadInput(
            f"the probe asks about {len(known)} samples that are trained on ({known[0].id}, ...):"
            " keep other classes, or set probe.held_out = true"
        )
    options: dict[str, object] = {"templates": recipe.templates, **plan.task_options}
    if plan.candidate_labels:
        named = (
            list(dataset.all_classes)
            if plan.candidate_labels == "all"
            else parse_class_names(plan.candidate_labels, sources)
        )
        options["among"] = (
            named if plan.candidate_labels == "all" else [dataset.resolve_class_name(name) for name in named]
        )
    task: Task = create_part("task", plan.task, **options)
    return ProbeTask(task, exclude_items(dataset, trained_on) if known else dataset, plan.metric or task.main_metric)


def run_probe(probe: ProbeTask, binder: Binder, recipe: Recipe) -> dict[str, float]:
    """The metrics of the binding as it is now; raises `BadOption` where the one that counts is not among them."""
    with ranks.single_process():  # of several processes only one asks
        result = probe.task.run(binder, probe.dataset, modality=recipe.modality, seed=recipe.seed)
    if probe.metric not in result.metrics:
        near = errors.suggest_names(probe.metric, result.metrics)
        raise BadOption(f"probe.metric: the task {probe.task.name!r} gives no {probe.metric!r}{near}")
    return {name: float(value) for name, value in result.metrics.items()}
