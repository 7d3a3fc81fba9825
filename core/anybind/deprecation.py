"""Names on their way out: they go on working for a while, and say what took their place.

To rename something public, give the new name to it, take the old one out of `anybind.__all__`, and enter it in
`RENAMED`. A method or an option that goes calls `deprecated` where it is used. What is removed without that fails
`tests/core/test_public_api.py`.
"""

from __future__ import annotations

import warnings

from anybind.errors import AnybindDeprecationWarning

RENAMED: dict[str, tuple[str, str, str]] = {}
"""By former name of `anybind`: the name that it has now, the version that renamed it, and the one that drops it."""


def deprecated(old: str, new: str, since: str, removal: str, *, stacklevel: int = 2) -> None:
    """Warn that a name is on its way out, once for each place that uses it (the command line: once).

    Args:
        old: the name, as a user writes it.
        new: what to write instead.
        since: the version from which on it is on its way out.
        removal: the version in which it will be gone.
        stacklevel: whose line the warning names, counted from here: 2 is the caller, 3 the caller's caller.
    """
    told = f"{old} is called {new} since anybind {since}, and will be gone in {removal}"
    warnings.warn(told, AnybindDeprecationWarning, stacklevel=stacklevel + 1)
