"""Bundled plugin: zero-shot classification, classification heads, `classify`, `fit-head`, and the demo.

from anybind_classification import classify
classify("recordings/", ["a duck", "a kettle"])[0].label
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import CommandSpec, HeadSpec, Registrar, TaskSpec, hookimpl

if TYPE_CHECKING:
    from anybind_classification.classification import Classification, LabelScore, classify
    from anybind_classification.fitting import fit_head

__all__ = ["Classification", "LabelScore", "classify", "fit_head"]

anybind_contract = 1

COMMANDS = (
    ("classify", "Classify recordings, images or audio clips by text labels (zero-shot), or by a fitted head."),
    ("fit-head", "Fit a classification head on a folder of class folders."),
    ("demo", "Recognise event recordings of real pictures by words, and write a page that shows it."),
)


HEADS = (
    ("prototypes", "nearest mean embedding of a class", "heads:Prototypes", ""),
    ("linear-probe", "logistic regression on frozen embeddings", "heads:LinearProbe", "train"),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add the task, the heads and the commands."""
    registry.add(
        TaskSpec(
            name="zero-shot",
            summary="classification by words alone: top-1, top-5, per class, confusion",
            target="anybind_classification.zero_shot:ZeroShot",
        )
    )
    for name, summary, target, extra in HEADS:
        registry.add(
            HeadSpec(
                name=name,
                summary=summary,
                target=f"anybind_classification.{target}",
                predicts="classification",
                extra=extra,
            )
        )
    for name, summary in COMMANDS:
        function = name.replace("-", "_")
        target = f"anybind_classification.{function}_command:{function}"
        registry.add(CommandSpec(name=name, summary=summary, target=target))


def __getattr__(name: str) -> object:
    """Import what is public when it is first used, so that listing the plugin stays light."""
    if name in __all__:
        module = "fitting" if name == "fit_head" else "classification"
        return getattr(importlib.import_module(f"anybind_classification.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
