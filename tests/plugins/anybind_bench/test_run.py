"""Runs: what is asked, what is not asked again, and what becomes of failures."""

from __future__ import annotations

import json
import os

import pytest


def test_each_cell_is_asked_once_and_stands_in_the_results_in_the_order_of_the_plan(world):
    ended = world.run()
    assert ended["code"] == 0
    assert world.marks() == ["first0 toy", "second0 toy", "second1 toy"]
    held = world.held()
    assert held["format"] == 2
    assert held["bindings"] == ["toy"]
    assert [evaluation["title"] for evaluation in held["evaluations"]] == ["first", "second"]
    assert "evaluations" not in held["suite"]
    assert [(cell["evaluation"], cell["seed"], cell["state"]) for cell in held["cells"]] == [
        (0, 0, "done"), (1, 0, "done"), (1, 1, "done"),
    ]  # fmt: skip
    cell = held["cells"][0]
    assert cell["main_metric"] == "share"
    assert cell["error"] is None
    assert cell["result"]["metrics"]["share"] == pytest.approx(1 / 3)
    assert cell["result"]["details"]["by number"] == {"1": "one"}
    assert len({cell["identity"] for cell in held["cells"]}) == 3
    assert str(world.folder) not in (world.results / "results.json").read_text()


def test_a_second_run_asks_nothing_loads_no_tower_and_leaves_the_same_bytes(world):
    world.run()
    before = (world.results / "results.json").read_bytes()
    world.marks("")
    ended = world.run()
    assert world.marks("") == []
    assert ended["embedded"] == {"computed": 0, "cached": 0}
    assert (world.results / "results.json").read_bytes() == before


def test_what_is_embedded_is_counted_and_comes_from_the_store_in_another_folder(world):
    arguments = [each for each in world.arguments() if each != "--no-store"]
    first = json.loads(world.cli(*arguments, "--json").out)
    assert first["embedded"] == {"computed": 3, "cached": 6}
    arguments[arguments.index("-o") + 1] = world.folder / "others"
    second = json.loads(world.cli(*arguments, "--json").out)
    assert second["embedded"] == {"computed": 0, "cached": 9}
    here, there = (folder / "results.json" for folder in (world.results, world.folder / "others"))
    assert here.read_bytes() == there.read_bytes()


def test_a_task_has_a_folder_to_go_on_from_until_it_has_answered(world):
    world.add("long", fail="once")
    assert [cell["state"] for cell in world.run()["cells"]] == ["done"] * 3 + ["failed"]
    (left,) = (world.results / "work").iterdir()
    assert [file.name for file in left.iterdir()] == ["half"]
    assert [cell["state"] for cell in world.run()["cells"]] == ["done"] * 4
    assert not list((world.results / "work").iterdir())


def test_a_cell_that_fails_is_noted_in_a_line_and_the_rest_goes_on(world):
    world.add("inner", fail="internal")
    world.add("exit", fail="exit")
    world.add("nothing", fail="none")
    world.add("last", note="last")
    ended = world.run()
    assert ended["code"] == 1
    assert [cell["state"] for cell in ended["cells"]] == ["done"] * 3 + ["failed"] * 3 + ["done"]
    errors = [cell["error"] for cell in world.held()["cells"][3:6]]
    assert errors == [
        "internal: ZeroDivisionError: not this way",
        "internal: SystemExit: 3",
        "task 'count': expected an anybind.Result, got NoneType",
    ]
    assert "failed: inner, toy, seed 0: internal: ZeroDivisionError: not this way" in ended["err"]
    assert "Traceback" not in ended["err"]


def test_only_a_failed_cell_is_asked_again(world):
    stone = world.data / "stone"
    stone.touch()
    world.add("blocked", note="blocked", while_there=str(stone))
    assert world.run()["code"] == 1
    assert world.held()["cells"][3]["error"] == "stone is in the way"  # no folder of this machine
    world.marks()
    assert world.run()["code"] == 1
    assert world.marks() == ["blocked0 toy"]
    stone.unlink()
    assert world.run()["code"] == 0
    assert world.marks() == ["blocked0 toy"]
    assert world.states() == ["done"] * 4


def test_a_tower_that_cannot_be_loaded_fails_its_cells_alone(world):
    ended = world.run("--binding", "broken", "--binding", "toy")
    assert ended["code"] == 1
    assert [cell["state"] for cell in ended["cells"]] == ["failed", "done", "failed", "failed", "done", "done"]
    assert world.held()["bindings"] == ["toy", "broken"]  # the suite's own come first
    assert world.held()["cells"][1]["error"] == "the weights are not there"
    assert world.held()["cells"][1]["identity"] is None


