"""Bundled plugin: relevance maps - where in a sample, and in which words, a similarity lies.

from anybind_explain import relevance
relevance("photo.npz", "a cup of coffee").save("map.png")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import CommandSpec, Registrar, hookimpl

if TYPE_CHECKING:
    from anybind_explain.explanation import Explanation, relevance

__all__ = ["Explanation", "relevance"]

anybind_contract = 1


@hookimpl
def register(registry: Registrar) -> None:
    """Add the command."""
    registry.add(
        CommandSpec(
            name="explain",
            summary="Show where in a recording or image, and in which words, their similarity lies.",
            target="anybind_explain.command:explain",
            extra="explain",
        )
    )


def __getattr__(name: str) -> object:
    """Import what is public when it is first used, so that listing the plugin stays light."""
    if name in __all__:
        return getattr(importlib.import_module("anybind_explain.explanation"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
