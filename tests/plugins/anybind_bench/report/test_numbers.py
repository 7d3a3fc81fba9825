"""How numbers are printed."""

from __future__ import annotations

from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import given

from anybind_bench.report.numbers import as_printed, between, difference, is_share, metric_title, ours


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
def test_metrics_of_the_bundled_tasks_are_shares(metric):
    assert is_share(metric, [0.5, None, 1.0])


@pytest.mark.parametrize(
    "metric", ["median_rank", "in_batch_event_to_text_median_rank", "loss", "epochs", "final_loss"]
)
def test_ranks_losses_and_counts_are_no_shares_even_where_they_are_small(metric):
    assert not is_share(metric, [1.0])


@pytest.mark.parametrize("value", [1.5, -0.1, 870.0])
def test_what_lies_outside_of_0_to_1_is_no_share(value):
    assert not is_share("score", [0.5, value])


def test_ours_has_two_digits_of_a_per_cent():
    assert ours(0.66341, True) == "66.34"
    assert ours(3.0, False) == "3"
    assert ours(None, True) == "–"


@pytest.mark.parametrize(
    ("value", "text"), [(0.6634, "66.34"), (0.379, "37.9"), (1.0, "100"), (0.83, "83"), (0.7, "70")]
)
def test_a_published_share_has_the_digits_of_the_source(value, text):
    assert as_printed(value, True) == text


@given(st.integers(0, 10_000))
def test_a_published_share_never_gains_digits_by_the_way_floats_are_held(hundredths):
    printed = as_printed(float(Decimal(hundredths) / 10_000), True)
    assert Decimal(printed) == Decimal(hundredths) / 100
    assert "E" not in printed


def test_differences_have_a_sign():
    assert difference(0.6123 - 0.6634, True) == "-5.11"
    assert difference(0.02, True) == "+2.00"
    assert difference(12.0, False) == "+12"


def test_an_interval_is_two_numbers():
    assert between((0.641, 0.685), True) == "64.10 to 68.50"
    assert between(None, True) == ""


def test_metrics_have_names_for_people():
    assert metric_title("top1") == "top-1"
    assert metric_title("event_to_image_R@1") == "event to image R@1"
    assert metric_title("window_auc") == "window AUC"
