"""What every task is held to."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

from anybind.binder import Binder
from anybind.dataset import Dataset, Item
from anybind.result import Result
from anybind.task import Task
from anybind.testing.rules import NotChecked, Rules, require, require_json_like, require_refusal, told

TASK_RULES = Rules()
_rule = TASK_RULES.rule


@dataclass
class TaskCase:
    """A task, and what it is asked: a binder, a data set, and what its samples are embedded as."""

    task: Task
    binder: Binder
    dataset: Dataset
    modality: str

    def run(self, seed: int = 0, dataset: Dataset | None = None, on_bad: Any = None) -> Result:
        return self.task.run(self.binder, dataset or self.dataset, modality=self.modality, seed=seed, on_bad=on_bad)

    @functools.cached_property
    def result(self) -> Result:
        """Its answer; raises `NotChecked` where it gives none."""
        try:
            result = self.run()
        except Exception as error:
            raise NotChecked(f"it does not answer ({told(error)})") from error
        if not isinstance(result, Result):
            raise NotChecked("it gives no anybind.Result")
        return result


class Damaged(Dataset):
    """A data set with a sample in it that cannot be used."""

    def __init__(self, whole: Dataset) -> None:
        self.name, self.whole = whole.name, whole
        self.bad = replace(whole.items[0], id="cannot be used", source=object(), partners={})

    @property
    def items(self) -> list[Item]:
        return [*self.whole.items, self.bad]

    @property
    def classes(self) -> Any:
        return self.whole.classes


@_rule("name and main metric", "set `name` and `main_metric` in the class")
def _names(case: TaskCase) -> None:
    for field in ("name", "main_metric"):
        value = getattr(case.task, field, None)
        require(isinstance(value, str) and value, f"{field} is {value!r}")


@_rule("answers", "make `run` give an anybind.Result")
def _answers(case: TaskCase) -> None:
    result = case.run()
    require(isinstance(result, Result), f"run gives a {type(result).__name__}")


@_rule(
    "says what was asked",
    "hand on task, dataset, split_hash, binding, modality and seed to the Result as they were given",
)
def _asked(case: TaskCase) -> None:
    wanted = {
        "task": case.task.name,
        "dataset": case.dataset.name,
        "split_hash": case.dataset.split_hash,
        "binding": case.binder.name,
        "modality": case.modality,
        "seed": 0,
    }
    for field, value in wanted.items():
        got = getattr(case.result, field)
        require(got == value, f"{field} is {got!r}, and {value!r} was asked")


@_rule("names the encoders", "give as `encoders` the identity of each modality's, from `binder.identity(modality)`")
def _encoders(case: TaskCase) -> None:
    for modality, identity in case.result.encoders.items():
        known = case.binder.identity(modality)
        require(
            str(identity).startswith(known), f"the encoder of {modality} is {identity!r}, and the binder has {known!r}"
        )
    require(case.modality in case.result.encoders, f"encoders does not name that of {case.modality}")


@_rule("metrics", "give every metric as a finite number, and the one that `main_metric` names among them")
def _metrics(case: TaskCase) -> None:
    metrics = case.result.metrics
    require(case.task.main_metric in metrics, f"{case.task.main_metric!r} is not among {sorted(metrics)}")
    for name, value in metrics.items():
        require(math.isfinite(float(value)), f"{name} is {value}")


@_rule("result is JSON-like", "give texts and numbers: `float(x)` and `.tolist()` of what NumPy made")
def _json(case: TaskCase) -> None:
    require_json_like({name: float(value) for name, value in case.result.metrics.items()}, "metrics")
    require_json_like(dict(case.result.details), "details")
    case.result.to_dict()


@_rule("deterministic", "take all randomness from the seed")
def _deterministic(case: TaskCase) -> None:
    once, again = case.result.metrics, case.run().metrics
    require(dict(once) == dict(again), f"asked twice with one seed, it answers {dict(once)} and {dict(again)}")


@_rule("says which sample is bad", "hand `on_bad` on to `binder.embed`: without it the first bad sample raises")
def _bad_samples(case: TaskCase) -> None:
    case.result  # noqa: B018
    damaged = Damaged(case.dataset)
    require_refusal(lambda: case.run(dataset=damaged), "a sample that cannot be used")
    noted: list[str] = []
    case.run(dataset=damaged, on_bad=lambda id, error: noted.append(id))
    require(noted, "with on_bad, a sample that cannot be used was left out without a word")
