"""A plugin for anybind: a ranking head that re-ranks search results."""

from __future__ import annotations

from anybind.plugin import HeadSpec, Registrar, hookimpl

anybind_contract = 1


@hookimpl
def register(registry: Registrar) -> None:
    """Add the head."""
    registry.add(
        HeadSpec(
            name="csls",
            predicts="ranking",
            summary="cosine similarity less the density around each candidate (CSLS)",
            target="anybind_rerank.csls:Csls",
        )
    )
