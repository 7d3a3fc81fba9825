"""A registry of small parts without torch, a suite of them, and the command on it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anybind.registry import Plugin, Registry, use_registry

HERE = Path(__file__).parent

SUITE = """
name = "toys"
bindings = ["toy"]

[[evaluations]]
title = "first"
task = "count"
dataset = "notes"
modality = "text"
options = { note = "first" }

[[evaluations]]
title = "second"
task = "count"
dataset = "notes"
modality = "text"
options = { note = "second" }
seeds = [0, 1]
"""


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The plugins that bring modalities and commands, and the parts of `toys.py`."""
    monkeypatch.syspath_prepend(str(HERE))
    few = Registry.from_entry_points(only="bench,media")
    few.add(Plugin("toys", "toys-dist", "1.0"), lambda: importlib.import_module("toys"))
    former = use_registry(few)
    yield few
    use_registry(former)
    sys.modules.pop("toys", None)


class World:
    """Files of one test: data, a suite, marks of what was evaluated, and the command."""

    def __init__(self, folder: Path, cli: Callable[..., Any]) -> None:
        self.folder, self.cli = folder, cli
        self.data, self.results, self.marks_file = folder / "data", folder / "results", folder / "marks"
        (self.data / "notes").mkdir(parents=True)
        (self.data / "notes" / "notes.txt").write_text("one\ntwo\nthree\n")
        self.suite = folder / "toys.toml"
        self.suite.write_text(SUITE)

    def add(self, title: str, more: str = "", **options: Any) -> None:
        """Add an evaluation to the suite."""
        told = ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items())
        row = f'\n[[evaluations]]\ntitle = "{title}"\ntask = "count"\nmodality = "text"\noptions = {{ {told} }}\n'
        row += more if "dataset" in more else f'dataset = "notes"\n{more}'
        self.suite.write_text(self.suite.read_text() + row)

    def arguments(self, *more: object) -> list[object]:
        return ["bench", "run", self.suite, "--data", self.data, "-o", self.results, "--no-store", *more]

    def run(self, *more: object) -> Any:
        """Run the suite; gives the JSON object, with the exit code as `code`."""
        ended = self.cli(*self.arguments(*more), "--json")
        assert ended.out, ended.err
        return {**json.loads(ended.out), "code": ended.code, "err": ended.err}

    def marks(self, start: str = "asked ") -> list[str]:
        """What the tasks have noted, in order, since the last call."""
        lines = self.marks_file.read_text().splitlines() if self.marks_file.exists() else []
        self.marks_file.unlink(missing_ok=True)
        return [line.removeprefix(start) for line in lines if line.startswith(start)]

    def held(self) -> Any:
        return json.loads((self.results / "results.json").read_text())

    def states(self) -> list[str]:
        return [cell["state"] for cell in self.held()["cells"]]


@pytest.fixture
def world(tmp_path: Path, cli: Callable[..., Any], toys: Registry, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, cli)
    monkeypatch.setenv("TOYS_MARKS", str(made.marks_file))
    monkeypatch.setenv("TOYS_GATE", str(tmp_path / "gate"))
    return made


@pytest.fixture
def a_plan(world: World) -> Callable[..., Any]:
    """A planned run of the suite, as the command makes it."""
    from anybind_bench.run import plan_suite

    def make(*, bindings: tuple[str, ...] = (), data: Path | None = world.data) -> Any:
        return plan_suite(world.suite, bindings=bindings, data=data, output=world.results)

    return make
