"""Assertions that the checks of several kinds share: arrays, attributes, specs, errors, equal samples."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass

import numpy as np

from anybind.discovery import describe_exception
from anybind.errors import AnybindError
from anybind.modality import Modality, find_modality
from anybind.registry import list_parts
from anybind.space import Space
from anybind.spec import ModalitySpec, Spec

SAME_TOLERANCE = 1e-6
"""Allowed difference between two runs on the same input."""
BATCH_TOLERANCE = 1e-5
"""Allowed difference between batches of other sizes; of values above 1, times the largest."""


class Skip(Exception):
    """Raised by a check that cannot run, with the reason."""


def describe_error(error: BaseException) -> str:
    """Return an exception's type and message as one line."""
    return describe_exception(error)


def describe_sample(value: object) -> str:
    """Return a short description of a sample, for messages."""
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype}, shape {value.shape}"
    return repr(value)[:40] if isinstance(value, str | int | float | None) else type(value).__name__


def assert_refused(
    attempt: Callable[[], object], what: str, errors: type[AnybindError] | tuple[type[AnybindError], ...] = AnybindError
) -> None:
    """Fail unless a call raises one of the errors, by default an `AnybindError`, with a message of one line."""
    try:
        attempt()
    except errors as error:
        assert str(error).strip() and "\n" not in str(error), f"{what}: {type(error).__name__} without one clear line"
    except Skip:
        raise
    except Exception as error:
        expected = " or ".join(each.__name__ for each in (errors if isinstance(errors, tuple) else (errors,)))
        raise AssertionError(f"{what}: expected {expected}, got {describe_error(error)}") from error
    else:
        raise AssertionError(f"{what} was accepted")


def assert_json(value: object, what: str) -> None:
    """Fail unless a value consists of JSON types; tuples count as lists."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            assert isinstance(key, str), f"{what} has the key {key!r}, expected a string"
            assert_json(item, f"{what}[{key!r}]")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            assert_json(item, f"{what}[{number}]")
    else:
        plain = value is None or type(value) in (str, bool, int, float)
        assert plain, f"{what} is a {type(value).__name__}, expected a JSON type"
        assert not isinstance(value, float) or math.isfinite(value), f"{what} is {value}"
    json.dumps(value)


def assert_hash(value: object, what: str) -> None:
    """Fail unless a value is 12 hexadecimal digits."""
    valid = isinstance(value, str) and len(value) == 12 and set(value) <= set("0123456789abcdef")
    assert valid, f"{what} is {value!r}, not 12 hexadecimal digits"


def assert_close(
    actual: np.ndarray, expected: np.ndarray, tolerance: float, what: str, *, relative: bool = False
) -> None:
    """Fail unless two arrays, (...,) each, have one shape and agree within a tolerance; NaN agrees with NaN.

    Args:
        actual: the array to check.
        expected: the array to compare with.
        tolerance: allowed difference.
        what: what is compared, for the message.
        relative: whether to multiply the tolerance by the largest value, where that is above 1.
    """
    assert actual.shape == expected.shape, f"{what}: shapes {actual.shape} and {expected.shape}"
    if relative:
        tolerance *= float(np.nanmax(np.abs(expected), initial=1.0))
    if not np.allclose(actual, expected, rtol=0, atol=tolerance, equal_nan=True):
        difference = np.nanmax(np.abs(actual.astype(np.float64) - expected.astype(np.float64)))
        raise AssertionError(f"{what}: they differ by up to {difference:.3g} (allowed: {tolerance:g})")


def assert_array(value: object, what: str, *shape: int | None) -> np.ndarray:
    """Return an array of a shape, in which None is any length; fail for anything else."""
    assert isinstance(value, np.ndarray), f"{what} returns a {type(value).__name__}, not a NumPy array"
    fits = value.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
    assert fits, f"{what} returns shape {value.shape}, expected {str(shape).replace('None', 'n')}"
    return value


def assert_finite(arrays: Iterable[np.ndarray], what: str) -> None:
    """Fail if one of the arrays, (...,) each, contains NaN or infinity."""
    invalid = [number for number, each in enumerate(arrays) if not np.isfinite(each).all()]
    assert not invalid, f"{what} {invalid} hold NaN or infinity"


def assert_texts(part: object, *names: str) -> None:
    """Fail unless a part has non-empty strings in these attributes."""
    for name in names:
        value = getattr(part, name, None)
        assert isinstance(value, str) and value.strip(), f"{name} is {value!r}"


def assert_spaces(part: object, *names: str) -> None:
    """Fail unless a part has embedding spaces in these attributes."""
    for name in names:
        space = getattr(part, name, None)
        assert isinstance(space, Space) and space.name and space.dim > 0, f"{name} is {space!r}"


def find_installed_modality(name: str) -> Modality | None:
    """Return the modality of a name; None if it is not installed."""
    return find_modality(name) if list_parts(ModalitySpec, name) else None


def assert_spec(spec: Spec | None, **values: str) -> None:
    """Fail if a spec has other values in these fields; an empty one agrees with any."""
    for name, value in values.items():
        declared = getattr(spec, name, "")
        assert declared in ("", value), f"spec.{name} is {declared!r}, and that of the part is {value!r}"


def is_equal(one: object, other: object) -> bool:
    """Return whether two samples are equal: arrays, strings, numbers, and objects composed of them."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        exact = one.shape == other.shape and one.dtype == other.dtype
        return exact and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_equal(one[key], other[key]) for key in one)
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str | bytes):
        return len(one) == len(other) and all(map(is_equal, one, other))
    names: Iterable[str] = getattr(one, "__dict__", ()) if type(one).__eq__ is object.__eq__ else ()
    if is_dataclass(one):
        names = [field.name for field in fields(one) if field.compare]
    if names:
        return all(is_equal(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other) or (one != one and other != other)
