"""The command as a user meets it."""

from __future__ import annotations

import json

import pytest

from anybind_bench.suite import SuiteSpec


def test_suites_are_listed_with_the_folders_that_they_want(world, toys, add_plugin, tmp_path, monkeypatch):
    package = tmp_path / "package_of_toys"
    package.mkdir()
    (package / "__init__.py").touch()
    world.add("deep", 'dataset = "notes"\npath = "deep/er"\n')
    world.add("made", 'dataset = "written"\nmade = true\n')
    (package / "toys.toml").write_text(world.suite.read_text())
    (package / "bad.toml").write_text("name = 1")
    monkeypatch.syspath_prepend(tmp_path)
    targets = {name: f"package_of_toys:{name}.toml" for name in ("toys", "bad")}
    specs = [SuiteSpec(name=name, summary="in a line", target=target) for name, target in targets.items()]
    add_plugin(toys, *specs, name="suites")
    rows = {row["name"]: row for row in json.loads(world.cli("bench", "list", "--json").out)["suites"]}
    assert rows["toys"] == {
        "name": "toys",
        "evaluations": 4,
        "bindings": ["toy"],
        "data": {"notes": ["notes"], "deep/er": ["notes"]},
        "summary": "in a line",
    }
    assert rows["bad"]["summary"].startswith("broken: ")
    monkeypatch.setenv("COLUMNS", "200")
    assert "deep/er (notes)" in world.cli("bench", "list").out
    assert world.cli("bench", "--json").out == world.cli("bench", "list", "--json").out
    assert world.cli("bench", "run", "toys", "--data", world.data, "-o", world.results, "--no-store").code == 1


def test_the_plan_is_printed_and_nothing_is_asked_or_written(world):
    world.add("made", 'dataset = "written"\nmade = true\n')
    ended = world.cli(*world.arguments("--plan"))
    assert ended.code == 0
    assert ended.out.count("to do") == 3
    assert "generated" in ended.out
    assert world.marks("") == []
    assert not world.results.exists()
    fields = world.run("--plan")
    assert fields["states"] == {"done": 0, "to do": 4, "failed": 0, "missing": 0, "not-applicable": 0}
    assert "embedded" not in fields
    world.run()
    assert world.run("--plan")["states"]["done"] == 4


def test_the_answers_are_printed_as_means_over_seeds(world):
    ended = world.cli(*world.arguments("--binding", "toy", "--binding", "wordless"))
    assert ended.code == 0
    lines = [line for line in ended.out.splitlines() if "│" in line]
    assert [line for line in lines if "second" in line and f"{(1 / 3 + 1 / 4) / 2:.4f}" in line]
    assert [line for line in lines if "wordless" in line and "not-applicable" in line]
    assert ended.err == ""


def test_results_go_to_a_folder_of_the_suites_name_unless_told(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("bench", "run", world.suite, "--data", world.data, "--json")
    assert json.loads(world.cli(*command).out)["results"] == "anybind-bench/toys"
    assert (tmp_path / "anybind-bench" / "toys" / "results.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["bench", "rnu"], "`anybind bench` has no command 'rnu'; did you mean 'run'"),
        (["bench", "run", "toyz"], "there is no suite 'toyz'"),
        (["bench", "run", "absent.toml"], "cannot read absent.toml"),
        (["bench", "run", "SUITE", "--binding", "tyo"], "there is no binding 'tyo'; did you mean 'toy'"),
        (["bench", "run", "SUITE", "--only", "frist"], "called 'frist'; did you mean 'first'"),
        (["bench", "run", "SUITE", "--data", "absent"], "there is no folder absent; --data names the folder"),
    ],
)
def test_a_mistake_is_told_in_a_line(world, arguments, line):
    assert line in world.cli(*(world.suite if each == "SUITE" else each for each in arguments)).error()
    assert world.marks("") == []


def test_on_a_terminal_each_cell_is_told_as_it_is_settled(world, monkeypatch):
    import sys

    world.add("inner", fail="internal")
    import anybind_bench.command as command

    class Terminal:
        stderr = type("E", (), {"isatty": staticmethod(lambda: True)})

    monkeypatch.setattr(command, "sys", Terminal)
    ended = world.cli(*world.arguments("--json"))
    assert sys.stderr is not Terminal.stderr
    assert ended.err.splitlines()[:4] == [
        "done: first, toy, seed 0: share 0.3333",
        "done: second, toy, seed 0: share 0.3333",
        "done: second, toy, seed 1: share 0.2500",
        "failed: inner, toy, seed 0: internal: ZeroDivisionError: not this way",
    ]
    json.loads(ended.out)
