"""The command `anybind bench`."""

from __future__ import annotations

import importlib
import json

import pytest

from anybind_bench.suite import SuiteSpec


def test_list_shows_suites_with_required_data_folders(workspace, toys, add_plugin, tmp_path, monkeypatch):
    package = tmp_path / "toy_package"
    package.mkdir()
    (package / "__init__.py").touch()
    workspace.add("deep", 'dataset = "notes"\npath = "deep/er"\n')
    workspace.add("generated", 'dataset = "generated"\ngenerated = true\n')
    (package / "toys.toml").write_text(workspace.suite.read_text())
    (package / "bad.toml").write_text("name = 1")
    monkeypatch.syspath_prepend(tmp_path)
    targets = {name: f"toy_package:{name}.toml" for name in ("toys", "bad")}
    specs = [SuiteSpec(name=name, summary="in a line", target=target) for name, target in targets.items()]
    add_plugin(toys, *specs, name="suites")
    rows = {row["name"]: row for row in json.loads(workspace.cli("bench", "list", "--json").out)["suites"]}
    assert rows["toys"] == {
        "name": "toys",
        "evaluations": 4,
        "bindings": ["toy"],
        "data": {"notes": ["notes"], "deep/er": ["notes"]},
        "summary": "in a line",
    }
    assert rows["bad"]["summary"].startswith("broken: ")
    monkeypatch.setenv("COLUMNS", "200")
    table = workspace.cli("bench", "list").out
    assert "deep/er (notes)" in table
    assert "\\n" not in table
    assert workspace.cli("bench", "--json").out == workspace.cli("bench", "list", "--json").out
    assert (
        workspace.cli("bench", "run", "toys", "--data", workspace.data, "-o", workspace.results, "--no-store").code == 1
    )


def test_plan_does_not_evaluate_or_write(workspace):
    workspace.add("generated", 'dataset = "generated"\ngenerated = true\n')
    outcome = workspace.cli(*workspace.list_arguments("--plan"))
    assert outcome.code == 0
    assert outcome.out.count("to do") == 3
    assert "generated" in outcome.out
    assert workspace.read_marks("") == []
    assert not workspace.results.exists()
    fields = workspace.run("--plan")
    assert fields["states"] == {"done": 0, "to do": 4, "failed": 0, "missing": 0, "not-applicable": 0}
    assert "embedded" not in fields
    workspace.run()
    assert workspace.run("--plan")["states"]["done"] == 4


def test_results_table_shows_means_over_seeds(workspace):
    outcome = workspace.cli(*workspace.list_arguments("--binding", "toy", "--binding", "textless"))
    assert outcome.code == 0
    lines = [line for line in outcome.out.splitlines() if "│" in line]
    second = max(number for number, line in enumerate(lines) if "second" in line)  # after the plan
    assert "toy" in lines[second + 1]
    assert f"{(1 / 3 + 1 / 4) / 2:.4f}" in lines[second + 1]
    assert "textless" in lines[second + 2]
    assert "not-applicable" in lines[second + 2]
    assert outcome.err == ""


def test_results_table_shows_the_metrics_of_an_evaluation(workspace):
    workspace.add("third", 'metrics = ["sum", "fraction"]\n')
    outcome = workspace.cli(*workspace.list_arguments("--binding", "toy"))
    lines = [line.split("│")[1:-1] for line in outcome.out.splitlines() if "│" in line]
    third = max(number for number, line in enumerate(lines) if "third" in line[0])  # after the plan
    assert [[cell.strip() for cell in line[:2]] for line in lines[third + 1 :]] == [["toy", "sum"], ["", "fraction"]]
    assert all(float(line[2]) for line in lines[third + 1 :])


def test_default_results_folder_is_named_after_the_suite(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("bench", "run", workspace.suite, "--data", workspace.data, "--json")
    assert json.loads(workspace.cli(*command).out)["results"] == "anybind-bench/toys"
    assert (tmp_path / "anybind-bench" / "toys" / "results.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["bench", "rnu"], "`anybind bench` has no command 'rnu'; did you mean 'run'"),
        (["bench", "run", "toyz"], "there is no suite 'toyz'"),
        (["bench", "run", "absent.toml"], "cannot read absent.toml"),
        (["bench", "run", "SUITE", "--binding", "tyo"], "there is no binding 'tyo'; did you mean 'toy'"),
        (["bench", "run", "SUITE", "--only", "frist"], "task or dataset 'frist'; did you mean 'first'"),
        (["bench", "run", "SUITE", "--data", "absent"], "missing data folder absent; set --data"),
    ],
)
def test_invalid_arguments_are_reported_on_one_line(workspace, arguments, line):
    assert line in workspace.cli(*(workspace.suite if each == "SUITE" else each for each in arguments)).error()
    assert workspace.read_marks("") == []


def test_terminal_shows_each_finished_cell(workspace, monkeypatch):
    import sys

    workspace.add("inner", fail="internal")
    import anybind_bench.command as command

    class Terminal:
        stderr = type("E", (), {"isatty": staticmethod(lambda: True)})

    monkeypatch.setattr(command, "sys", Terminal)
    outcome = workspace.cli(*workspace.list_arguments("--json"))
    assert sys.stderr is not Terminal.stderr
    assert outcome.err.splitlines()[:4] == [
        "done: first, toy, seed 0: fraction 0.3333",
        "done: second, toy, seed 0: fraction 0.3333",
        "done: second, toy, seed 1: fraction 0.2500",
        "failed: inner, toy, seed 0: internal: ZeroDivisionError: not this way",
    ]
    json.loads(outcome.out)


def test_run_takes_options_of_inference(workspace, monkeypatch):
    sizes = []

    toys = importlib.import_module("toys")  # as the fixture imports it
    encode = toys.HashEncoder.encode
    monkeypatch.setattr(
        toys.HashEncoder, "encode", lambda self, items: [sizes.append(len(items)), encode(self, items)][1]
    )
    assert workspace.cli(*workspace.list_arguments("--batch-size", "1", "--workers", "1", "--no-store")).code == 0
    assert set(sizes) == {1}
    refused = workspace.cli(*workspace.list_arguments("--precision", "int4"))
    assert (refused.code, refused.err) == (2, "error: expected a precision of fp32, bf16, fp16, got 'int4'\n")
