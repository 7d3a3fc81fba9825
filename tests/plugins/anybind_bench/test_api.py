"""The public functions: running a suite and writing its report from Python."""

from __future__ import annotations

import pytest

import anybind_bench
from anybind import Binding, Result
from anybind.errors import BadOption
from anybind_bench import Evaluation, State, Suite, read_results, run_suite, write_report


@pytest.fixture
def suite():
    return Suite("custom", (Evaluation("count", "notes", "text", title="q", seeds=(0, 1)),), bindings=("toy",))


def test_run_suite_returns_typed_results(workspace, suite):
    seen = []
    results = run_suite(suite, data=workspace.data, output=workspace.results, on_cell=seen.append)
    assert [(cell.title, cell.binding, cell.seed, cell.state) for cell in results.cells] == [
        ("q", "toy", 0, State.DONE), ("q", "toy", 1, State.DONE),
    ]  # fmt: skip
    assert seen == list(results.cells)
    assert isinstance(results.cells[0].result, Result)
    assert results.cells[0].main_value == results.cells[0].result.metrics["fraction"] == pytest.approx(1 / 3)


def test_read_results_equals_returned_results(workspace, suite):
    results = run_suite(suite, data=workspace.data, output=workspace.results)
    assert read_results(workspace.results) == results


def test_run_suite_takes_the_arguments_of_the_command(workspace, suite):
    binding = Binding("salty", {"text": Binding.configure("hash", salt="x")})
    results = run_suite(suite, bindings=[binding], data=workspace.data, output=workspace.results, limit=1, seeds=[5])
    assert [(cell.binding, cell.seed, cell.result.n) for cell in results.cells if cell.result] == [("salty", 5, 1)]
    with pytest.raises(BadOption, match="task or dataset 'other'"):
        run_suite(suite, data=workspace.data, output=workspace.results, only=["other"])


def test_report_from_results_equals_report_from_folder(workspace, suite, tmp_path):
    results = run_suite(suite, data=workspace.data, output=workspace.results)
    write_report(results, tmp_path / "a.md")
    write_report(workspace.results, tmp_path / "b.md")
    assert (tmp_path / "a.md").read_text() == (tmp_path / "b.md").read_text()
    assert "# custom" in (tmp_path / "a.md").read_text()
    with pytest.raises(BadOption, match="expected a report file ending in"):
        write_report(results, tmp_path / "a.pdf")


def test_public_names_exist():
    assert all(getattr(anybind_bench, name) for name in anybind_bench.__all__)
