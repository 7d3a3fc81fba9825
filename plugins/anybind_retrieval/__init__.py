"""Bundled plugin: retrieval - indexes of files, search in them, and retrieval metrics."""

from __future__ import annotations

from anybind.plugin import CommandSpec, HeadSpec, Registrar, TaskSpec, hookimpl

anybind_contract = 1

COMMANDS = (
    ("index", "Embed files once and keep the vectors for `anybind search`."),
    ("search", "Rank files by how near they are to a text or to another file."),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add the task, the ranking head and the commands."""
    registry.add(
        TaskSpec(
            name="retrieval",
            summary="one modality asks for another: R@k, mAP@k, MRR, median rank, both ways",
            target="anybind_retrieval.task:Retrieval",
            extra="search",
        )
    )
    registry.add(
        HeadSpec(
            name="query-expansion",
            summary="query averaged with its nearest neighbours (alpha-QE)",
            target="anybind_retrieval.query_expansion:QueryExpansion",
            predicts="ranking",
        )
    )
    for name, summary in COMMANDS:
        registry.add(CommandSpec(name=name, summary=summary, target=f"anybind_retrieval.{name}_command:{name}"))
