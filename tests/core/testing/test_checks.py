"""Running and listing checks, equality of samples, and JSON values."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from anybind.errors import AnybindWarning, PluginError, UnknownName
from anybind.registry import list_parts, registry
from anybind.spec import EncoderSpec, KindSpec
from anybind.testing import (
    Case,
    Check,
    Checks,
    Example,
    Skip,
    assert_json,
    check,
    check_part,
    checks_for,
    computed_once,
)
from anybind.testing.assertions import is_equal
from anybind.testing.checks import run_check


@dataclass(frozen=True, eq=False)
class Sample:
    values: np.ndarray
    rate: float = 1.0


class Plain:
    def __init__(self, value):
        self.value = value


A = np.arange(3.0)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (A, A.copy(), True),
        (A, A.astype(np.float32), False),
        (A, A[:2], False),
        (A * np.nan, A * np.nan, True),
        (Sample(A), Sample(A.copy()), True),
        (Sample(A), Sample(A + 1), False),
        (Sample(A), Sample(A, 2.0), False),
        (Plain(A), Plain(A.copy()), True),
        (Plain(A), Plain(A + 1), False),
        ([A, "a"], [A.copy(), "a"], True),
        ([A], [A, A], False),
        ({"a": A}, {"a": A + 1}, False),
        ("a", "b", False),
        (math.nan, math.nan, True),
        (1, 1.0, False),
        (None, None, True),
    ],
)
def test_samples_are_equal_if_their_content_is(one, other, equal):
    assert is_equal(one, other) is equal


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, ("x",)], "b": {"c": "d"}}, [], "text"])
def test_json_values_pass(value):
    assert_json(value, "it")


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ({"a": {1, 2}}, r"it\['a'\] is a set"),
        ({"a": [np.float32(1)]}, r"it\['a'\]\[0\] is a float32"),
        ({1: "a"}, "it has the key 1"),
        ([math.inf], r"it\[0\] is inf"),
    ],
)
def test_other_values_fail_with_their_position(value, seen):
    with pytest.raises(AssertionError, match=seen):
        assert_json(value, "it")


def run(function, example=None):
    return run_check(Check("a_check", "mend it", function), Case("a part", example or Example()))


def fail(case):
    raise AssertionError("no\ngood\nassert False")


def skip(case):
    raise Skip("not here")


def crash(case):
    raise ZeroDivisionError("by 0")


@pytest.mark.parametrize(
    ("function", "status", "message"),
    [
        (lambda case: None, "passed", ""),
        (fail, "failed", "no good"),
        (crash, "failed", "raised ZeroDivisionError: by 0"),
        (skip, "skipped", "not here"),
        (lambda case: warnings.warn("deprecated", AnybindWarning, stacklevel=1), "passed", ""),
    ],
)
def test_a_check_passes_fails_or_is_skipped(function, status, message):
    outcome = run(function)
    assert (outcome.status, outcome.message) == (status, message)
    assert outcome.remedy == ("mend it" if status == "failed" else "")


def test_a_shared_value_is_computed_once_and_its_failure_skips_the_checks_that_need_it():
    computed = []

    @computed_once
    def embedding(case):
        computed.append(case.part)
        return case.part / 2

    good, bad = Case(4), Case("text")
    assert embedding(good) == embedding(good) == 2
    assert computed == [4]
    with pytest.raises(Skip, match="no embedding to check: TypeError"):
        embedding(bad)


def test_every_kind_has_checks_with_names_of_their_own_and_remedies():
    for kind in [*registry().kinds(), "kind", "spec"]:
        checks = checks_for(kind)
        assert checks
        assert len({each.name for each in checks}) == len(checks)
        assert all(each.name.startswith("check_") and each.remedy for each in checks)
    with pytest.raises(UnknownName, match="did you mean 'encoder'"):
        checks_for("encodr")


def test_a_plugins_kind_brings_its_checks(registry, add_plugin):
    kind = {"name": "filter", "plural": "filters", "summary": "s", "target": "builtins:int", "spec": "m:FilterSpec"}
    add_plugin(registry, KindSpec(**kind, checks=f"{__name__}:FILTER_CHECKS"))
    assert [each.name for each in checks_for("filter")] == ["check_is_even"]
    assert check(4, kind="filter").failed == []
    with pytest.raises(AssertionError, match=r"filter int fails 1 of 1 checks:\n  check_is_even: it is 3"):
        check(3, kind="filter")
    add_plugin(registry, KindSpec(**kind | {"name": "odd"}, checks=f"{__name__}:A"), name="other")
    with pytest.raises(PluginError, match=r"kind 'odd': expected anybind\.testing\.Checks, got a ndarray"):
        checks_for("odd")


FILTER_CHECKS = Checks()


@FILTER_CHECKS.add("add one")
def check_is_even(case):
    assert case.part % 2 == 0, f"it is {case.part}"


def test_a_misspelt_expected_failure_is_a_failure(registry, add_plugin):
    add_plugin(registry, EncoderSpec(name="e", modality="m", summary="s", target="math:sqrt", weights_licence="MIT"))
    (part,) = list_parts("encoder")
    report = check_part(part, lambda part, folder: Example(samples=[1], expected_failures={"check_unitnorm": "why"}))
    (outcome,) = report.with_status("failed")
    assert outcome.check == "check_example"
    assert outcome.message.startswith(
        "unknown check 'check_unitnorm' in expected_failures; did you mean 'check_unit_norm'"
    )


def test_the_guide_lists_every_check_of_every_kind():
    guide = (Path(__file__).resolve().parents[3] / "docs" / "how-to" / "check-a-plugin.md").read_text()
    for kind in ["spec", *registry().kinds(), "kind"]:
        names = ", ".join(each.name.removeprefix("check_").replace("_", " ") for each in checks_for(kind))
        assert f"| {kind} | {names} |" in guide
