"""How numbers are printed: shares in per cent with the digits of the field, all others as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

NO_SHARE = {"rank", "loss", "count", "counts", "epoch", "epochs", "step", "steps", "seconds", "s", "ms", "rate", "bits"}
"""Words in the name of a metric that is no share of anything."""
SHOWN = {"top1": "top-1", "top5": "top-5", "auc": "AUC", "ap": "AP", "map": "mAP"}
NOTHING = "–"


def is_share(metric: str, values: Iterable[float | None]) -> bool:
    """Whether a metric is a share, 0 to 1, and so printed in per cent.

    A task's metrics are shares unless their name says otherwise; what lies outside of 0 to 1 is none in any case.
    """
    if NO_SHARE & set(re.split(r"[^a-z]+", metric.lower())):
        return False
    return all(0 <= value <= 1 for value in values if value is not None)


def metric_title(metric: str) -> str:
    """A metric's name for people: `event_to_image_R@1` as `event to image R@1`, `top1` as `top-1`."""
    return " ".join(SHOWN.get(word, word) for word in metric.split("_"))


def ours(value: float | None, share: bool) -> str:
    """A number of ours: 66.34 of 0.6634, or four digits of what is no share."""
    if value is None:
        return NOTHING
    return f"{100 * value:.2f}" if share else f"{value:.4g}"


def as_printed(value: float | None, share: bool) -> str:
    """A published number with the digits that the source gives: 37.9 of 0.379."""
    if value is None:
        return NOTHING
    return f"{(Decimal(repr(value)) * (100 if share else 1)).normalize():f}"


def difference(value: float | None, share: bool) -> str:
    """A difference with its sign, in points of per cent where it is of shares."""
    return (
        NOTHING if value is None else f"{100 * value if share else value:+.{2 if share else 4}{'f' if share else 'g'}}"
    )


def between(ends: tuple[float, float] | None, share: bool) -> str:
    """An interval: `64.10 to 68.50`."""
    return "" if ends is None else f"{ours(ends[0], share)} to {ours(ends[1], share)}"
