"""Bundled plugin: relevance maps - where in a sample, and in which words, a similarity lies."""

from __future__ import annotations

from anybind.plugin import CommandSpec, Registrar, hookimpl

anybind_contract = 1


@hookimpl
def register(registry: Registrar) -> None:
    """Add the command."""
    registry.add(
        CommandSpec(
            name="explain",
            summary="Show where in a recording or picture, and in which words, their likeness lies.",
            target="anybind_explain.command:explain",
            extra="explain",
        )
    )
