"""Runs: evaluated, resumed and failed cells."""

from __future__ import annotations

import json
import os

import pytest


def test_each_cell_is_evaluated_once_in_plan_order(workspace):
    outcome = workspace.run()
    assert outcome["code"] == 0
    assert workspace.read_marks() == ["first0 toy", "second0 toy", "second1 toy"]
    results = workspace.read_results()
    assert results["format"] == 2
    assert results["bindings"] == ["toy"]
    assert [evaluation["title"] for evaluation in results["evaluations"]] == ["first", "second"]
    assert "evaluations" not in results["suite"]
    assert {"made", "differs"} <= set(results["evaluations"][0])  # names of format 2
    assert [(cell["evaluation"], cell["seed"], cell["state"]) for cell in results["cells"]] == [
        (0, 0, "done"), (1, 0, "done"), (1, 1, "done"),
    ]  # fmt: skip
    cell = results["cells"][0]
    assert cell["main_metric"] == "fraction"
    assert cell["error"] is None
    assert cell["result"]["metrics"]["fraction"] == pytest.approx(1 / 3)
    assert cell["result"]["details"]["by number"] == {"1": "one"}
    assert len({cell["identity"] for cell in results["cells"]}) == 3
    assert str(workspace.folder) not in (workspace.results / "results.json").read_text()


def test_second_run_has_no_pending_cells(workspace):
    workspace.run()
    before = (workspace.results / "results.json").read_bytes()
    workspace.read_marks("")
    outcome = workspace.run()
    assert workspace.read_marks("") == []
    assert outcome["embedded"] == {"computed": 0, "cached": 0}
    assert (workspace.results / "results.json").read_bytes() == before


def test_embeddings_are_counted_and_reused_from_the_store(workspace):
    arguments = [each for each in workspace.list_arguments() if each != "--no-store"]
    first = json.loads(workspace.cli(*arguments, "--json").out)
    assert first["embedded"] == {"computed": 3, "cached": 6}
    arguments[arguments.index("-o") + 1] = workspace.folder / "others"
    second = json.loads(workspace.cli(*arguments, "--json").out)
    assert second["embedded"] == {"computed": 0, "cached": 9}
    first, second = (folder / "results.json" for folder in (workspace.results, workspace.folder / "others"))
    assert first.read_bytes() == second.read_bytes()


def test_failed_task_keeps_its_work_folder(workspace):
    workspace.add("long", fail="once")
    assert [cell["state"] for cell in workspace.run()["cells"]] == ["done"] * 3 + ["failed"]
    (left,) = (workspace.results / "work").iterdir()
    assert [file.name for file in left.iterdir()] == ["half"]
    assert [cell["state"] for cell in workspace.run()["cells"]] == ["done"] * 4
    assert not list((workspace.results / "work").iterdir())


def test_failed_cell_does_not_stop_the_run(workspace):
    workspace.add("inner", fail="internal")
    workspace.add("exit", fail="exit")
    workspace.add("nothing", fail="none")
    workspace.add("last", note="last")
    outcome = workspace.run()
    assert outcome["code"] == 1
    assert [cell["state"] for cell in outcome["cells"]] == ["done"] * 3 + ["failed"] * 3 + ["done"]
    errors = [cell["error"] for cell in workspace.read_results()["cells"][3:6]]
    assert errors == [
        "internal: ZeroDivisionError: not this way",
        "internal: SystemExit: 3",
        "task 'count': expected an anybind.Result, got NoneType",
    ]
    assert "failed: inner, toy, seed 0: internal: ZeroDivisionError: not this way" in outcome["err"]
    assert "Traceback" not in outcome["err"]


def test_only_failed_cells_are_evaluated_again(workspace):
    stone = workspace.data / "stone"
    stone.touch()
    workspace.add("blocked", note="blocked", while_exists=str(stone))
    assert workspace.run()["code"] == 1
    assert workspace.read_results()["cells"][3]["error"] == "stone is in the way"  # no folder of this machine
    workspace.read_marks()
    assert workspace.run()["code"] == 1
    assert workspace.read_marks() == ["blocked0 toy"]
    stone.unlink()
    assert workspace.run()["code"] == 0
    assert workspace.read_marks() == ["blocked0 toy"]
    assert workspace.list_states() == ["done"] * 4


