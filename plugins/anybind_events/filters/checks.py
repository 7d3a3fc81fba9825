"""Checks of the options of filters."""

from __future__ import annotations

from collections.abc import Sequence

from anybind.plugin import BadOption


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Raise `BadOption` unless a value is a whole number from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadOption(f"{name}: expected a whole number from {low} to {high}, got {value!r}")


def check_number(name: str, value: object, low: float, high: float) -> None:
    """Raise `BadOption` unless a value is a number from `low` to `high`."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise BadOption(f"{name}: expected a number from {low:g} to {high:g}, got {value!r}")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise `BadOption` unless a value is one of some choices, and of its type."""
    if not any(value == each and type(value) is type(each) for each in choices):
        raise BadOption(f"{name}: expected {' or '.join(str(each).lower() for each in choices)}, got {value!r}")
