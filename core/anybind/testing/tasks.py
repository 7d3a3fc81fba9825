"""Checks of tasks, on the example's dataset and binding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from anybind.dataset import Dataset, Item
from anybind.errors import OnBad
from anybind.result import Result
from anybind.task import Task
from anybind.testing.assertions import assert_json, assert_refused, assert_texts
from anybind.testing.checks import Case, Checks, computed_once
from anybind.testing.random_encoder import get_binder

CHECKS = Checks(needs=("dataset",))


@computed_once
def get_dataset(case: Case[Task]) -> Dataset:
    """Return the example's dataset."""
    assert case.example.dataset is not None
    return case.example.dataset


def run_task(case: Case[Task], data: Dataset, on_bad: OnBad | None = None) -> Result:
    """Evaluate the task with seed 0."""
    return case.part.run(get_binder(case), data, modality=case.example.modality, seed=0, on_bad=on_bad)


class DatasetWithInvalidSample(Dataset):
    """A dataset with an additional sample that cannot be embedded."""

    def __init__(self, whole: Dataset) -> None:
        self.name, self.whole = whole.name, whole
        self.invalid = replace(whole.items[0], id="invalid sample", source=object(), partners={})

    @property
    def items(self) -> list[Item]:
        return [*self.whole.items, self.invalid]

    @property
    def classes(self) -> Sequence[str]:
        return self.whole.classes


@CHECKS.add("set `name` and `main_metric` in the class")
def check_name_and_main_metric(case: Case[Task]) -> None:
    assert_texts(case.part, "name", "main_metric")


@CHECKS.add("return an anybind.Result from `run`")
def check_returns_a_result(case: Case[Task]) -> Result:
    returned = run_task(case, get_dataset(case))
    assert isinstance(returned, Result), f"run returns a {type(returned).__name__}"
    return returned


get_result = computed_once(check_returns_a_result, "result")


@CHECKS.add("pass task, dataset, split_hash, binding, modality and seed to the Result unchanged")
def check_result_names_its_inputs(case: Case[Task]) -> None:
    expected = {
        "task": case.part.name,
        "dataset": get_dataset(case).name,
        "split_hash": get_dataset(case).split_hash,
        "binding": get_binder(case).name,
        "modality": case.example.modality,
        "seed": 0,
    }
    for field, value in expected.items():
        actual = getattr(get_result(case), field)
        assert actual == value, f"{field} is {actual!r}, expected {value!r}"


@CHECKS.add("set `encoders` to the identities of the modalities, from `binder.identity(modality)`")
def check_result_names_the_encoders(case: Case[Task]) -> None:
    encoders = get_result(case).encoders
    for modality, identity in encoders.items():
        expected = get_binder(case).identity(modality)
        assert str(identity).startswith(expected), f"the encoder of {modality} is {identity!r}, expected {expected!r}"
    assert case.example.modality in encoders, f"encoders lacks that of {case.example.modality}"


@CHECKS.add("set every metric to a finite number, including the `main_metric`")
def check_metrics(case: Case[Task]) -> None:
    metrics = get_result(case).metrics
    assert case.part.main_metric in metrics, f"{case.part.main_metric!r} is not among {sorted(metrics)}"
    for name, value in metrics.items():
        assert math.isfinite(float(value)), f"{name} is {value}"


@CHECKS.add("use strings and numbers: `float(x)` and `.tolist()` of NumPy values")
def check_result_is_json(case: Case[Task]) -> None:
    assert_json({name: float(value) for name, value in get_result(case).metrics.items()}, "metrics")
    assert_json(dict(get_result(case).details), "details")
    get_result(case).to_dict()


@CHECKS.add("take all randomness from the seed")
def check_deterministic(case: Case[Task]) -> None:
    first, second = dict(get_result(case).metrics), dict(run_task(case, get_dataset(case)).metrics)
    assert first == second, f"run twice with one seed, it returns {first} and {second}"


@CHECKS.add("pass `on_bad` to `binder.embed`: without it the first invalid sample raises")
def check_reports_invalid_samples(case: Case[Task]) -> None:
    get_result(case)
    data = DatasetWithInvalidSample(get_dataset(case))
    assert_refused(lambda: run_task(case, data), "an invalid sample")
    skipped: list[str] = []
    run_task(case, data, on_bad=lambda id, error: skipped.append(id))
    assert skipped, "with on_bad, an invalid sample was skipped silently"
