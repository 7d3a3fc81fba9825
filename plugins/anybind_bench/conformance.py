"""Conformance checks of suites: nothing is evaluated."""

from __future__ import annotations

from importlib.resources.abc import Traversable

from anybind.plugin import BindingSpec, DatasetSpec, ModalitySpec, Spec, TaskSpec, create_part, errors, find_part
from anybind.testing import Case, Checks, Skip, computed_once
from anybind_bench.suite import Suite

CHECKS = Checks()
Held = Suite | Traversable
"""A suite, or the file of a registered one."""


def read_suite(case: Case[Held]) -> Suite:
    """Read the suite's file."""
    return case.part if isinstance(case.part, Suite) else Suite.from_toml(case.part)


@CHECKS.add("follow the format of suite files, and give the suite its registered name")
def check_file(case: Case[Held]) -> None:
    name = read_suite(case).name
    assert case.spec is None or case.spec.name == name, f"it is registered as {case.spec.name!r} and named {name!r}"


suite = computed_once(read_suite, "suite")


@CHECKS.add("name tasks, datasets and modalities that are registered, and bindings by name or NAME:ARGUMENT")
def check_parts_are_registered(case: Case[Held]) -> None:
    named: list[tuple[type[Spec], str]] = [(BindingSpec, name.partition(":")[0]) for name in suite(case).bindings]
    for row in suite(case).evaluations:
        named += [(TaskSpec, row.task), (DatasetSpec, row.dataset), (ModalitySpec, row.modality)]
    for kind, name in named:
        find_part(kind, name)


@CHECKS.add("give each task options that it takes")
def check_task_options(case: Case[Held]) -> None:
    for row in suite(case).evaluations:
        try:
            create_part(TaskSpec, row.task, **row.options)
        except errors.MissingExtra as error:
            raise Skip(str(error)) from error
