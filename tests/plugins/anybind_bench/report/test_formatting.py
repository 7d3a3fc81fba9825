"""How numbers are printed."""

from __future__ import annotations

from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import given

from anybind_bench.report.formatting import (
    format_difference,
    format_interval,
    format_metric,
    format_published,
    format_value,
    is_fraction,
)


@pytest.mark.parametrize(
    "metric",
    [
        "top1",
        "top5",
        "mean_per_class",
        "auc",
        "ap",
        "macro_auc",
        "window_ap",
        "R@1",
        "event_to_image_R@10",
        "mAP@1",
        "MRR",
    ],
)
def test_metrics_of_bundled_tasks_are_fractions(metric):
    assert is_fraction(metric, [0.5, None, 1.0])


@pytest.mark.parametrize(
    "metric", ["median_rank", "in_batch_event_to_text_median_rank", "loss", "epochs", "final_loss"]
)
def test_ranks_losses_and_counts_are_not_fractions(metric):
    assert not is_fraction(metric, [1.0])


@pytest.mark.parametrize("value", [1.5, -0.1, 870.0])
def test_values_outside_0_to_1_are_not_fractions(value):
    assert not is_fraction("score", [0.5, value])


@pytest.mark.parametrize(
    ("value", "text"), [(0.6634, "66.34"), (0.379, "37.9"), (1.0, "100"), (0.83, "83"), (0.7, "70")]
)
def test_published_fraction_has_digits_of_the_source(value, text):
    assert format_published(value, True) == text


@given(st.integers(0, 10_000))
def test_published_fraction_has_no_floating_point_digits(hundredths):
    printed = format_published(float(Decimal(hundredths) / 10_000), True)
    assert Decimal(printed) == Decimal(hundredths) / 100
    assert "E" not in printed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (format_difference(0.6123 - 0.6634, True), "-5.11"),
        (format_difference(0.02, True), "+2.00"),
        (format_difference(12.0, False), "+12"),
        (format_interval((0.641, 0.685), True), "64.10 to 68.50"),
        (format_interval(None, True), ""),
        (format_metric("top1"), "top-1"),
        (format_metric("event_to_image_R@1"), "event to image R@1"),
        (format_metric("window_auc"), "window AUC"),
        (format_value(0.66341, True), "66.34"),
        (format_value(3.0, False), "3"),
        (format_value(None, True), "–"),
    ],
)
def test_formats_of_values(text, expected):
    assert text == expected