def test_a_binding_without_the_modality_is_not_asked(world):
    world.add("with words", to="image")
    ended = world.run("--binding", "toy", "--binding", "wordless")
    assert [cell["state"] for cell in ended["cells"][:2]] == ["done", "not-applicable"]
    assert ended["cells"][1]["error"] == "wordless has no encoder for text"
    assert ended["cells"][-2]["error"] == "toy has no encoder for image"
    assert ended["code"] == 0
    assert world.marks() == ["first0 toy", "second0 toy", "second1 toy"]


def test_a_modality_that_only_the_task_turns_out_to_need_makes_the_cell_not_applicable(world):
    world.add("hidden", also="image")
    ended = world.run()
    assert ended["code"] == 0
    assert ended["cells"][-1]["state"] == "not-applicable"
    assert "has no encoder for 'image'" in ended["cells"][-1]["error"]
    world.marks()
    assert world.run()["code"] == 0
    assert world.marks() == []


def test_another_encoder_option_sample_or_seed_is_another_cell(world):
    world.run()
    world.marks()
    world.run("--binding", "toy:salt")
    assert len(world.marks()) == 3
    world.run("--seed", "7")
    assert world.marks() == ["first7 toy", "second7 toy"]
    with (world.data / "notes" / "notes.txt").open("a") as file:
        file.write("four\n")
    world.run("--only", "first")
    assert world.marks() == ["first0 toy"]


def test_other_bindings_and_evaluations_of_the_folder_stay_in_its_results(world):
    world.run("--binding", "toy:salt", "--only", "first")
    world.run("--only", "second")
    held = world.held()
    assert held["bindings"] == ["toy", "toysalt"]  # the suite's own come first
    assert [(cell["evaluation"], cell["binding"], cell["seed"]) for cell in held["cells"]] == [
        (0, "toysalt", 0), (1, "toy", 0), (1, "toy", 1),
    ]  # fmt: skip


def test_an_answer_of_weights_that_have_changed_is_not_taken(world, monkeypatch):
    """Also where what is remembered of the encoders is out of date, as with weights behind a name of a hub."""
    import toys as module

    world.run()
    before = [cell["identity"] for cell in world.held()["cells"]]
    monkeypatch.setattr(module.Words, "preprocessing", {"toy": 2})
    world.add("new", note="new")
    world.marks()
    assert world.run()["code"] == 0  # loads the tower for the new evaluation, and sees
    assert world.marks() == ["new0 toy", "first0 toy", "second0 toy", "second1 toy"]
    assert not {cell["identity"] for cell in world.held()["cells"]} & set(before)


def test_towers_of_a_binding_are_loaded_once_and_only_where_something_is_to_be_done(world):
    world.run("--binding", "toy:a", "--binding", "toy:b")
    assert world.marks("tower ") == ["texta", "textb"]
    world.run("--binding", "toy:a", "--binding", "toy:c", "--binding", "toy:b")
    assert world.marks("tower ") == ["textc"]


def test_data_that_are_made_are_made_once(world):
    world.add("made", 'dataset = "written"\nmade = true\n')
    assert world.run()["code"] == 0
    assert world.marks("made ") == ["in an empty folder"]
    world.run("--binding", "toy:other")
    assert world.marks("made ") == ["in a full folder"]
    for file in (world.results / "made").glob("*.whole"):
        file.unlink()  # as if the process had been killed while it made them
    world.run()
    assert world.marks("made ") == ["in an empty folder"]


def test_a_full_disk_ends_the_run_with_a_line_and_loses_nothing_that_was_written(world, monkeypatch):
    real, count = os.replace, 0

    def full(self, target):
        nonlocal count
        if target.parent.name == "cells":
            count += 1
            if count == 2:
                raise OSError(28, "No space left on device")
        return real(self, target)

    from pathlib import Path

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        ended = world.cli(*world.arguments("--json"))
    assert "No space left on device" in ended.error()
    assert world.states() == ["done"]
    assert world.marks() == ["first0 toy", "second0 toy"]
    assert not list(world.results.rglob(".anybind-*"))
    assert world.run()["code"] == 0
    assert world.marks() == ["second0 toy", "second1 toy"]
