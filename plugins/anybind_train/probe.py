"""The question that is asked after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anybind import Binder
from anybind.plugin import BadInput, BadOption, Dataset, Item, Task, create_part, errors, ranks
from anybind_train.data import Sources, class_names, open_dataset
from anybind_train.recipe import Recipe


class Some(Dataset):
    """A data set of which some items are kept, and some classes."""

    def __init__(self, whole: Dataset, keep: Callable[[Item], bool], classes: Sequence[str] | None = None) -> None:
        self.name, self.licence, self.whole = whole.name, whole.licence, whole
        self._items = [item for item in whole.items if keep(item)]
        self._classes = whole.classes if classes is None else classes

    @property
    def items(self) -> Sequence[Item]:
        return self._items

    @property
    def classes(self) -> Sequence[str]:
        return self._classes

    @property
    def all_classes(self) -> Sequence[str]:
        return self.whole.all_classes


def without(whole: Dataset, trained_on: set[tuple[str | int, str]]) -> Dataset:
    """A data set less the items that are trained on, which are known by their `source_key`."""
    return Some(whole, lambda item: source_key(item) not in trained_on)


@dataclass(frozen=True)
class Question:
    """A task, what it is asked about, and which of its metrics counts."""

    task: Task
    dataset: Dataset
    metric: str


def source_key(item: Item) -> tuple[str | int, str]:
    """What tells two recordings apart: where they lie, or which sample in memory they are, and which part."""
    place = str(item.source) if isinstance(item.source, str | Path) else id(item.source)
    return place, repr(sorted(item.options.items()))


def probe_of(recipe: Recipe, sources: Sources, trained_on: set[tuple[str | int, str]]) -> Question | None:
    """The recipe's probe, made; None where it has none.

    Raises:
        BadInput: it would ask about samples that are trained on, though it is not told to hold them out.
    """
    plan = recipe.probe
    if plan is None:
        return None
    dataset = open_dataset(plan, sources, recipe.modality)
    known = [item for item in dataset.items if source_key(item) in trained_on]
    if known and not plan.held_out:
        raise BadInput(
            f"the probe asks about {len(known)} samples that are trained on ({known[0].id}, ...):"
            " keep other classes, or set probe.held_out = true"
        )
    options: dict[str, object] = {"templates": recipe.templates, **plan.task_options}
    if plan.among:
        named = list(dataset.all_classes) if plan.among == "all" else class_names(plan.among, sources)
        options["among"] = named if plan.among == "all" else [dataset.resolve_class_name(name) for name in named]
    task: Task = create_part("task", plan.task, **options)
    return Question(task, without(dataset, trained_on) if known else dataset, plan.metric or task.main_metric)


def ask_probe(question: Question, binder: Binder, recipe: Recipe) -> dict[str, float]:
    """The metrics of the binding as it is now; raises `BadOption` where the one that counts is not among them."""
    with ranks.single_process():  # of several processes only one asks
        result = question.task.run(binder, question.dataset, modality=recipe.modality, seed=recipe.seed)
    if question.metric not in result.metrics:
        near = errors.suggest_names(question.metric, result.metrics)
        raise BadOption(f"probe.metric: the task {question.task.name!r} gives no {question.metric!r}{near}")
    return {name: float(value) for name, value in result.metrics.items()}
