"""Bundled plugin: video anomaly detection - heads, the task and the command `vad`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import CommandSpec, HeadSpec, Registrar, TaskSpec, hookimpl

if TYPE_CHECKING:
    from anybind_vad.scores import VideoScores, score_video

__all__ = ["VideoScores", "score_video"]
anybind_contract = 1

HEADS = (
    ("zero-shot", "words for what is normal and what is not", "zero_shot:ZeroShotHead"),
    ("one-class", "distance to windows of normal film", "one_class:OneClassHead"),
    ("mil", "learned from labels of whole films", "mil:MilHead"),
    ("event-rate", "how much moves: the baseline that looks at nothing else", "event_rate:EventRateHead"),
    ("image", "another head, asked of each window's middle frame: the paper's CLIP row", "image:image_head"),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add heads, the task and the command."""
    for name, summary, target in HEADS:
        registry.add(HeadSpec(name=name, summary=summary, target=f"anybind_vad.heads.{target}", predicts="anomaly"))
    registry.add(
        TaskSpec(
            name="vad",
            summary="which frames of videos are abnormal: ROC AUC and average precision",
            target="anybind_vad.task:VideoAnomaly",
            modalities=("event",),
            extra="events",
        )
    )
    registry.add(
        CommandSpec(
            name="vad",
            summary="Score how abnormal each moment of a video is, and list the abnormal segments.",
            target="anybind_vad.command:vad",
            extra="events",
        )
    )


def __getattr__(name: str) -> object:
    """Import public functions when they are used, so that listing stays light."""
    if name in __all__:
        return getattr(importlib.import_module("anybind_vad.scores"), name)
    raise AttributeError(f"module 'anybind_vad' has no attribute {name!r}")
