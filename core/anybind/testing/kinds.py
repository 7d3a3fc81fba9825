"""Checks of kinds that a plugin declares."""

from __future__ import annotations

import importlib

from anybind.part import Part
from anybind.spec import KindSpec, Spec
from anybind.testing.checks import Case, Check, Checks

CHECKS = Checks()


def import_attribute(target: str) -> object:
    """Import `package.module:attribute`."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


@CHECKS.add("set `spec` to the kind's spec class, which derives from Spec and has the kind's name as `kind`")
def check_spec_class(case: Case[Part[KindSpec]]) -> None:
    spec = import_attribute(case.part.spec.spec)
    assert isinstance(spec, type) and issubclass(spec, Spec), f"{case.part.spec.spec} is not a subclass of Spec"
    assert spec.kind == case.part.name, f"its spec class is of the kind {spec.kind!r}"


@CHECKS.add("set `target` to the base class of the kind's parts")
def check_base_class(case: Case[Part[KindSpec]]) -> None:
    assert isinstance(case.part.load(), type), f"{case.part.spec.target} is not a class"


@CHECKS.add(
    "set `checks` to a list of `anybind.testing.Checks`, each with a remedy",
    applies=lambda case: bool(case.part.spec.checks),
)
def check_checks(case: Case[Part[KindSpec]]) -> None:
    checks = import_attribute(case.part.spec.checks)
    assert isinstance(checks, Checks) and checks, f"{case.part.spec.checks} is not a list of checks"
    for check in checks:
        assert isinstance(check, Check) and check.remedy, f"the check {check.name} has no remedy"
