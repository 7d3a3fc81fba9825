"""Conformance checks of the plugin contract.

    from anybind.testing import parametrize_with_checks

    @parametrize_with_checks("my-plugin")
    def test_conformance(check):
        check()

or for one object, installed or not:

    from anybind.testing import Example, check

    check(ThermalEncoder(), Example(samples=images))

A failure has the name, the finding and the remedy of each failed check. Only `parametrize_with_checks` needs pytest.
"""

from __future__ import annotations

from anybind.testing.assertions import Skip, assert_close, assert_json, assert_refused
from anybind.testing.checks import Case, Check, Checks, ConformanceError, Outcome, Report, computed_once
from anybind.testing.example import Example
from anybind.testing.random_encoder import make_random_binder
from anybind.testing.run import check, check_part, checks_for, list_plugin_parts, parametrize_with_checks

__all__ = [
    "Case",
    "Check",
    "Checks",
    "ConformanceError",
    "Example",
    "Outcome",
    "Report",
    "Skip",
    "assert_close",
    "assert_json",
    "assert_refused",
    "check",
    "check_part",
    "checks_for",
    "computed_once",
    "list_plugin_parts",
    "make_random_binder",
    "parametrize_with_checks",
]
