"""Conformance checks of suites, without evaluating them."""

from __future__ import annotations

from importlib.resources.abc import Traversable

from anybind.plugin import BindingSpec, DatasetSpec, ModalitySpec, TaskSpec, create_part, errors, find_part, kinds
from anybind.testing import Case, Checks, Skip, computed_once
from anybind_bench.suite import Suite

CHECKS = Checks()
SuiteOrFile = Suite | Traversable
"""A suite, or the file of a registered suite."""


def read_suite(case: Case[SuiteOrFile]) -> Suite:
    """Read the suite's file."""
    return case.part if isinstance(case.part, Suite) else Suite.from_toml(case.part)


@CHECKS.add("follow the format of suite files, and give the suite its registered name")
def check_file(case: Case[SuiteOrFile]) -> None:
    name = read_suite(case).name
    assert case.spec is None or case.spec.name == name, f"suite {name!r} is registered as {case.spec.name!r}"


get_suite = computed_once(read_suite, "suite")


@CHECKS.add("name registered tasks, datasets and modalities, and bindings by name or NAME:ARGUMENT")
def check_parts_are_registered(case: Case[SuiteOrFile]) -> None:
    parts: list[tuple[type[kinds.Spec], str]] = [
        (BindingSpec, name.partition(":")[0]) for name in get_suite(case).bindings
    ]
    for evaluation in get_suite(case).evaluations:
        parts += [(TaskSpec, evaluation.task), (DatasetSpec, evaluation.dataset), (ModalitySpec, evaluation.modality)]
    for kind, name in parts:
        find_part(kind, name)


@CHECKS.add("give each task only options it supports")
def check_task_options(case: Case[SuiteOrFile]) -> None:
    for evaluation in get_suite(case).evaluations:
        try:
            create_part(TaskSpec, evaluation.task, **evaluation.options)
        except errors.MissingExtra as error:
            raise Skip(str(error)) from error
