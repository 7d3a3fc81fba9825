"""A registry of small parts without torch, a suite that uses them, and the command."""

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
    """Registry of the bench and media plugins and the parts of `toys.py`."""
    monkeypatch.syspath_prepend(str(HERE))
    registry = Registry.from_entry_points(only="bench,media")
    registry.add(Plugin("toys", "toys-dist", "1.0"), lambda: importlib.import_module("toys"))
    previous = use_registry(registry)
    yield registry
    use_registry(previous)
    sys.modules.pop("toys", None)


class SuiteWorkspace:
    """Files of one test: data, a suite, marks of evaluated cells; and the command."""

    def __init__(self, folder: Path, cli: Callable[..., Any]) -> None:
        self.folder, self.cli = folder, cli
        self.data, self.results, self.marks_file = folder / "data", folder / "results", folder / "marks"
        (self.data / "notes").mkdir(parents=True)
        (self.data / "notes" / "notes.txt").write_text("one\ntwo\nthree\n")
        self.suite = folder / "toys.toml"
        self.suite.write_text(SUITE)

    def add(self, title: str, more: str = "", **options: Any) -> None:
        """Add an evaluation to the suite."""
        text = ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items())
        row = f'\n[[evaluations]]\ntitle = "{title}"\ntask = "count"\nmodality = "text"\noptions = {{ {text} }}\n'
        row += more if "dataset" in more else f'dataset = "notes"\n{more}'
        self.suite.write_text(self.suite.read_text() + row)

    def list_arguments(self, *more: object) -> list[object]:
        return ["bench", "run", self.suite, "--data", self.data, "-o", self.results, "--no-store", *more]

    def run(self, *more: object) -> Any:
        """Run the suite; return the JSON object, with the exit code as `code`."""
        result = self.cli(*self.list_arguments(*more), "--json")
        assert result.out, result.err
        return {**json.loads(result.out), "code": result.code, "err": result.err}

    def read_marks(self, start: str = "evaluated ") -> list[str]:
        """Read the marks since the last call, in order."""
        lines = self.marks_file.read_text().splitlines() if self.marks_file.exists() else []
        self.marks_file.unlink(missing_ok=True)
        return [line.removeprefix(start) for line in lines if line.startswith(start)]

    def read_results(self) -> Any:
        return json.loads((self.results / "results.json").read_text())

    def list_states(self) -> list[str]:
        return [cell["state"] for cell in self.read_results()["cells"]]


@pytest.fixture
def workspace(
    tmp_path: Path, cli: Callable[..., Any], toys: Registry, monkeypatch: pytest.MonkeyPatch
) -> SuiteWorkspace:
    workspace = SuiteWorkspace(tmp_path, cli)
    monkeypatch.setenv("TOYS_MARKS", str(workspace.marks_file))
    monkeypatch.setenv("TOYS_GATE", str(tmp_path / "gate"))
    return workspace


@pytest.fixture
def plan_run(workspace: SuiteWorkspace) -> Callable[..., Any]:
    """Return a function that plans a run of the suite."""
    from anybind_bench.run import plan_suite

    def plan(*, bindings: tuple[str, ...] = (), data: Path | None = workspace.data) -> Any:
        return plan_suite(workspace.suite, bindings=bindings, data=data, output=workspace.results)

    return plan
