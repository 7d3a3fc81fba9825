"""Bundled plugin: retrieval - file indexes, search, and retrieval metrics.

from anybind_retrieval import build_index, search
build_index("photos.safetensors", "photos/")
for hit in search("a red car", "photos.safetensors").hits:
    print(hit.cosine, hit.path)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import CommandSpec, HeadSpec, Registrar, TaskSpec, hookimpl

if TYPE_CHECKING:
    from anybind_retrieval.indexing import IndexReport, build_index
    from anybind_retrieval.joint import fit_weights
    from anybind_retrieval.ranking import SearchHit
    from anybind_retrieval.searching import SearchResults, search

__all__ = ["IndexReport", "SearchHit", "SearchResults", "build_index", "fit_weights", "search"]

anybind_contract = 1

COMMANDS = (
    ("index", "Embed files into an index for `anybind search`, or update an index."),
    ("search", "Rank files by their similarity with a text, another file, or both."),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add the tasks, the ranking head and the commands."""
    registry.add(
        TaskSpec(
            name="retrieval",
            summary="cross-modal retrieval in both directions: R@k, mAP@k, MRR, median rank",
            target="anybind_retrieval.task:Retrieval",
            extra="search",
        )
    )
    registry.add(
        TaskSpec(
            name="mixed-retrieval",
            summary="best match in a gallery of several modalities, raw and calibrated by modality",
            target="anybind_retrieval.mixed_task:MixedRetrieval",
            extra="search",
        )
    )
    registry.add(
        HeadSpec(
            name="query-expansion",
            summary="query expansion: the query averaged with its nearest neighbours (alpha-QE)",
            target="anybind_retrieval.query_expansion:QueryExpansion",
            predicts="ranking",
        )
    )
    for name, summary in COMMANDS:
        registry.add(CommandSpec(name=name, summary=summary, target=f"anybind_retrieval.{name}_command:{name}"))


def __getattr__(name: str) -> object:
    """Import public names on first use, so that listing the plugin stays light."""
    if name in __all__:
        module = {"IndexReport": "indexing", "build_index": "indexing", "fit_weights": "joint"}.get(name, "searching")
        return getattr(importlib.import_module(f"anybind_retrieval.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
