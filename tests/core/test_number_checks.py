"""Checks of numbers: Python's and NumPy's types, and everything else, which is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from anybind.errors import BadOption
from anybind.number_checks import check_count, check_number, check_seed


@pytest.mark.parametrize("make", [int, np.int64, np.uint8])
def test_whole_numbers_of_any_type_become_ints(make):
    for number in (check_count("n", make(3)), check_seed(make(3)), check_number("x", make(3))):
        assert (number, type(number)) == (3, int)
    assert check_seed(make(0)) == 0


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), Fraction(1, 2)])
def test_real_numbers_of_any_type_become_floats(value):
    number = check_number("x", value, above=0)
    assert (number, type(number)) == (0.5, float)


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "1", True, None, np.bool_(True)])
def test_what_is_no_integer_above_0_is_no_count(value):
    with pytest.raises(BadOption, match="n: expected an integer above 0, got"):
        check_count("n", value)


@pytest.mark.parametrize("value", [-1, 0.0, "0", False, None])
def test_what_is_no_integer_of_0_or_more_is_no_seed(value):
    with pytest.raises(BadOption, match="the seed must be an integer of 0 or more, got"):
        check_seed(value)


@pytest.mark.parametrize("value", [float("nan"), np.inf, "1", True, None, 1j, 10**400, Fraction(10**400)])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(BadOption, match="x: expected a finite number, got"):
        check_number("x", value)


def test_a_number_at_or_below_the_bound_is_refused():
    assert check_number("x", 1e-9, above=0) == 1e-9
    with pytest.raises(BadOption, match="x: expected a finite number above 0, got 0"):
        check_number("x", 0, above=0)
