"""Bundled plugin: zero-shot classification, the command `classify`, and the demo."""

from __future__ import annotations

from anybind.plugin import CommandSpec, Registrar, TaskSpec, hookimpl

anybind_contract = 1

COMMANDS = (
    ("classify", "Say which of some labels fits each recording or picture best."),
    ("demo", "Recognise event recordings of real pictures by words, and write a page that shows it."),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add the task and the commands."""
    registry.add(
        TaskSpec(
            name="zero-shot",
            summary="classification by words alone: top-1, top-5, per class, confusion",
            target="anybind_classification.zero_shot:ZeroShot",
        )
    )
    for name, summary in COMMANDS:
        registry.add(CommandSpec(name=name, summary=summary, target=f"anybind_classification.{name}_command:{name}"))
