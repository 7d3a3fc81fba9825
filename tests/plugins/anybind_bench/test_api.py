"""The public functions: running a suite and writing its report from Python."""

from __future__ import annotations

import pytest

import anybind_bench
from anybind import Binding, Result
from anybind.errors import BadOption
from anybind_bench import Evaluation, State, Suite, read_results, run_suite, write_report


@pytest.fixture
def suite():
    return Suite("made here", (Evaluation("count", "notes", "text", title="q", seeds=(0, 1)),), bindings=("toy",))


def test_a_suite_made_in_python_is_run_and_gives_typed_results(world, suite):
    seen = []
    results = run_suite(suite, data=world.data, output=world.results, on_cell=seen.append)
    assert [(cell.title, cell.binding, cell.seed, cell.state) for cell in results.cells] == [
        ("q", "toy", 0, State.DONE), ("q", "toy", 1, State.DONE),
    ]  # fmt: skip
    assert seen == list(results.cells)
    assert isinstance(results.cells[0].result, Result)
    assert results.cells[0].main_value == results.cells[0].result.metrics["share"] == pytest.approx(1 / 3)


def test_results_that_are_read_again_are_those_that_were_returned(world, suite):
    results = run_suite(suite, data=world.data, output=world.results)
    assert read_results(world.results) == results


def test_arguments_are_those_of_the_command(world, suite):
    binding = Binding("salty", {"text": Binding.configure("words", salt="x")})
    results = run_suite(suite, bindings=[binding], data=world.data, output=world.results, limit=1, seeds=[5])
    assert [(cell.binding, cell.seed, cell.result.n) for cell in results.cells if cell.result] == [("salty", 5, 1)]
    with pytest.raises(BadOption, match="called 'other'"):
        run_suite(suite, data=world.data, output=world.results, only=["other"])


def test_a_report_is_written_of_results_or_of_their_folder(world, suite, tmp_path):
    results = run_suite(suite, data=world.data, output=world.results)
    write_report(results, tmp_path / "a.md")
    write_report(world.results, tmp_path / "b.md")
    assert (tmp_path / "a.md").read_text() == (tmp_path / "b.md").read_text()
    assert "# made here" in (tmp_path / "a.md").read_text()
    with pytest.raises(BadOption, match="expected a report ending in"):
        write_report(results, tmp_path / "a.pdf")


def test_all_public_names_are_there():
    assert all(getattr(anybind_bench, name) for name in anybind_bench.__all__)
