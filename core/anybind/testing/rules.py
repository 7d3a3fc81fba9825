"""Rules and how they are told: what a rule asks, what was seen instead, and how to mend it."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np

from anybind.errors import AnybindError, AnybindWarning, UnknownName, nearest


class NotConforming(AssertionError):
    """A part breaks rules of the contract; the message names each, what was seen, and how to mend it."""


class Seen(Exception):
    """Raised by a rule that is broken: what was seen instead."""


class NotChecked(Exception):
    """Raised by a rule that cannot be checked: why."""


@dataclass(frozen=True)
class Rule:
    """One rule of the contract.

    Attributes:
        name: what it asks, in two or three words.
        mend: what to do where it is broken.
        check: looks at a case; raises `Seen` or `NotChecked`, or anything else that the part raises.
    """

    name: str
    mend: str
    check: Callable[[Any], None]


@dataclass(frozen=True)
class Outcome:
    """How one rule ended: `seen` says what was wrong, or why it was not checked; `mend` what to do."""

    rule: str
    status: Literal["passed", "broken", "not checked"]
    seen: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Report:
    """The outcomes of all rules that a part was held to."""

    part: str
    outcomes: tuple[Outcome, ...]

    def of_status(self, status: str) -> list[Outcome]:
        """The outcomes of one status: `passed`, `broken` or `not checked`."""
        return [outcome for outcome in self.outcomes if outcome.status == status]

    @property
    def broken(self) -> list[str]:
        """Names of the rules that are broken."""
        return [outcome.rule for outcome in self.of_status("broken")]

    def __add__(self, other: Report) -> Report:
        return Report(self.part, self.outcomes + other.outcomes)

    def require(self) -> Report:
        """Raise `NotConforming` with every broken rule; else return the report."""
        told = [f"\n  {of.rule}: {of.seen}\n    mend: {of.mend}" for of in self.of_status("broken")]
        if told:
            raise NotConforming(f"{self.part} breaks {len(told)} of {len(self.outcomes)} rules:{''.join(told)}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return {"part": self.part, "rules": [asdict(outcome) for outcome in self.outcomes]}


class Rules:
    """The rules that parts of one kind are held to, in the order in which they are checked."""

    def __init__(self) -> None:
        self.listed: list[Rule] = []

    def rule(self, name: str, mend: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
        """Add the decorated function as a rule."""

        def add(check: Callable[[Any], None]) -> Callable[[Any], None]:
            self.listed.append(Rule(name, mend, check))
            return check

        return add

    def judge(self, part: str, case: Any, only: str | None = None) -> Report:
        """Hold a case to the rules, or to one of them.

        Raises:
            UnknownName: there is no rule of that name.
        """
        names = [rule.name for rule in self.listed]
        if only is not None and only not in names:
            raise UnknownName(f"there is no rule {only!r}{nearest(only, names)}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnybindWarning)
            return Report(part, tuple(_judged(rule, case) for rule in self.listed if only in (None, rule.name)))


def _judged(rule: Rule, case: Any) -> Outcome:
    try:
        rule.check(case)
    except NotChecked as error:
        return Outcome(rule.name, "not checked", str(error))
    except Seen as error:
        return Outcome(rule.name, "broken", str(error), rule.mend)
    except Exception as error:  # whatever the part raises is what was seen
        return Outcome(rule.name, "broken", f"raised {told(error)}", rule.mend)
    return Outcome(rule.name, "passed")


def told(error: BaseException) -> str:
    """An exception as one line: its type and what it says."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def short(value: Any) -> str:
    """A sample in a few words, for messages."""
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype}, shape {value.shape}"
    return repr(value)[:40] if isinstance(value, str | int | float | None) else type(value).__name__


def require(right: object, seen: str) -> None:
    """Raise `Seen` unless it is right."""
    if not right:
        raise Seen(seen)


def require_refusal(attempt: Callable[[], Any], what: str) -> None:
    """Raise `Seen` unless the attempt raises an `AnybindError` of one line."""
    try:
        attempt()
    except AnybindError as error:
        require(str(error).strip() and "\n" not in str(error), f"{what}: {type(error).__name__} without one clear line")
        return
    except Exception as error:
        raise Seen(f"{what}: {told(error)}, which is no AnybindError") from error
    raise Seen(f"{what} was taken without a word")


def require_json_like(value: Any, what: str) -> None:
    """Raise `Seen` unless a value is made of what JSON knows; tuples count as lists."""
    _walk_json(value, what)
    json.dumps(value)


def _walk_json(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, held in value.items():
            require(isinstance(key, str), f"{where} has the key {key!r}, which is no text")
            _walk_json(held, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for number, held in enumerate(value):
            _walk_json(held, f"{where}[{number}]")
    else:
        plain = value is None or type(value) in (str, bool, int, float)
        require(plain, f"{where} is a {type(value).__name__}, which JSON does not know")
        require(not isinstance(value, float) or math.isfinite(value), f"{where} is {value}")


def require_hash(value: Any, what: str) -> None:
    """Raise `Seen` unless a value is 12 hexadecimal digits."""
    right = isinstance(value, str) and len(value) == 12 and set(value) <= set("0123456789abcdef")
    require(right, f"{what} is {value!r}, not 12 hexadecimal digits")


def require_close(got: np.ndarray, wanted: np.ndarray, tolerance: float, what: str) -> None:
    """Raise `Seen` unless two arrays are of one shape and agree within a tolerance; NaN agrees with NaN."""
    require(got.shape == wanted.shape, f"{what}: shapes {got.shape} and {wanted.shape}")
    if got.size and not np.allclose(got, wanted, rtol=0, atol=tolerance, equal_nan=True):
        difference = np.nanmax(np.abs(got.astype(np.float64) - wanted.astype(np.float64)))
        raise Seen(f"{what}: they differ by up to {difference:.3g} (allowed: {tolerance:g})")


def same(one: Any, other: Any) -> bool:
    """Whether two samples hold the same: arrays, texts, numbers, and objects made of them."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        exact = one.shape == other.shape and one.dtype == other.dtype
        return exact and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, str | bytes | int):
        return one == other
    if isinstance(one, Sequence):
        return len(one) == len(other) and all(map(same, one, other))
    held = _fields_of(one)
    if held:
        return all(same(getattr(one, name), getattr(other, name)) for name in held)
    return bool(one == other) or (one != one and other != other)


def _fields_of(value: Any) -> Iterable[str]:
    if is_dataclass(value):
        return [field.name for field in fields(value) if field.compare]
    return vars(value) if type(value).__eq__ is object.__eq__ and hasattr(value, "__dict__") else ()
