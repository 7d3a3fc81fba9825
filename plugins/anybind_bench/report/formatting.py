"""Number formats of reports: fractions in per cent, other metrics with four significant digits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

NOT_FRACTIONS = {
    "rank",
    "loss",
    "count",
    "counts",
    "epoch",
    "epochs",
    "step",
    "steps",
    "seconds",
    "s",
    "ms",
    "rate",
    "bits",
}
"""Words in the names of metrics that are not fractions."""
METRIC_NAMES = {"top1": "top-1", "top5": "top-5", "auc": "AUC", "ap": "AP", "pr": "PR", "map": "mAP"}
DASH = "–"


def is_fraction(metric: str, values: Iterable[float | None]) -> bool:
    """Return whether a metric is a fraction, 0 to 1, printed in per cent.

    Metrics are fractions unless their name contains a word of `NOT_FRACTIONS` or a value lies outside 0 to 1.
    """
    if NOT_FRACTIONS & set(re.split(r"[^a-z]+", metric.lower())):
        return False
    return all(0 <= value <= 1 for value in values if value is not None)


def format_metric(metric: str) -> str:
    """Format a metric's name: `event_to_image_R@1` as `event to image R@1`, `top1` as `top-1`."""
    return " ".join(METRIC_NAMES.get(word, word) for word in metric.split("_"))


def format_value(value: float | None, fraction: bool) -> str:
    """Format a measured value: 0.6634 as `66.34` for a fraction, else four significant digits."""
    if value is None:
        return DASH
    return f"{100 * value:.2f}" if fraction else f"{value:.4g}"


def format_published(value: float | None, fraction: bool) -> str:
    """Format a published value with the source's digits: 0.379 as `37.9`."""
    if value is None:
        return DASH
    return f"{(Decimal(repr(value)) * (100 if fraction else 1)).normalize():f}"


def format_difference(value: float | None, fraction: bool) -> str:
    """Format a difference with its sign, in percentage points for fractions."""
    return (
        DASH
        if value is None
        else f"{100 * value if fraction else value:+.{2 if fraction else 4}{'f' if fraction else 'g'}}"
    )


def format_interval(interval: tuple[float, float] | None, fraction: bool) -> str:
    """Format an interval: `64.10 to 68.50`."""
    return "" if interval is None else f"{format_value(interval[0], fraction)} to {format_value(interval[1], fraction)}"
