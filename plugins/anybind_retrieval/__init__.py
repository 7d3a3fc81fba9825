"""Bundled plugin: retrieval - indexes of files, search in them, and retrieval metrics."""

from __future__ import annotations

from anybind.plugin import CommandSpec, Registrar, TaskSpec, hookimpl

anybind_contract = 1

COMMANDS = (
    ("index", "Embed files once and keep the vectors for `anybind search`."),
    ("search", "Rank files by how near they are to a text or to another file."),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add the task and the commands."""
    registry.add(
        TaskSpec(
            name="retrieval",
            summary="one modality asks for another: R@k, mAP@k, MRR, median rank, both ways",
            target="anybind_retrieval.task:Retrieval",
            extra="search",
        )
    )
    for name, summary in COMMANDS:
        registry.add(CommandSpec(name=name, summary=summary, target=f"anybind_retrieval.{name}_command:{name}"))
