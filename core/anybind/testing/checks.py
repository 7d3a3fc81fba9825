"""Conformance checks: plain functions of a `Case`, listed by kind of part."""

from __future__ import annotations

import functools
import json
import math
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

import numpy as np

from anybind.errors import AnybindError, AnybindWarning
from anybind.modality import Modality, find_modality
from anybind.part import one_line
from anybind.registry import parts
from anybind.space import Space
from anybind.spec import ModalitySpec, Spec
from anybind.testing.example import Example

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")
SAME_TOLERANCE = 1e-6
"""Allowed difference between two runs on the same input."""
BATCH_TOLERANCE = 1e-5
"""Allowed difference between batches of other sizes; of values above 1, times the largest."""


class NotConforming(AssertionError):
    """A part that fails checks; the message names each, what was found, and the remedy."""


class Skip(Exception):
    """Raised by a check that cannot run; the message says why."""


@dataclass(eq=False)
class Case(Generic[T_co]):
    """A part under test.

    Attributes:
        part: the part; for a dataset, a function that makes it from a folder.
        example: what it is checked on.
        spec: its registered spec; None where it is not registered.
        values: results of functions marked `shared`.
    """

    part: T_co
    example: Example = field(default_factory=Example)
    spec: Spec | None = None
    values: dict[Callable[[Case[Any]], object], object] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def folder(self) -> Path:
        """A temporary folder, removed with the case."""
        return temporary_folder(self)


