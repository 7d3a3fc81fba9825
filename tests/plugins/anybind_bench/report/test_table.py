"""The values of a report's table, and reasons for missing values."""

from __future__ import annotations

import statistics

import pytest

from anybind_bench.report.merge import merge_results
from anybind_bench.report.table import build_table
from anybind_bench.results import read_results


@pytest.fixture
def table(results):
    def make(evaluations, cells, **suite):
        [merged] = merge_results([read_results(results("a", evaluations, cells, **suite))])
        return build_table(merged)

    return make


def test_published_methods_keep_order_of_appearance(table, evaluation, cell):
    evaluations = [evaluation("q", published={"B": 0.2, "A": 0.1}), evaluation("r", published={"A": 0.3, "C": 0.4})]
    suite_table = table(evaluations, [cell(0, "mini", metrics={"top1": 0.5})])
    assert list(suite_table.published.items()) == [("B", (0.2, None)), ("A", (0.1, 0.3)), ("C", (None, 0.4))]


def test_each_metric_is_a_column_and_plain_values_are_of_the_main_metric(table, evaluation, cell):
    compared = evaluation("q", task="vad", metrics=("ap", "auc"), published={"A": 0.6, "B": {"ap": 0.2, "auc": 0.7}})
    suite_table = table([compared], [cell(0, "mini", metrics={"auc": 0.5, "ap": 0.25}, main_metric="auc")])
    assert [column.metric for column in suite_table.columns] == ["ap", "auc"]
    assert suite_table.published == {"A": (None, 0.6), "B": (0.2, 0.7)}
    assert [value.value for value in suite_table.binding_rows[0].values] == [0.25, 0.5]


def test_main_metric_without_results_is_the_tasks(table, evaluation, cell):
    compared = evaluation("q", published={"A": 0.6})
    suite_table = table([compared], [cell(0, "mini", state="missing", error="missing folder d", main_metric=None)])
    assert suite_table.columns[0].metric == "top1"
    assert suite_table.published == {"A": (0.6,)}


def test_report_without_installed_task(table, evaluation, cell):
    suite_table = table(
        [evaluation("q", task="of-a-stranger")], [cell(0, "mini", state="failed", error="e", main_metric=None)]
    )
    assert suite_table.columns[0].metric == "result"


def test_metrics_have_their_own_intervals(table, evaluation, cell):
    compared = [evaluation("q", metrics=("top1", "R@1", "MRR"))]
    intervals = {"top1": [0.4, 0.6], "R@1": [0.1, 0.3]}
    suite_table = table(compared, [cell(0, "mini", metrics={"top1": 0.5, "R@1": 0.2, "MRR": 0.3}, intervals=intervals)])
    assert [value.interval for value in suite_table.binding_rows[0].values] == [(0.4, 0.6), (0.1, 0.3), None]


def test_several_seeds_have_mean_and_standard_deviation(table, evaluation, cell):
    values = [0.5, 0.6, 0.55]
    intervals = {"top1": [0.4, 0.6]}
    cells = [cell(0, "mini", seed, metrics={"top1": value}, intervals=intervals) for seed, value in enumerate(values)]
    [[value]] = [each.values for each in table([evaluation("q", seeds=(0, 1, 2))], cells).binding_rows]
    assert value.value == statistics.fmean(values)
    assert value.deviation == statistics.stdev(values)
    assert value.seeds == (0, 1, 2)
    assert value.interval is None


def test_failed_seed_is_reported_beside_the_mean(table, evaluation, cell):
    cells = [cell(0, "mini", 0, metrics={"top1": 0.5}), cell(0, "mini", 1, state="failed", error="no memory")]
    [[value]] = [each.values for each in table([evaluation("q", seeds=(0, 1))], cells).binding_rows]
    assert value.value == 0.5
    assert value.seeds == (0,)
    assert value.reasons == ("seed 1 failed: no memory",)


def test_missing_seeds_are_reported(table, evaluation, cell):
    [[value]] = [
        each.values
        for each in table([evaluation("q", seeds=(0, 1, 2))], [cell(0, "mini", 1, {"top1": 0.5})]).binding_rows
    ]
    assert value.value == 0.5
    assert value.reasons == ("seed 0, 2 not evaluated in these results",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"state": "failed", "error": "ValueError: x"}, "failed: ValueError: x"),
        ({"state": "missing", "error": "missing folder data/esc"}, "data missing: missing folder data/esc"),
        ({"state": "not-applicable"}, "not applicable: the binding has no encoder for the task's modalities"),
        ({"metrics": {"top5": 1.0}}, "not defined: the result has no top1"),
        ({"metrics": {"top1": float("nan")}}, "not defined: the result has no top1"),
        ({"metrics": {}, "undefined": {"top1": "labels of one kind"}}, "not defined: labels of one kind"),
    ],
    ids=str,
)
def test_missing_value_has_a_reason(table, evaluation, cell, fields, message):
    [[value]] = [each.values for each in table([evaluation("q")], [cell(0, "mini", **fields)]).binding_rows]
    assert value.value is None
    assert value.reasons == (message,)


def test_unevaluated_binding_is_reported(table, evaluation, cell):
    cells = [cell(0, "mini", metrics={"top1": 0.5}), cell(1, "clip", metrics={"top1": 0.5})]
    suite_table = table([evaluation("q"), evaluation("r")], cells)
    assert suite_table.binding_rows[0].values[1].reasons == ("not evaluated in these results",)


def test_binding_is_compared_with_the_suites_method(table, evaluation, cell):
    compared = evaluation("q", published={"B/32": 0.5, "L/14": 0.75})
    cells = [cell(0, name, metrics={"top1": 0.6}) for name in ("clip-b", "mini")]
    suite_table = table([compared], cells, compare={"clip-b": "B/32", "*": "L/14"})
    assert [each.reference for each in suite_table.binding_rows] == ["B/32", "L/14"]
    assert suite_table.compute_differences(suite_table.binding_rows[0]) == [pytest.approx(0.1)]
    assert suite_table.compute_differences(suite_table.binding_rows[1]) == [pytest.approx(-0.15)]


def test_difference_needs_both_values(table, evaluation, cell):
    evaluations = [evaluation("q"), evaluation("r", published={"A": 0.5})]
    cells = [cell(0, "mini", metrics={"top1": 0.6}), cell(1, "mini", state="failed", error="e")]
    suite_table = table(evaluations, cells, compare={"*": "A"})
    assert suite_table.compute_differences(suite_table.binding_rows[0]) == [None, None]


def test_chance_levels_are_those_of_the_metrics(table, evaluation, cell):
    suite_table = cell(0, "mini", metrics={"top1": 0.6, "top5": 0.9}, chance={"top5": 0.05})
    assert table([evaluation("q", metrics=("top1", "top5"))], [suite_table]).chance == (None, 0.05)


def test_n_requires_equal_n_for_all_seeds(table, evaluation, cell):
    cells = [cell(0, "mini", seed, metrics={"top1": 0.5}, n=n) for seed, n in ((0, 10), (1, 11))]
    cells += [cell(1, "mini", metrics={"top1": 0.5}, n=10, gallery_size=0)]
    [one, other] = table([evaluation("q"), evaluation("r")], cells).binding_rows[0].values
    assert (one.n, other.n) == (None, 10)
    assert other.gallery is None
