"""A plugin for anybind: how far the certainty of a binding can be trusted."""

from __future__ import annotations

import anybind
from anybind.plugin import hookimpl
from anybind.spec import Spec


@hookimpl
def register_tasks(register: anybind.Register) -> None:
    """Two questions about certainty."""
    register(
        Spec(
            name="calibration",
            summary="whether zero-shot answers are right as often as they are certain: ECE, Brier, risk and coverage",
            target="anybind_calibration.calibration:Calibration",
        )
    )
    register(
        Spec(
            name="out-of-distribution",
            summary="whether samples of classes that nobody asked for are noticed: AUROC, FPR at 95 %",
            target="anybind_calibration.unknown:OutOfDistribution",
        )
    )


@hookimpl
def register_heads(register: anybind.Register) -> None:
    """What is abnormal in films, by the same reasoning."""
    register(
        Spec(
            name="residual",
            summary="how much of a window lies outside the directions that normal windows take",
            target="anybind_calibration.residual:Residual",
        )
    )
