"""How rules are told, and what the kit takes for equal and for JSON-like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import UnknownName
from anybind.testing import rule_names
from anybind.testing.checks import SUITES
from anybind.testing.rules import Rules, Seen, require_json_like, same


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
def test_samples_are_the_same_when_they_hold_the_same(one, other, equal):
    assert same(one, other) is equal


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, ("x",)], "b": {"c": "d"}}, [], "text"])
def test_what_json_knows_is_json_like(value):
    require_json_like(value, "it")


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ({"a": {1, 2}}, r"it\['a'\] is a set"),
        ({"a": [np.float32(1)]}, r"it\['a'\]\[0\] is a float32"),
        ({1: "a"}, "it has the key 1"),
        ([math.inf], r"it\[0\] is inf"),
    ],
)
def test_what_json_does_not_know_is_named_with_its_place(value, seen):
    with pytest.raises(Seen, match=seen):
        require_json_like(value, "it")


def test_warnings_do_not_break_a_rule():
    import warnings

    rules = Rules()
    rules.rule("warns", "-")(lambda case: warnings.warn("told", anybind.AnybindWarning, stacklevel=1))
    assert rules.judge("a part", None).of_status("passed")


def test_every_kind_of_part_but_four_has_rules_each_with_a_name_of_its_own_and_a_way_to_mend_it():
    assert set(anybind.KINDS) - set(SUITES) == {"loss", "binding", "suite", "command"}
    for kind in SUITES:
        names = rule_names(kind)
        assert len(set(names)) == len(names) > 5
        assert all(rule.mend for rule in SUITES[kind].listed)
    with pytest.raises(UnknownName, match="no rules for 'encodr'"):
        rule_names("encodr")


def test_the_guide_lists_every_rule_of_every_kind():
    guide = (Path(__file__).resolve().parents[3] / "docs" / "conformance.md").read_text()
    for kind in SUITES:
        assert f"| {kind} | {'; '.join(rule_names(kind))} |" in guide
