"""What stands in the table, and why a number is not there."""

from __future__ import annotations

import statistics

import pytest

from anybind_bench.report.answers import section
from anybind_bench.report.merge import merge
from anybind_bench.results import read_results


@pytest.fixture
def table(results):
    def make(evaluations, cells, **suite):
        [merged] = merge([read_results(results("a", evaluations, cells, **suite))])
        return section(merged)

    return make


def test_published_rows_come_in_the_order_in_which_they_first_appear(table, evaluation, cell):
    evaluations = [evaluation("q", published={"B": 0.2, "A": 0.1}), evaluation("r", published={"A": 0.3, "C": 0.4})]
    made = table(evaluations, [cell(0, "mini", metrics={"top1": 0.5})])
    assert list(made.published.items()) == [("B", (0.2, None)), ("A", (0.1, 0.3)), ("C", (None, 0.4))]


def test_each_metric_of_an_evaluation_is_a_column_and_a_bare_number_is_of_the_main_one(table, evaluation, cell):
    asked = evaluation("q", task="vad", metrics=("ap", "auc"), published={"A": 0.6, "B": {"ap": 0.2, "auc": 0.7}})
    made = table([asked], [cell(0, "mini", metrics={"auc": 0.5, "ap": 0.25}, main_metric="auc")])
    assert [column.metric for column in made.columns] == ["ap", "auc"]
    assert made.published == {"A": (None, 0.6), "B": (0.2, 0.7)}
    assert [answer.value for answer in made.ours[0].answers] == [0.25, 0.5]


def test_the_main_metric_of_an_evaluation_that_nobody_answered_is_that_of_the_task(table, evaluation, cell):
    asked = evaluation("q", published={"A": 0.6})
    made = table([asked], [cell(0, "mini", state="missing", error="d is not there", main_metric=None)])
    assert made.columns[0].metric == "top1"
    assert made.published == {"A": (0.6,)}


def test_a_task_that_is_not_installed_can_be_reported(table, evaluation, cell):
    made = table(
        [evaluation("q", task="of-a-stranger")], [cell(0, "mini", state="failed", error="e", main_metric=None)]
    )
    assert made.columns[0].metric == "answer"


def test_metrics_have_their_own_intervals(table, evaluation, cell):
    asked = [evaluation("q", metrics=("top1", "R@1", "MRR"))]
    intervals = {"top1": [0.4, 0.6], "R@1": [0.1, 0.3]}
    made = table(asked, [cell(0, "mini", metrics={"top1": 0.5, "R@1": 0.2, "MRR": 0.3}, intervals=intervals)])
    assert [answer.interval for answer in made.ours[0].answers] == [(0.4, 0.6), (0.1, 0.3), None]


def test_several_seeds_have_a_mean_and_a_deviation_and_no_interval(table, evaluation, cell):
    values = [0.5, 0.6, 0.55]
    intervals = {"top1": [0.4, 0.6]}
    cells = [cell(0, "mini", seed, metrics={"top1": value}, intervals=intervals) for seed, value in enumerate(values)]
    [[answer]] = [each.answers for each in table([evaluation("q", seeds=(0, 1, 2))], cells).ours]
    assert answer.value == statistics.fmean(values)
    assert answer.deviation == statistics.stdev(values)
    assert answer.seeds == (0, 1, 2)
    assert answer.interval is None


def test_a_seed_that_failed_is_told_beside_the_mean_of_the_others(table, evaluation, cell):
    cells = [cell(0, "mini", 0, metrics={"top1": 0.5}), cell(0, "mini", 1, state="failed", error="no memory")]
    [[answer]] = [each.answers for each in table([evaluation("q", seeds=(0, 1))], cells).ours]
    assert answer.value == 0.5
    assert answer.seeds == (0,)
    assert answer.reasons == ("seed 1 failed: no memory",)


def test_a_seed_that_was_not_asked_yet_is_told(table, evaluation, cell):
    [[answer]] = [
        each.answers for each in table([evaluation("q", seeds=(0, 1, 2))], [cell(0, "mini", 1, {"top1": 0.5})]).ours
    ]
    assert answer.value == 0.5
    assert answer.reasons == ("seed 0, 2 not evaluated in these results",)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"state": "failed", "error": "ValueError: x"}, "failed: ValueError: x"),
        ({"state": "missing", "error": "data/esc is not there"}, "data missing: data/esc is not there"),
        ({"state": "not-applicable"}, "not applicable: the binding has no encoder for what the task needs"),
        ({"metrics": {"top5": 1.0}}, "not defined: the result has no top1"),
        ({"metrics": {"top1": float("nan")}}, "not defined: the result has no top1"),
        ({"metrics": {}, "undefined": {"top1": "labels of one kind"}}, "not defined: labels of one kind"),
    ],
    ids=str,
)
def test_a_number_that_is_not_there_has_a_reason(table, evaluation, cell, fields, told):
    [[answer]] = [each.answers for each in table([evaluation("q")], [cell(0, "mini", **fields)]).ours]
    assert answer.value is None
    assert answer.reasons == (told,)


def test_an_evaluation_that_a_binding_was_not_asked_is_told(table, evaluation, cell):
    cells = [cell(0, "mini", metrics={"top1": 0.5}), cell(1, "clip", metrics={"top1": 0.5})]
    made = table([evaluation("q"), evaluation("r")], cells)
    assert made.ours[0].answers[1].reasons == ("not evaluated in these results",)


def test_ours_is_held_against_whom_the_suite_names(table, evaluation, cell):
    asked = evaluation("q", published={"B/32": 0.5, "L/14": 0.75})
    cells = [cell(0, name, metrics={"top1": 0.6}) for name in ("clip-b", "mini")]
    made = table([asked], cells, compare={"clip-b": "B/32", "*": "L/14"})
    assert [each.against for each in made.ours] == ["B/32", "L/14"]
    assert made.differences(made.ours[0]) == [pytest.approx(0.1)]
    assert made.differences(made.ours[1]) == [pytest.approx(-0.15)]


def test_without_a_number_on_either_side_there_is_no_difference(table, evaluation, cell):
    evaluations = [evaluation("q"), evaluation("r", published={"A": 0.5})]
    cells = [cell(0, "mini", metrics={"top1": 0.6}), cell(1, "mini", state="failed", error="e")]
    made = table(evaluations, cells, compare={"*": "A"})
    assert made.differences(made.ours[0]) == [None, None]


def test_chance_levels_are_those_of_the_metrics(table, evaluation, cell):
    made = cell(0, "mini", metrics={"top1": 0.6, "top5": 0.9}, chance={"top5": 0.05})
    assert table([evaluation("q", metrics=("top1", "top5"))], [made]).chance == (None, 0.05)


def test_n_is_told_where_all_seeds_have_the_same(table, evaluation, cell):
    cells = [cell(0, "mini", seed, metrics={"top1": 0.5}, n=n) for seed, n in ((0, 10), (1, 11))]
    cells += [cell(1, "mini", metrics={"top1": 0.5}, n=10, gallery_size=0)]
    [one, other] = table([evaluation("q"), evaluation("r")], cells).ours[0].answers
    assert (one.n, other.n) == (None, 10)
    assert other.gallery is None
