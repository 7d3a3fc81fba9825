"""A plugin for anybind: a classification head, and a suite that trains and evaluates it."""

from __future__ import annotations

from anybind.plugin import HeadSpec, Registrar, TaskSpec, hookimpl
from anybind_bench.suite import SuiteSpec

anybind_contract = 1


@hookimpl
def register(registry: Registrar) -> None:
    """Add the head, the task that trains and evaluates it, and the suite."""
    registry.add(
        HeadSpec(
            name="centroid",
            predicts="classification",
            summary="cosine similarity to shrunken class means",
            target="anybind_centroid.head:Centroid",
        )
    )
    registry.add(
        TaskSpec(
            name="centroid-accuracy",
            summary="accuracy of the head `centroid` after a few samples per class",
            target="anybind_centroid.task:CentroidAccuracy",
        )
    )
    registry.add(
        SuiteSpec(
            name="centroid",
            summary="the head `centroid` on synthetic activities, from 1 and 5 samples per class",
            target="anybind_centroid:centroid.toml",
        )
    )
