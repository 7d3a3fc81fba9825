"""Bundled plugin: relevance maps of image-text and event-text similarities, and relevance weights of words.

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
    """Register the command."""
    registry.add(
        CommandSpec(
            name="explain",
            summary="Explain the similarity of a recording or image and a text: relevance map and word weights.",
            target="anybind_explain.command:explain",
            extra="explain",
        )
    )


def __getattr__(name: str) -> object:
    """Import public names on first use: listing the plugin stays light."""
    if name in __all__:
        return getattr(importlib.import_module("anybind_explain.explanation"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
