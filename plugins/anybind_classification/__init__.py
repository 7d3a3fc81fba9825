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
    from anybind_classification.live import LiveAnswer, WatchSummary, watch
    from anybind_classification.live_page import LivePage
    from anybind_classification.recordings import RecordingClassification, classify_windows

PUBLIC = {
    "Classification": "classification",
    "LabelScore": "classification",
    "LiveAnswer": "live",
    "LivePage": "live_page",
    "RecordingClassification": "recordings",
    "WatchSummary": "live",
    "classify": "classification",
    "classify_windows": "recordings",
    "fit_head": "fitting",
    "watch": "live",
}
"""Public names, with the module of each."""

__all__ = [
    "Classification",
    "LabelScore",
    "LiveAnswer",
    "LivePage",
    "RecordingClassification",
    "WatchSummary",
    "classify",
    "classify_windows",
    "fit_head",
    "watch",
]

anybind_contract = 1

COMMANDS = (
    ("classify", "Classify recordings, images or audio clips by text labels (zero-shot), or by a fitted head."),
    ("watch", "Classify what an event camera, a replay or another program sends, by text labels, as it arrives."),
    ("fit-head", "Fit a classification head on a folder of class folders."),
    ("demo", "Simulate event recordings of images, classify them by text (zero-shot), and write an HTML page."),
)


HEADS = (
    ("prototypes", "nearest class mean of frozen embeddings", "heads:Prototypes", ""),
    ("linear-probe", "logistic regression on frozen embeddings", "heads:LinearProbe", "train"),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Register the task, the heads and the commands."""
    registry.add(
        TaskSpec(
            name="zero-shot",
            summary="zero-shot classification: top-1, top-5, per-class accuracy, confusion matrix",
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
    """Import public names on first use: listing the plugin stays light."""
    if name in PUBLIC:
        return getattr(importlib.import_module(f"anybind_classification.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
