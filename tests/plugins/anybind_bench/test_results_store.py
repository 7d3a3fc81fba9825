"""Results folders of other versions and suites, damaged files, locks."""

from __future__ import annotations

import json

import pytest

import anybind
from anybind.tables import hash_settings
from anybind_bench.results import ResultsStore
from anybind_bench.suite import find_suite


@pytest.fixture
def suite(workspace):
    workspace.run()
    return find_suite(workspace.suite)


def test_results_of_another_version_are_rejected(workspace, suite):
    text = (workspace.results / "results.json").read_text().replace('"format": 2', '"format": 99', 1)
    (workspace.results / "results.json").write_text(text)
    line = workspace.cli(*workspace.list_arguments()).error()
    assert "expected format 2, got 99" in line
    assert (workspace.results / "results.json").read_text() == text


def test_results_of_another_suite_are_rejected(workspace, suite):
    workspace.suite.write_text(workspace.suite.read_text().replace('"toys"', '"other"'))
    assert "expected results of suite 'other', got suite 'toys'" in workspace.cli(*workspace.list_arguments()).error()


def test_invalid_results_folder_is_rejected(workspace):
    workspace.results.write_text("x")
    assert "expected a folder, got a file" in workspace.cli(*workspace.list_arguments()).error()
    workspace.results.unlink()
    workspace.results.mkdir()
    (workspace.results / "results.json").write_text('{"mine": 1}')
    assert "not a results file of `anybind bench run`" in workspace.cli(*workspace.list_arguments()).error()


def test_changed_evaluation_keeps_results_of_others(workspace, suite):
    workspace.read_marks()
    workspace.suite.write_text(workspace.suite.read_text().replace('note = "first"', 'note = "changed"'))
    with pytest.warns(anybind.AnybindWarning, match=r"1 of 2 evaluations of suite 'toys' have changed .*'first'"):
        ResultsStore(workspace.results).check(find_suite(workspace.suite))
    (workspace.results / "results.json").unlink()  # the same without the line, which a test would take for an error
    assert workspace.run()["code"] == 0
    assert workspace.read_marks() == ["changed0 toy"]


def test_results_of_changed_evaluations_are_dropped(workspace, suite, plan_run):
    text = workspace.suite.read_text()
    head, first, second = text.split("[[evaluations]]")
    changed = first.replace('note = "first"', 'note = "changed"')
    workspace.suite.write_text("[[evaluations]]".join([head, second, changed]))
    with pytest.warns(anybind.AnybindWarning, match="have changed or were removed"):
        run = plan_run(bindings=("toy:new",))
    run.store.write(run.suite, list(run.bindings), run.cells)
    assert [(cell["evaluation"], cell["seed"]) for cell in workspace.read_results()["cells"]] == [(0, 0), (0, 1)]


def test_published_values_do_not_change_an_evaluation(workspace, suite):
    workspace.suite.write_text(
        workspace.suite.read_text().replace('title = "first"', 'title = "first"\npublished = { x = 1 }')
    )
    ResultsStore(workspace.results).check(find_suite(workspace.suite))


def test_damaged_results_file_is_rewritten(workspace, suite):
    before = (workspace.results / "results.json").read_bytes()
    (workspace.results / "results.json").write_bytes(before[:-40])
    workspace.read_marks()
    with pytest.warns(anybind.AnybindWarning, match=r"results\.json: damaged, will be rewritten"):
        ResultsStore(workspace.results).check(suite)
    (workspace.results / "results.json").unlink()
    workspace.run()
    assert (workspace.results / "results.json").read_bytes() == before
    assert workspace.read_marks() == []


@pytest.mark.parametrize("damage", ["", '{"identity": ', "[]", '{"state": "done"}'])
def test_damaged_cell_is_evaluated_again(workspace, suite, damage):
    identity = workspace.read_results()["cells"][0]["identity"]
    (workspace.results / "cells" / f"{identity}.json").write_text(damage)
    workspace.read_marks()
    assert workspace.run()["code"] == 0
    assert workspace.read_marks() == ["first0 toy"]


def test_cell_file_holds_the_hashed_settings(workspace, suite):
    for cell in workspace.read_results()["cells"]:
        results = json.loads((workspace.results / "cells" / f"{cell['identity']}.json").read_text())
        assert hash_settings(results["about"]) == results["identity"] == cell["identity"]
        assert results["seconds"] >= 0
        assert results["result"] == cell["result"]


def test_lock_is_exclusive_until_released(tmp_path):
    results = ResultsStore(tmp_path / "results")
    results.create()
    with results.lock("a") as one, results.lock("a") as two, results.lock("b") as three:
        assert (one, two, three) == (True, False, True)
    with results.lock("a") as again:
        assert again


def test_unwritable_folder_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(anybind.BadInput, match="cannot write to"):
        ResultsStore(tmp_path / "file" / "below").create()