def temporary_folder(owner: object) -> Path:
    """Make a folder that is removed once the owner is garbage."""
    folder = Path(tempfile.mkdtemp(prefix="anybind-check-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


def shared(compute: Callable[[Case[T]], R], name: str = "") -> Callable[[Case[T]], R]:
    """Compute a value of a case once for all checks; where that fails, skip the checks that need it.

    Args:
        compute: returns the value; may be a check itself.
        name: of the value, for messages; that of the function by default.
    """

    @functools.wraps(compute)
    def get(case: Case[T]) -> R:
        if get not in case.values:
            try:
                case.values[get] = compute(case)
            except Skip:
                raise
            except Exception as error:
                what = name or compute.__name__.replace("_", " ")
                raise Skip(f"there is no {what} to check: {describe_error(error)}") from error
        return cast("R", case.values[get])

    return get


def always(case: Case[Any]) -> bool:
    """Apply to every part."""
    return True


@dataclass(frozen=True)
class Check:
    """A conformance check.

    Attributes:
        name: of its function.
        remedy: how to mend a part that fails it, one line.
        run: raises `AssertionError` with what was found, or `Skip`; any other exception is a failure too.
        applies: whether a part has the capability that is checked.
    """

    name: str
    remedy: str
    run: Callable[[Case[Any]], object]
    applies: Callable[[Case[Any]], bool] = field(default_factory=lambda: always)


class Checks(list[Check]):
    """The checks of a kind, in the order in which they run: what a `KindSpec` names as `checks`."""

    def __init__(self, *, needs: Sequence[str] = ()) -> None:
        """Start an empty list.

        Args:
            needs: fields of `Example`, of which a part needs one to be checked.
        """
        super().__init__()
        self.needs = tuple(needs)

    def add(
        self, remedy: str, *, applies: Callable[[Case[Any]], bool] = always
    ) -> Callable[[Callable[[Case[T]], R]], Callable[[Case[T]], R]]:
        """Add the decorated function of a case as a check; what it returns may be `shared`.

        Args:
            remedy: how to mend a part that fails it, one line.
            applies: whether a part has the capability that is checked; each has by default.
        """

        def register(function: Callable[[Case[T]], R]) -> Callable[[Case[T]], R]:
            self.append(Check(function.__name__, remedy, function, applies))
            return function

        return register


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check.

    Attributes:
        check: its name.
        status: how it ended.
        message: what was found, or why it was skipped.
        remedy: of a failed check: how to mend the part.
    """

    check: str
    status: Literal["passed", "failed", "expected failure", "skipped"]
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of a part.

    Attributes:
        part: its kind and name.
        outcomes: one for each check, in order.
    """

    part: str
    outcomes: tuple[Outcome, ...]

    def with_status(self, status: str) -> list[Outcome]:
        """Return the outcomes of one status."""
        return [outcome for outcome in self.outcomes if outcome.status == status]

    @property
    def failed(self) -> list[str]:
        """Names of the failed checks."""
        return [outcome.check for outcome in self.with_status("failed")]

    def raise_for_failures(self) -> Report:
        """Return the report where no check failed.

        Raises:
            NotConforming: checks failed; the message names each, what was found, and the remedy.
        """
        lines = [f"\n  {o.check}: {o.message}\n    remedy: {o.remedy}" for o in self.with_status("failed")]
        if lines:
            raise NotConforming(f"{self.part} fails {len(lines)} of {len(self.outcomes)} checks:{''.join(lines)}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-like values."""
        return {"part": self.part, "checks": [asdict(outcome) for outcome in self.outcomes]}


def run_check(check: Check, case: Case[Any]) -> Outcome:
    """Run one check, and compare its outcome with the failures that the example expects."""
    reason = case.example.expected_failures.get(check.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnybindWarning)
            check.run(case)
    except Skip as skip:
        return Outcome(check.name, "skipped", str(skip))
    except Exception as error:
        found = _describe_failure(error)
        if reason is not None:
            return Outcome(check.name, "expected failure", f"{reason} ({found})")
        return Outcome(check.name, "failed", found, check.remedy)
    if reason is not None:
        return Outcome(check.name, "failed", "it passes", "take it out of the example's `expected_failures`")
    return Outcome(check.name, "passed")


def _describe_failure(error: Exception) -> str:
    if type(error) is AssertionError and str(error):
        return " ".join(str(error).partition("\nassert ")[0].split())  # pytest appends the expression of an assert
    return f"raised {describe_error(error)}"


def describe_error(error: BaseException) -> str:
    """Return an exception's type and message as one line."""
    return f"{type(error).__name__}: {one_line(error)}"


def describe_sample(value: object) -> str:
    """Return a sample in a few words, for messages."""
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype}, shape {value.shape}"
    return repr(value)[:40] if isinstance(value, str | int | float | None) else type(value).__name__


def assert_refused(
    attempt: Callable[[], object], what: str, errors: type[AnybindError] | tuple[type[AnybindError], ...] = AnybindError
) -> None:
    """Fail unless the attempt raises one of the errors, an `AnybindError` by default, with one line."""
    try:
        attempt()
    except errors as error:
        assert str(error).strip() and "\n" not in str(error), f"{what}: {type(error).__name__} without one clear line"
    except Skip:
        raise
    except Exception as error:
        expected = " or ".join(each.__name__ for each in (errors if isinstance(errors, tuple) else (errors,)))
        raise AssertionError(f"{what}: {describe_error(error)}, which is no {expected}") from error
    else:
        raise AssertionError(f"{what} was accepted")


def assert_json(value: object, what: str) -> None:
    """Fail unless a value consists of JSON types; tuples count as lists."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            assert isinstance(key, str), f"{what} has the key {key!r}, which is no string"
            assert_json(item, f"{what}[{key!r}]")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            assert_json(item, f"{what}[{number}]")
    else:
        plain = value is None or type(value) in (str, bool, int, float)
        assert plain, f"{what} is a {type(value).__name__}, which is no JSON type"
        assert not isinstance(value, float) or math.isfinite(value), f"{what} is {value}"
    json.dumps(value)


def assert_hash(value: object, what: str) -> None:
    """Fail unless a value is 12 hexadecimal digits."""
    valid = isinstance(value, str) and len(value) == 12 and set(value) <= set("0123456789abcdef")
    assert valid, f"{what} is {value!r}, not 12 hexadecimal digits"


def assert_close(
    found: np.ndarray, expected: np.ndarray, tolerance: float, what: str, *, relative: bool = False
) -> None:
    """Fail unless two arrays, (...,) each, have one shape and agree within a tolerance; NaN agrees with NaN.

    Args:
        found: the one array.
        expected: the other.
        tolerance: allowed difference.
        what: what is compared, for the message.
        relative: whether to multiply the tolerance by the largest value, where that is above 1.
    """
    assert found.shape == expected.shape, f"{what}: shapes {found.shape} and {expected.shape}"
    if relative:
        tolerance *= float(np.nanmax(np.abs(expected), initial=1.0))
    if not np.allclose(found, expected, rtol=0, atol=tolerance, equal_nan=True):
        difference = np.nanmax(np.abs(found.astype(np.float64) - expected.astype(np.float64)))
        raise AssertionError(f"{what}: they differ by up to {difference:.3g} (allowed: {tolerance:g})")


def assert_array(value: object, what: str, *shape: int | None) -> np.ndarray:
    """Return an array of a shape, in which None is any length; fail for anything else."""
    assert isinstance(value, np.ndarray), f"{what} returns a {type(value).__name__}, not a NumPy array"
    fits = value.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
    assert fits, f"{what} returns shape {value.shape}, expected {str(shape).replace('None', 'n')}"
    return value


def assert_finite(arrays: Iterable[np.ndarray], what: str) -> None:
    """Fail where one of the arrays, (...,) each, holds NaN or infinity."""
    wrong = [number for number, each in enumerate(arrays) if not np.isfinite(each).all()]
    assert not wrong, f"{what} {wrong} hold NaN or infinity"


def assert_texts(part: object, *names: str) -> None:
    """Fail unless a part has attributes of these names, each a string that is not empty."""
    for name in names:
        value = getattr(part, name, None)
        assert isinstance(value, str) and value.strip(), f"{name} is {value!r}"


def assert_spaces(part: object, *names: str) -> None:
    """Fail unless a part has attributes of these names, each an embedding space."""
    for name in names:
        space = getattr(part, name, None)
        assert isinstance(space, Space) and space.name and space.dim > 0, f"{name} is {space!r}"


def installed_modality(name: str) -> Modality | None:
    """Return the modality of a name; None where it is not installed."""
    return find_modality(name) if parts(ModalitySpec, name) else None


def assert_spec(spec: Spec | None, **values: str) -> None:
    """Fail where a spec has other values in these fields; an empty one agrees with any."""
    for name, value in values.items():
        named = getattr(spec, name, "")
        assert named in ("", value), f"spec.{name} is {named!r}, and that of the part is {value!r}"


def is_equal(one: object, other: object) -> bool:
    """Return whether two samples are equal: arrays, strings, numbers, and objects made of them."""
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
