"""Errors and warnings. A message is one line: what was expected, what was found, where, and how to fix it.

Exception
+-- AnybindError          base of all errors that anybind raises on purpose
    +-- BadInput          a file or sample
    |   +-- InvalidCard   the card of a safetensors file (anybind.tensors)
    |   +-- MissingData   data missing in a dataset's folder (anybind.item)
    +-- BadOption         an option or configuration file
    |   +-- UnsupportedBackend  an encoder that a backend cannot run
    +-- UnknownName       the name of a plugin or part
    +-- NameClash         a name that two distributions register
    +-- MissingExtra      a package that is not installed
    +-- PluginError       a plugin that breaks the contract
    +-- SpaceMismatch     two embedding spaces
    +-- WeightsMismatch   a weight file of another model
UserWarning
+-- AnybindWarning        a result that differs from what was requested
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

MAX_MESSAGE = 2000


class AnybindError(Exception):
    """Base of every error that anybind raises on purpose; the command line exits with 2 on it."""

    def __str__(self) -> str:
        """Return the message on one line of at most `MAX_MESSAGE` characters: it may quote a damaged file."""
        message = " ".join(super().__str__().splitlines())
        half = MAX_MESSAGE // 2 - 5
        return message if len(message) <= MAX_MESSAGE else f"{message[:half]} ... {message[-half:]}"


class BadInput(AnybindError):
    """A file or a sample that is missing, truncated, empty, or of the wrong format."""


class UnwritableOutput(BadInput):
    """An output that cannot be written: no permission, a full disk, a name that is taken."""


class BadOption(AnybindError):
    """An invalid option, label list, or configuration file (recipe, binding)."""


class UnsupportedBackend(BadOption):
    """A backend that cannot run an encoder: it has no ONNX graph, or weights of another network."""


class UnknownName(AnybindError):
    """A name that no part of the kind has; the message suggests the nearest names."""


class NameClash(AnybindError):
    """A name that two distributions register for a part or a plugin; the message names both."""


class MissingExtra(AnybindError):
    """A part whose packages are not installed; the message has the pip line."""


class PluginError(AnybindError):
    """A plugin that breaks the plugin contract, or fails to import."""


class SpaceMismatch(AnybindError):
    """A comparison of embeddings of two spaces, or a missing adapter between them."""


class WeightsMismatch(AnybindError):
    """A weight file of another model, or one without its preprocessing."""


class AnybindWarning(UserWarning):
    """A warning that something was changed or left out, such as a truncated text."""


OnBad = Callable[[str, AnybindError], None]
"""Called with the id of an invalid item and its error; the item is then skipped."""


def suggest_names(name: str, candidates: Iterable[str], cutoff: float = 0.5) -> str:
    """Return the candidates nearest to a name, as the end of an error message.

    Returns:
        `; did you mean 'a' or 'b'?`, else the whole list if it is short, else an empty string.
    """
    candidates = sorted(set(candidates))
    by_folded = {each.lower(): each for each in candidates}
    close = difflib.get_close_matches(name.lower(), by_folded, n=3, cutoff=cutoff)
    if close:
        return "; did you mean " + " or ".join(repr(by_folded[each]) for each in close) + "?"
    if 0 < len(candidates) <= 12:
        return "; there are: " + ", ".join(candidates)
    return ""