def test_broken_encoder_fails_only_its_cells(workspace):
    outcome = workspace.run("--binding", "broken", "--binding", "toy")
    assert outcome["code"] == 1
    assert [cell["state"] for cell in outcome["cells"]] == ["failed", "done", "failed", "failed", "done", "done"]
    assert workspace.read_results()["bindings"] == ["toy", "broken"]  # the suite's own come first
    assert workspace.read_results()["cells"][1]["error"] == "the weights are missing"
    assert workspace.read_results()["cells"][1]["identity"] is None


def test_binding_without_the_modality_is_not_evaluated(workspace):
    workspace.add("with text", to="image")
    outcome = workspace.run("--binding", "toy", "--binding", "textless")
    assert [cell["state"] for cell in outcome["cells"][:2]] == ["done", "not-applicable"]
    assert outcome["cells"][1]["error"] == "textless has no encoder for text"
    assert outcome["cells"][-2]["error"] == "toy has no encoder for image"
    assert outcome["code"] == 0
    assert workspace.read_marks() == ["first0 toy", "second0 toy", "second1 toy"]


def test_undeclared_modality_makes_the_cell_not_applicable(workspace):
    workspace.add("hidden", also="image")
    outcome = workspace.run()
    assert outcome["code"] == 0
    assert outcome["cells"][-1]["state"] == "not-applicable"
    assert "has no encoder for 'image'" in outcome["cells"][-1]["error"]
    workspace.read_marks()
    assert workspace.run()["code"] == 0
    assert workspace.read_marks() == []


def test_encoder_sample_and_seed_change_the_cell(workspace):
    workspace.run()
    workspace.read_marks()
    workspace.run("--binding", "toy:salt")
    assert len(workspace.read_marks()) == 3
    workspace.run("--seed", "7")
    assert workspace.read_marks() == ["first7 toy", "second7 toy"]
    with (workspace.data / "notes" / "notes.txt").open("a") as file:
        file.write("four\n")
    workspace.run("--only", "first")
    assert workspace.read_marks() == ["first0 toy"]


def test_results_of_other_runs_are_kept(workspace):
    workspace.run("--binding", "toy:salt", "--only", "first")
    workspace.run("--only", "second")
    results = workspace.read_results()
    assert results["bindings"] == ["toy", "toysalt"]  # the suite's own come first
    assert [(cell["evaluation"], cell["binding"], cell["seed"]) for cell in results["cells"]] == [
        (0, "toysalt", 0), (1, "toy", 0), (1, "toy", 1),
    ]  # fmt: skip


def test_changed_weights_invalidate_results(workspace, monkeypatch):
    """Cached identities may be outdated, as for weights given by hub name."""
    import toys as module

    workspace.run()
    before = [cell["identity"] for cell in workspace.read_results()["cells"]]
    monkeypatch.setattr(module.HashEncoder, "preprocessing", {"toy": 2})
    workspace.add("new", note="new")
    workspace.read_marks()
    assert workspace.run()["code"] == 0  # loads the encoder for the new evaluation
    assert workspace.read_marks() == ["new0 toy", "first0 toy", "second0 toy", "second1 toy"]
    assert not {cell["identity"] for cell in workspace.read_results()["cells"]} & set(before)


def test_encoders_are_loaded_once_and_only_for_pending_cells(workspace):
    workspace.run("--binding", "toy:a", "--binding", "toy:b")
    assert workspace.read_marks("encoder ") == ["texta", "textb"]
    workspace.run("--binding", "toy:a", "--binding", "toy:c", "--binding", "toy:b")
    assert workspace.read_marks("encoder ") == ["textc"]


def test_generated_data_are_generated_once(workspace):
    workspace.add("generated", 'dataset = "generated"\ngenerated = true\n')
    assert workspace.run()["code"] == 0
    assert workspace.read_marks("generated ") == ["in an empty folder"]
    workspace.run("--binding", "toy:other")
    assert workspace.read_marks("generated ") == ["in a full folder"]
    for file in (workspace.results / "made").glob("*.whole"):
        file.unlink()  # as if the process had been killed during generation
    workspace.run()
    assert workspace.read_marks("generated ") == ["in an empty folder"]


def test_full_disk_keeps_written_results(workspace, monkeypatch):
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
        outcome = workspace.cli(*workspace.list_arguments("--json"))
    assert "No space left on device" in outcome.error()
    assert workspace.list_states() == ["done"]
    assert workspace.read_marks() == ["first0 toy", "second0 toy"]
    assert not list(workspace.results.rglob(".anybind-*"))
    assert workspace.run()["code"] == 0
    assert workspace.read_marks() == ["second0 toy", "second1 toy"]
