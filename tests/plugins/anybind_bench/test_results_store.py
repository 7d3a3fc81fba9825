"""Results folders: of other versions and suites, damaged, and never torn."""

from __future__ import annotations

import json

import pytest

import anybind
from anybind.tables import hash_settings
from anybind_bench.results import ResultsStore
from anybind_bench.suite import find_suite


@pytest.fixture
def suite(world):
    world.run()
    return find_suite(world.suite)


def test_a_folder_of_another_version_is_left_alone(world, suite):
    text = (world.results / "results.json").read_text().replace('"format": 2', '"format": 99', 1)
    (world.results / "results.json").write_text(text)
    line = world.cli(*world.arguments()).error()
    assert "written by another version of anybind (format 99, expected 2)" in line
    assert (world.results / "results.json").read_text() == text


def test_a_folder_of_another_suite_is_left_alone(world, suite):
    world.suite.write_text(world.suite.read_text().replace('"toys"', '"other"'))
    assert "holds results of the suite 'toys', not of 'other'" in world.cli(*world.arguments()).error()


def test_a_file_in_the_place_of_the_folder_and_a_strangers_file_are_told(world):
    world.results.write_text("x")
    assert "is a file, expected a folder" in world.cli(*world.arguments()).error()
    world.results.unlink()
    world.results.mkdir()
    (world.results / "results.json").write_text('{"mine": 1}')
    assert "was not written by `anybind bench run`" in world.cli(*world.arguments()).error()


def test_where_evaluations_have_changed_the_results_to_the_others_are_used(world, suite):
    world.marks()
    world.suite.write_text(world.suite.read_text().replace('note = "first"', 'note = "changed"'))
    with pytest.warns(anybind.AnybindWarning, match=r"1 of its 2 evaluations have changed or are gone .*'first'"):
        ResultsStore(world.results).check(find_suite(world.suite))
    (world.results / "results.json").unlink()  # the same without the line, which a test would take for an error
    assert world.run()["code"] == 0
    assert world.marks() == ["changed0 toy"]


def test_rows_of_changed_evaluations_leave_the_file_and_those_of_others_move(world, suite, a_plan):
    text = world.suite.read_text()
    head, first, second = text.split("[[evaluations]]")
    changed = first.replace('note = "first"', 'note = "changed"')
    world.suite.write_text("[[evaluations]]".join([head, second, changed]))
    with pytest.warns(anybind.AnybindWarning, match="another version of the suite"):
        run = a_plan(bindings=("toy:new",))
    run.store.write(run.suite, list(run.bindings), run.cells)
    assert [(cell["evaluation"], cell["seed"]) for cell in world.held()["cells"]] == [(0, 0), (0, 1)]


def test_what_is_published_beside_an_evaluation_is_no_change(world, suite):
    world.suite.write_text(world.suite.read_text().replace('title = "first"', 'title = "first"\npublished = { x = 1 }'))
    ResultsStore(world.results).check(find_suite(world.suite))


def test_a_damaged_file_is_written_again(world, suite):
    before = (world.results / "results.json").read_bytes()
    (world.results / "results.json").write_bytes(before[:-40])
    world.marks()
    with pytest.warns(anybind.AnybindWarning, match=r"results\.json is damaged; it is written again"):
        ResultsStore(world.results).check(suite)
    (world.results / "results.json").unlink()
    world.run()
    assert (world.results / "results.json").read_bytes() == before
    assert world.marks() == []


@pytest.mark.parametrize("damage", ["", '{"identity": ', "[]", '{"state": "done"}'])
def test_a_damaged_cell_is_asked_again(world, suite, damage):
    identity = world.held()["cells"][0]["identity"]
    (world.results / "cells" / f"{identity}.json").write_text(damage)
    world.marks()
    assert world.run()["code"] == 0
    assert world.marks() == ["first0 toy"]


def test_the_file_of_a_cell_says_what_its_identity_is_the_hash_of(world, suite):
    for cell in world.held()["cells"]:
        held = json.loads((world.results / "cells" / f"{cell['identity']}.json").read_text())
        assert hash_settings(held["about"]) == held["identity"] == cell["identity"]
        assert held["seconds"] >= 0
        assert held["result"] == cell["result"]


def test_a_lock_is_held_by_one_and_free_again_when_it_ends(tmp_path):
    results = ResultsStore(tmp_path / "results")
    results.create()
    with results.lock("a") as one, results.lock("a") as two, results.lock("b") as three:
        assert (one, two, three) == (True, False, True)
    with results.lock("a") as again:
        assert again


def test_a_folder_that_cannot_be_written_is_told_in_a_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(anybind.BadInput, match="cannot write into"):
        ResultsStore(tmp_path / "file" / "below").create()
