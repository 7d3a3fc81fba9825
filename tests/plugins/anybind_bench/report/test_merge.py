"""Reading and merging of results folders."""

from __future__ import annotations

import json

import pytest

from anybind import BadInput
from anybind_bench.report.merge import merge_results
from anybind_bench.results import read_results


def merge_folders(*folders):
    [one] = merge_results(map(read_results, folders))
    return one


def test_results_of_folder_equal_results_of_file(results, evaluation, cell):
    folder = results("a", [evaluation("q", published={"paper": 0.5})], [cell(0, "mini", metrics={"top1": 0.25})])
    from_folder, from_file = read_results(folder), read_results(folder / "results.json")
    assert from_folder.cells == from_file.cells
    assert from_folder.suite.evaluations == (evaluation("q", published={"paper": 0.5}),)
    assert from_folder.cells[0].title == "q"


def test_bindings_of_two_folders_are_merged(results, evaluation, cell):
    one = results("a", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.25})])
    other = results("b", [evaluation("q"), evaluation("r")], [cell(1, "clip", metrics={"top1": 0.5})])
    both = merge_folders(one, other)
    assert [each.title for each in both.suite.evaluations] == ["q", "r"]
    assert [row.name for row in both.rows] == ["mini", "clip"]
    assert both.rows[1].cells["r", 0].result.metrics == {"top1": 0.5}


def test_finished_cell_precedes_failed_cell(results, evaluation, cell):
    failed = results("a", [evaluation("q")], [cell(0, "mini", state="failed", error="no memory")])
    done = results("b", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5})])
    for folders in ((failed, done), (done, failed)):
        [row] = merge_folders(*folders).rows
        assert row.cells["q", 0].state == "done"


def test_equal_cells_of_two_folders_share_a_row(results, evaluation, cell):
    folders = [results(name, [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5})]) for name in "ab"]
    assert [row.name for row in merge_folders(*folders).rows] == ["mini"]


def test_other_weights_with_one_name_get_separate_rows(results, evaluation, cell):
    other = evaluation("r")
    one = results("old", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5}, identity="a" * 12)])
    two = results("new", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5}, identity="b" * 12)])
    third = results("third", [other], [cell(0, "clip", metrics={"top1": 0.5})])
    assert [row.name for row in merge_folders(one, third, two).rows] == ["mini (old)", "mini (new)", "clip"]


def test_suites_keep_their_order(results, evaluation, cell):
    folders = [
        results(name, [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5})], name=suite)
        for name, suite in (("a", "one"), ("b", "two"), ("c", "one"))
    ]
    assert [each.suite.name for each in merge_results(map(read_results, folders))] == ["one", "two"]


def test_different_evaluations_with_one_title_are_rejected(results, evaluation, cell):
    done = cell(0, "mini", metrics={"top1": 0.5})
    one = results("a", [evaluation("q")], [done])
    other = results("b", [evaluation("q", options={"candidate_labels": ["a", "b"]})], [done])
    with pytest.raises(BadInput, match=r"b and .*a: different evaluations with the title 'q' .suite 'table'"):
        merge_folders(one, other)


def test_presentation_of_an_evaluation_may_change(results, evaluation, cell):
    done = cell(0, "mini", metrics={"top1": 0.5})
    one = results("a", [evaluation("q", published={"paper": 0.5})], [done])
    other = results("b", [evaluation("q", path="elsewhere", differences=("a note",), seeds=(0, 1))], [done])
    assert merge_folders(one, other).suite.evaluations[0].published == {"paper": 0.5}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ('{"format": 1, "cells": []}', "expected format 2, got 1 .another version"),
        ('{"format": 2, "suite": {"na', "not valid JSON"),
        ("[1, 2]", "not a results file of `anybind bench run`"),
        ('{"name": "model.json"}', "not a results file of `anybind bench run`"),
        ('{"format": 2, "suite": {"name": "s"}, "evaluations": []}', "evaluations: expected at least one"),
        ('{"format": 2, "suite": {"name": "s"}}', "KeyError: 'evaluations'"),
        ('{"format": 2, "suite": {"name": "s", "colour": "red"}, "evaluations": [], "cells": []}', "colour"),
        ("\xff", "results.json: not valid JSON .*utf-8"),
    ],
)
def test_invalid_results_file_is_reported_on_one_line(tmp_path, contents, message):
    (tmp_path / "results.json").write_bytes(contents.encode("latin1"))
    with pytest.raises(BadInput, match=message) as raised:
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
def test_damaged_cell_is_rejected(results, evaluation, cell, change):
    folder = results("a", [evaluation("q")], [cell(0, "mini", metrics={"top1": 0.5}) | change])
    with pytest.raises(BadInput, match=r"results\.json: damaged, or written by another version"):
        read_results(folder)


def test_missing_results_are_explained(tmp_path):
    with pytest.raises(BadInput, match=r"no results .missing .*results.json.; write them by `anybind bench run`"):
        read_results(tmp_path)


def test_multiline_error_becomes_one_line(results, evaluation, cell):
    folder = results("a", [evaluation("q")], [cell(0, "mini", state="failed", error="first\n  second")])
    assert read_results(folder).cells[0].error == "first second"
    assert json.loads((folder / "results.json").read_text())["cells"][0]["error"] == "first\n  second"
