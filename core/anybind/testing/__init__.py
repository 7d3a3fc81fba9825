"""Conformance checks: whether a plugin's parts keep the plugin contract.

    from anybind.testing import parametrize_with_checks

    @parametrize_with_checks("my-plugin")
    def test_conformance(check):
        check()

or for one object, installed or not:

    from anybind.testing import Example, check

    check(ThermalTower(), Example(samples=images))

A failure names each failed check, what was found, and the remedy. Only `parametrize_with_checks` needs pytest.
"""

from __future__ import annotations

from anybind.testing.assertions import Skip, assert_close, assert_json, assert_refused
from anybind.testing.checks import Case, Check, Checks, NotConforming, Outcome, Report, shared
from anybind.testing.example import Example
from anybind.testing.run import check, checks_for, examine, parametrize_with_checks, parts_of
from anybind.testing.stand_in import stand_in_binder

__all__ = [
    "Case",
    "Check",
    "Checks",
    "Example",
    "NotConforming",
    "Outcome",
    "Report",
    "Skip",
    "assert_close",
    "assert_json",
    "assert_refused",
    "check",
    "checks_for",
    "examine",
    "parametrize_with_checks",
    "parts_of",
    "shared",
    "stand_in_binder",
]
