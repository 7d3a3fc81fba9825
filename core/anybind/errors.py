"""The error family. Every message is one line: what was wrong, in which file, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


class AnybindError(Exception):
    """Base of every error that anybind raises on purpose; the command line exits with 2 on it."""


class BadInput(AnybindError):
    """A file or a sample that cannot be used: missing, truncated, empty, or of the wrong kind."""


class BadOption(AnybindError):
    """An option, label list, or configuration file (recipe, binding) that makes no sense as given."""


class UnknownName(AnybindError):
    """No part of that kind has that name; the message offers the nearest names."""


class NameClash(AnybindError):
    """Two distributions bring a part, or a plugin, of the same name; the message names both."""


class MissingExtra(AnybindError):
    """A part needs packages that are not installed; the message is the pip line that brings them."""


class PluginError(AnybindError):
    """A plugin broke its side of the contract, or failed to import."""


class SpaceMismatch(AnybindError):
    """Vectors of two spaces were about to be compared, or no adapter leads from one to the other."""


class WeightsMismatch(AnybindError):
    """A weight file that belongs to another model, or lacks the preprocessing it was made with."""


class AnybindWarning(UserWarning):
    """Something was changed or left out that the user should know of, such as a text cut short."""


OnBad = Callable[[str, AnybindError], None]
"""Called with the id of an item that could not be used, and the error."""


def suggest_names(name: str, candidates: Iterable[str], cutoff: float = 0.5) -> str:
    """Say which of `candidates` come nearest to `name`, as the end of an error message.

    Returns:
        `; did you mean 'a' or 'b'?`, else the whole list when it is short, else an empty string.
    """
    candidates = sorted(set(candidates))
    by_folded = {each.lower(): each for each in candidates}
    close = difflib.get_close_matches(name.lower(), by_folded, n=3, cutoff=cutoff)
    if close:
        return "; did you mean " + " or ".join(repr(by_folded[each]) for each in close) + "?"
    if 0 < len(candidates) <= 12:
        return "; there are: " + ", ".join(candidates)
    return ""
