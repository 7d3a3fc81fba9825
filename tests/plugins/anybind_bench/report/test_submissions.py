"""Submitted results: written from results folders, and validated; wrong and hostile files are one line each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anybind.errors import BadInput, BadOption
from anybind_bench.submissions import MAX_BYTES, check_submissions, read_submission, write_submissions

FIELDS = {"command": "anybind bench run cars.toml --binding mini", "licence": "MIT", "day": "2026-11-30"}


@pytest.fixture
def submitted(results: Callable[..., Path], evaluation: Any, cell: Any, tmp_path: Path) -> Path:
    """Write the submission of one binding; return its file."""
    cells = [
        cell(0, "mini", metrics={"top1": 0.5}, intervals={"top1": [0.4, 0.6]}, details={"large": [1, 2]}),
        cell(1, "mini", state="failed", error="no data"),
    ]
    folder = results("run", [evaluation("Cars"), evaluation("Trees")], cells, name="cars")
    (path,) = write_submissions(folder, tmp_path / "board", **FIELDS)
    return path


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    fields = json.loads(path.read_text())
    edit(fields)
    path.write_text(json.dumps(fields))


def test_submission_states_the_origin_of_the_results(submitted, tmp_path):
    assert submitted == tmp_path / "board" / "cars" / "mini.json"
    fields = json.loads(submitted.read_text())
    assert {name: fields[name] for name in ("binding", "licence", "date", "command")} == {
        "binding": "mini",
        "licence": "MIT",
        "date": "2026-11-30",
        "command": FIELDS["command"],
    }
    assert fields["encoders"] == {"event": "mini-event", "text": "mini-text"}
    assert fields["versions"]["anybind"] == "0.1.0"
    (cell,) = fields["results"]["cells"]  # the finished one
    assert (cell["result"]["metrics"], cell["result"]["details"]) == ({"top1": 0.5}, {})
    (valid,), problems = check_submissions(tmp_path / "board")
    assert problems == []
    assert (valid.submission.binding, valid.results.cells[0].main_value) == ("mini", 0.5)


def test_results_with_and_without_adapters_and_of_several_simulation_seeds_are_of_one_encoder(
    results, evaluation, cell, tmp_path
):
    identities = ["a-b~0123456789ab+c", "a-b~ba9876543210+c", "a-b"]  # zero-shot by two seeds, few-shot
    evaluations = [evaluation("Zero-shot", seeds=[0, 1]), evaluation("Few-shot")]
    cells = [
        cell(number, "mini", seed=seed, metrics={"top1": 0.5}, encoders={"event": identity})
        for (number, seed), identity in zip([(0, 0), (0, 1), (1, 0)], identities, strict=True)
    ]
    folder = results("run", evaluations, cells, name="cars")
    (path,) = write_submissions(folder, tmp_path / "board", **FIELDS)
    assert json.loads(path.read_text())["encoders"] == {"event": "a-b+c"}
    (valid,), problems = check_submissions(tmp_path / "board")
    assert (len(valid.results.cells), problems) == (3, [])
    for other in ("a-x", "a-b+d", "a-b~onnx-int8-0123456789ab"):
        cells[2]["result"]["encoders"]["event"] = other
        folder = results(f"run of {other}", evaluations, cells, name="cars")
        with pytest.raises(BadInput, match=r"mini: results of two event encoders \(a-b\+c and a-"):
            write_submissions(folder, tmp_path / "board", **FIELDS)


def test_licence_is_the_installed_bindings_unless_given(results, evaluation, cell, tmp_path):
    folder = results("run", [evaluation("Cars")], [cell(0, "clip-vit-b-32", metrics={"top1": 0.5})])
    (path,) = write_submissions(folder, tmp_path / "board", command="c")
    assert json.loads(path.read_text())["licence"] == "MIT"
    folder = results("own", [evaluation("Cars")], [cell(0, "own", metrics={"top1": 0.5})])
    with pytest.raises(BadOption, match="expected the licence of the weights of 'own', which declares none"):
        write_submissions(folder, tmp_path / "board", command="c")


def test_evaluations_differ_from_the_installed_suite(results, evaluation, cell, tmp_path):
    folder = results("run", [evaluation("N-Caltech101")], [cell(0, "mini", metrics={"top1": 0.5})], name="paper-table1")
    with pytest.raises(BadOption, match="'N-Caltech101' is not the one of the installed suite 'paper-table1'"):
        write_submissions(folder, tmp_path / "board", **FIELDS)


def test_results_without_finished_evaluations_are_rejected(results, evaluation, cell, tmp_path):
    folder = results("run", [evaluation("Cars")], [cell(0, "mini", state="failed", error="e")])
    with pytest.raises(BadInput, match="no finished evaluations"):
        write_submissions(folder, tmp_path / "board", **FIELDS)
    assert not (tmp_path / "board").exists()


def set_result(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda table: table["results"]["cells"][0]["result"].update(fields)


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown key": (lambda table: table.update(score=1), "unknown key 'score'"),
    "missing key": (lambda table: table.pop("licence"), "lacks the key 'licence'"),
    "wrong type": (lambda table: table.update(versions=[1]), "versions: expected a table"),
    "other format": (lambda table: table.update(format=2), "format: expected 1, got 2"),
    "number as name": (lambda table: table.update(binding=3), "binding: expected a text, got 3"),
    "empty licence": (lambda table: table.update(licence=" "), "licence: expected a text, got an empty one"),
    "control characters": (lambda table: table.update(command="a\u001b[2Jb"), "command: expected printable characters"),
    "long name": (lambda table: table.update(licence="M" * 401), "at most 400 characters, got 401"),
    "date": (lambda table: table.update(date="2026-13-01"), "date: expected YYYY-MM-DD, got '2026-13-01'"),
    "no version": (lambda table: table.update(versions={}), "expected the version of anybind"),
    "other binding": (lambda table: table.update(binding="clip"), "expected results of binding 'clip'"),
    "no results": (lambda table: table["results"].update(cells=[]), "expected finished evaluations, got none"),
    "failed cell": (
        lambda table: table["results"]["cells"][0].update(state="failed", error="e", result=None),
        "expected state done, got failed",
    ),
    "other results format": (lambda table: table["results"].update(format=9), "expected format 2, got 9"),
    "metric as text": (set_result(metrics={"top1": "0.9"}), "expected a number, got '0.9'"),
    "no main metric": (set_result(metrics={"other": 0.9}), "expected the main metric 'top1'"),
    "interval": (set_result(intervals={"top1": [0.6, 0.4]}), "expected intervals of a lower and an upper end"),
    "no samples": (set_result(n=0), "expected one or more samples, got 0"),
    "encoder": (set_result(encoders={"event": "another"}), "encoders: expected event 'mini-event', got 'another'"),
    "details": (set_result(details={"a": 1}), "expected neither details nor curves"),
}


@pytest.mark.parametrize(("edit", "message"), EDITS.values(), ids=EDITS)
def test_wrong_content_is_one_line(cli, submitted, tmp_path, edit, message):
    change(submitted, edit)
    valid, (problem, *more) = check_submissions(tmp_path / "board")
    assert valid == more == []
    assert problem.startswith(str(submitted))
    assert message in problem
    assert "\n" not in problem
    assert len(problem) < 600
    result = cli("bench", "check-results", tmp_path / "board")
    assert (result.code, result.err.strip(), result.out.strip()) == (1, problem, "0 valid, 1 problems")


TEXTS = {
    "not JSON": (b"<html>", "not valid JSON"),
    "not UTF-8": (b'{"format": "\xff"}', "not valid JSON"),
    "duplicate key": (b'{"format": 1, "format": 1}', "duplicate key 'format'"),
    "NaN": (b'{"format": NaN}', "expected finite numbers, got NaN"),
    "nested": (b"[" * 100_000, "not valid JSON"),
    "digits": (b'{"format": ' + b"1" * 5000 + b"}", "not valid JSON"),
    "list": (b"[]", "expected a table"),
    "empty": (b"", "not valid JSON"),
    "huge": (b" " * (MAX_BYTES + 1), "expected at most 4,194,304 bytes, got 4,194,305"),
}


@pytest.mark.parametrize(("content", "message"), TEXTS.values(), ids=TEXTS)
def test_hostile_file_is_one_line(submitted, content, message):
    submitted.write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        read_submission(submitted)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_infinite_metric_is_rejected(submitted):
    submitted.write_text(submitted.read_text().replace('"top1": 0.5', '"top1": 1e999'))
    with pytest.raises(BadInput, match="expected finite metrics"):
        read_submission(submitted)


def test_wrong_places_and_other_files_are_reported(submitted, tmp_path):
    board = tmp_path / "board"
    (board / "README.md").write_text("how to submit")
    (board / "notes.txt").write_text("a")
    (board / "cars" / "clip.json").write_bytes(submitted.read_bytes())
    (board / "cars" / "link.json").symlink_to("/etc/hostname")
    valid, problems = check_submissions(board)
    assert len(valid) == 1
    assert problems == [
        f"{board}/cars/clip.json: expected the path cars/mini.json by its suite and binding",
        f"{board}/cars/link.json: expected a regular file SUITE/BINDING.json",
        f"{board}/notes.txt: expected a regular file SUITE/BINDING.json",
    ]
    with pytest.raises(BadInput, match="expected a folder of results"):
        check_submissions(tmp_path / "none")


def test_files_of_one_suite_have_the_same_evaluations(submitted, results, evaluation, cell, tmp_path):
    other = results(
        "other", [evaluation("Cars", options={"top_k": 3})], [cell(0, "clip", metrics={"top1": 0.5})], name="cars"
    )
    write_submissions(other, tmp_path / "board", **FIELDS)
    valid, problems = check_submissions(tmp_path / "board")
    assert len(valid) == 2
    assert problems == [f"{submitted}: evaluation 'Cars' has other options than in {tmp_path}/board/cars/clip.json"]


def test_commands_write_and_check_submissions(cli, submitted, tmp_path):
    arguments = (
        "bench",
        "submit",
        tmp_path / "run",
        "-o",
        tmp_path / "b",
        "--command",
        "c",
        "--licence",
        "MIT",
        "--json",
    )
    assert json.loads(cli(*arguments).out) == {"written": [str(tmp_path / "b" / "cars" / "mini.json")]}
    result = cli("bench", "check-results", tmp_path / "b", "--json")
    assert result.code == 0
    assert json.loads(result.out) == {"valid": [str(tmp_path / "b" / "cars" / "mini.json")], "problems": []}
