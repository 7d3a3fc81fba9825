"""Results folders, read and laid together."""

from __future__ import annotations

import json

import pytest

from anybind import BadInput
from anybind_bench.report.merge import merge
from anybind_bench.results import read_results


def merged(*folders):
    [one] = merge(map(read_results, folders))
    return one


def test_a_folder_and_the_file_in_it_are_the_same_results(results, evaluation, cell):
    folder = results("a", [evaluation("q", published={"paper": 0.5})], [cell(0, "mini", metrics={"top1": 0.25})])
    of_folder, of_file = read_results(folder), read_results(folder / "results.json")
    assert of_folder.cells == of_file.cells
    assert of_folder.suite.evaluations == (evaluation("q", published={"paper": 0.5}),)
    assert of_folder.cells[0].title == "q"


def test_bindings_of_two_folders_stand_in_one_table(results, evaluation, cell):
    one = results("a", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.25})])
    other = results("b", [evaluation("q"), evaluation("r")], [cell(1, "clip", metrics={"top1": 0.5})])
    both = merged(one, other)
    assert [each.title for each in both.suite.evaluations] == ["q", "r"]
    assert [row.name for row in both.rows] == ["mini", "clip"]
    assert both.rows[1].cells["r", 0].result.metrics == {"top1": 0.5}


def test_a_cell_that_is_done_stands_before_one_that_failed(results, evaluation, cell):
    failed = results("a", [evaluation("q")], [cell(0, "mini", state="failed", error="no memory")])
    done = results("b", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5})])
    for folders in ((failed, done), (done, failed)):
        [row] = merged(*folders).rows
        assert row.cells["q", 0].state == "done"


def test_the_same_cell_in_two_folders_is_one_row(results, evaluation, cell):
    folders = [results(name, [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5})]) for name in "ab"]
    assert [row.name for row in merged(*folders).rows] == ["mini"]


def test_other_weights_under_one_name_are_rows_of_their_own_named_by_folder(results, evaluation, cell):
    other = evaluation("r")
    one = results("old", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5}, identity="a" * 12)])
    two = results("new", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5}, identity="b" * 12)])
    third = results("third", [other], [cell(0, "clip", metrics={"top1": 0.5})])
    assert [row.name for row in merged(one, third, two).rows] == ["mini (old)", "mini (new)", "clip"]


def test_suites_are_apart_in_the_order_given(results, evaluation, cell):
    folders = [
        results(name, [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5})], name=suite)
        for name, suite in (("a", "one"), ("b", "two"), ("c", "one"))
    ]
    assert [each.suite.name for each in merge(map(read_results, folders))] == ["one", "two"]


def test_one_title_for_two_evaluations_is_refused(results, evaluation, cell):
    done = cell(0, "mini", metrics={"top1": 0.5})
    one = results("a", [evaluation("q")], [done])
    other = results("b", [evaluation("q", options={"among": ["a", "b"]})], [done])
    with pytest.raises(BadInput, match=r"b and .*a: two different evaluations are called 'q' .suite 'table'"):
        merged(one, other)


def test_what_a_report_shows_of_an_evaluation_may_change_between_runs(results, evaluation, cell):
    done = cell(0, "mini", metrics={"top1": 0.5})
    one = results("a", [evaluation("q", published={"paper": 0.5})], [done])
    other = results("b", [evaluation("q", path="elsewhere", differs=("a note",), seeds=(0, 1))], [done])
    assert merged(one, other).suite.evaluations[0].published == {"paper": 0.5}


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        ('{"format": 1, "cells": []}', "another version of anybind .format 1, expected 2"),
        ('{"format": 2, "suite": {"na', "not valid JSON"),
        ("[1, 2]", "was not written by `anybind bench run`"),
        ('{"name": "model.json"}', "was not written by `anybind bench run`"),
        ('{"format": 2, "suite": {"name": "s"}, "evaluations": []}', "there are no evaluations"),
        ('{"format": 2, "suite": {"name": "s"}}', "KeyError: 'evaluations'"),
        ('{"format": 2, "suite": {"name": "s", "colour": "red"}, "evaluations": [], "cells": []}', "colour"),
        ("\xff", "results.json: not valid JSON .*utf-8"),
    ],
)
def test_what_is_no_results_file_is_told_in_one_line(tmp_path, contents, told):
    (tmp_path / "results.json").write_bytes(contents.encode("latin1"))
    with pytest.raises(BadInput, match=told) as raised:
        read_results(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "running"},
        {"evaluation": 7},
        {"seed": None},
        {"result": None},
        {"result": {"metrics": {"top1": "high"}}},
        {"result": {"metrics": [0.5]}},
    ],
    ids=str,
)
def test_a_damaged_cell_is_told(results, evaluation, cell, change):
    folder = results("a", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5}) | change])
    with pytest.raises(BadInput, match="is damaged, or was written by another version"):
        read_results(folder)


def test_a_missing_folder_says_what_writes_one(tmp_path):
    with pytest.raises(BadInput, match=r"holds no results: there is no .*results.json; `anybind bench run` writes it"):
        read_results(tmp_path)


def test_an_error_over_several_lines_is_one_line(results, evaluation, cell):
    folder = results("a", [evaluation("q")], [cell(0, "mini", state="failed", error="first\n  second")])
    assert read_results(folder).cells[0].error == "first second"
    assert json.loads((folder / "results.json").read_text())["cells"][0]["error"] == "first\n  second"
