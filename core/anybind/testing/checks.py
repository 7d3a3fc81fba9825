"""Conformance checks: functions of a `Case`, listed by kind of part."""

from __future__ import annotations

import functools
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

from anybind.errors import AnybindWarning, MissingExtra
from anybind.spec import Spec
from anybind.testing.assertions import Skip, describe_error
from anybind.testing.example import Example

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")


class ConformanceError(AssertionError):
    """A part that fails checks; the message has the name, the finding and the remedy of each."""


@dataclass(eq=False)
class Case(Generic[T_co]):
    """A part under test.

    Attributes:
        part: the part; for a dataset, a function that creates it from a folder.
        example: the data to check it on.
        spec: its registered spec; None if it is not registered.
        values: results of `computed_once` functions.
    """

    part: T_co
    example: Example = field(default_factory=Example)
    spec: Spec | None = None
    values: dict[object, object] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def folder(self) -> Path:
        """A temporary folder, removed with the case."""
        return temporary_folder(self)


def temporary_folder(owner: object) -> Path:
    """Create a folder that is removed when the owner is garbage-collected."""
    folder = Path(tempfile.mkdtemp(prefix="anybind-check-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


def computed_once(compute: Callable[[Case[T]], R], name: str = "") -> Callable[[Case[T]], R]:
    """Compute a value of a case once for all checks; if that fails, skip the checks that need it.

    Args:
        compute: returns the value; may be a check itself.
        name: name of the value in messages. [default: that of the function, without `get_`]
    """

    @functools.wraps(compute)
    def get(case: Case[T]) -> R:
        if get not in case.values:
            try:
                case.values[get] = compute(case)
            except Skip:
                raise
            except (Exception, SystemExit) as error:
                value_name = name or compute.__name__.removeprefix("get_").replace("_", " ")
                raise Skip(f"no {value_name} to check: {describe_error(error)}") from error
        return cast("R", case.values[get])

    return get


def applies_to_all(case: Case[object]) -> bool:
    """Return True: the check applies to every part."""
    return True


@dataclass(frozen=True)
class Check:
    """A conformance check.

    Attributes:
        name: name of its function.
        remedy: how to fix a part that fails it, one line.
        run: raises `AssertionError` with the finding, or `Skip`; any other exception is a failure too.
        applies: returns whether a part has the capability that is checked.
    """

    name: str
    remedy: str
    run: Callable[[Case[Any]], object]
    applies: Callable[[Case[Any]], bool] = field(default_factory=lambda: applies_to_all)


class Checks(list[Check]):
    """The checks of a kind, in the order in which they run: the target of `KindSpec.checks`."""

    def __init__(self, *, needs: Sequence[str] = ()) -> None:
        """Create an empty list.

        Args:
            needs: fields of `Example`, one of which is required to check a part.
        """
        super().__init__()
        self.needs = tuple(needs)

    def add(
        self, remedy: str, *, applies: Callable[[Case[Any]], bool] = applies_to_all
    ) -> Callable[[Callable[[Case[T]], R]], Callable[[Case[T]], R]]:
        """Add the decorated function of a case as a check; other checks can use its result through `computed_once`.

        Args:
            remedy: how to fix a part that fails it, one line.
            applies: returns whether a part has the capability that is checked. [default: every part]
        """

        def register(function: Callable[[Case[T]], R]) -> Callable[[Case[T]], R]:
            self.append(Check(function.__name__, remedy, function, applies))
            return function

        return register


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check.

    Attributes:
        check: name of the check.
        status: status of the check.
        message: the finding, or the reason of a skip.
        remedy: how to fix the part, for a failed check.
    """

    check: str
    status: Literal["passed", "failed", "expected failure", "skipped"]
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of a part.

    Attributes:
        part: kind and name of the part.
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
        """Return the report if no check failed.

        Raises:
            ConformanceError: checks failed; the message has the name, the finding and the remedy of each.
        """
        lines = [f"\n  {o.check}: {o.message}\n    remedy: {o.remedy}" for o in self.with_status("failed")]
        if lines:
            raise ConformanceError(f"{self.part} fails {len(lines)} of {len(self.outcomes)} checks:{''.join(lines)}")
        return self

    def to_dict(self) -> dict[str, object]:
        """Convert the report to JSON-like values."""
        return {"part": self.part, "checks": [asdict(outcome) for outcome in self.outcomes]}


def run_check(check: Check, case: Case[object]) -> Outcome:
    """Run one check, and compare its outcome with the expected failures of the example."""
    reason = case.example.expected_failures.get(check.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnybindWarning)
            check.run(case)
    except (Skip, MissingExtra) as skip:
        return Outcome(check.name, "skipped", str(skip))
    except (Exception, SystemExit) as error:
        failure = _describe_failure(error)
        if reason is not None:
            return Outcome(check.name, "expected failure", f"{reason} ({failure})")
        return Outcome(check.name, "failed", failure, check.remedy)
    if reason is not None:
        return Outcome(check.name, "failed", "it passes", "remove it from the example's `expected_failures`")
    return Outcome(check.name, "passed")


def _describe_failure(error: BaseException) -> str:
    if type(error) is AssertionError and str(error):
        return " ".join(str(error).partition("\nassert ")[0].split())  # pytest appends the expression of an assert
    return f"raised {describe_error(error)}"
