"""Checks of numbers that callers give, of Python's or NumPy's types; the checked number is one of Python's.

Public in `anybind.plugin.tables`.
"""

from __future__ import annotations

import math
from numbers import Integral, Real

from anybind.errors import BadOption


def check_count(name: str, value: object) -> int:
    """Return a number of things as an `int`; raise `BadOption` unless it is an integer above 0."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise BadOption(f"{name}: expected an integer above 0, got {value!r}")
    return int(value)


def check_seed(value: object) -> int:
    """Return a random seed as an `int`; raise `BadOption` unless it is an integer of at least 0."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
        raise BadOption(f"the seed must be an integer of 0 or more, got {value!r}")
    return int(value)


def check_number(name: str, value: object, above: float = -math.inf) -> float:
    """Return a real number as a `float`, or an `int`; raise `BadOption` unless it is finite and above `above`."""
    number = _convert_number(value)
    if number is None or not number > above:
        expected = "a finite number" if above == -math.inf else f"a finite number above {above:g}"
        raise BadOption(f"{name}: expected {expected}, got {value!r}")
    return number


def _convert_number(value: object) -> float | None:
    """Return a finite number; None for anything else, such as integers beyond the range of floats."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number):
        return None
    return int(value) if isinstance(value, Integral) else number
