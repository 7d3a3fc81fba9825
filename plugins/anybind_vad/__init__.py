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
    ("zero-shot", "prompts for normal and abnormal scenes", "zero_shot:ZeroShotHead"),
    ("one-class", "distance to the embeddings of normal windows", "one_class:OneClassHead"),
    ("mil", "multiple-instance learning from labels of whole videos", "mil:MilHead"),
    ("event-rate", "events per pixel and frame: the motion baseline", "event_rate:EventRateHead"),
    ("image", "another head on each window's middle frame: the paper's CLIP row", "image:make_image_head"),
    ("fused", "a head on events and on images, weighted by uncertainty", "fused:make_fused_head"),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add heads, the task and the command."""
    for name, summary, target in HEADS:
        registry.add(HeadSpec(name=name, summary=summary, target=f"anybind_vad.heads.{target}", predicts="anomaly"))
    registry.add(
        TaskSpec(
            name="vad",
            summary="abnormal frames of videos: ROC AUC and average precision",
            target="anybind_vad.task:VideoAnomaly",
            modalities=("event",),
            extra="events",
        )
    )
    registry.add(
        CommandSpec(
            name="vad",
            summary="Score each frame of a video for anomalies, and list the abnormal segments.",
            target="anybind_vad.command:vad",
            extra="events",
        )
    )


def __getattr__(name: str) -> object:
    """Import public functions on first use, so that listing the plugin stays light."""
    if name in __all__:
        return getattr(importlib.import_module("anybind_vad.scores"), name)
    raise AttributeError(f"module 'anybind_vad' has no attribute {name!r}")
