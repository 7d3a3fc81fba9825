"""Results for a leaderboard: one JSON file a binding and suite, to be sent as a pull request, and their validator.

DIR/SUITE/BINDING.json      see `Submission`
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from anybind import AnybindError
from anybind.plugin import BadInput, BadOption, BindingSpec, files, find_part, tables
from anybind_bench.cell import Cell, State
from anybind_bench.encoders import merge_encoders
from anybind_bench.results import SuiteResults, format_results, parse_results, read_results
from anybind_bench.submission_checks import list_problems

FORMAT = 1
MAX_BYTES = 1 << 22
NOTES = ("README.md",)
"""Names of other files that the folder may have."""


@dataclass(frozen=True)
class Submission:
    """The results of one binding in one suite: the content of a file.

    Attributes:
        format: version of the file format.
        binding: name of the binding.
        encoders: identity of every encoder (weights, preprocessing, adapters) by modality; results of it without
            adapters, such as few-shot ones, have its identity without them.
        licence: licence of the weights, SPDX where there is one.
        command: the command that produced the results.
        date: day of the results, YYYY-MM-DD.
        versions: versions of Python, anybind and the packages in use.
        results: the suite, its evaluations and the binding's finished cells, as in `results.json`, without details and
            curves.
    """

    format: int
    binding: str
    encoders: Mapping[str, str]
    licence: str
    command: str
    date: str
    versions: Mapping[str, str]
    results: Mapping[str, object]


@dataclass(frozen=True)
class CheckedSubmission:
    """A valid file of results."""

    path: Path
    submission: Submission
    results: SuiteResults


def write_submissions(
    results: SuiteResults | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    command: str,
    licence: str = "",
    day: str = "",
) -> list[Path]:
    """Write one file a binding of a results folder, for a leaderboard: `OUTPUT/SUITE/BINDING.json`.

    Args:
        results: results of `run_suite`, or a results folder.
        output: the folder of all submissions; a file of the same binding and suite is replaced.
        command: the command that produced the results.
        licence: licence of the weights. [default: as the installed binding declares it]
        day: day of the results, YYYY-MM-DD. [default: today, UTC]

    Returns:
        the written files.

    Raises:
        BadInput: no finished evaluations, or a file cannot be written.
        BadOption: no licence is known, or an invalid date.
    """
    run = results if isinstance(results, SuiteResults) else read_results(results)
    day = day or datetime.now(UTC).date().isoformat()
    contents: dict[Path, str] = {}
    for binding in dict.fromkeys(cell.binding for cell in run.cells):
        cells = [_strip_cell(cell) for cell in run.cells if cell.binding == binding and cell.state is State.DONE]
        if not cells:
            continue
        suite = replace(run.suite, bindings=(binding,))
        table = json.loads(format_results(suite, [binding], {cell.key: cell for cell in cells}))
        last = cells[-1].result
        submission = Submission(
            format=FORMAT,
            binding=binding,
            encoders=_merge_encoders(run, cells),
            licence=licence or _find_licence(binding),
            command=command,
            date=day,
            versions=last.versions if last else {},
            results=table,
        )
        path = Path(output) / _get_location(suite.name, binding)
        for problem in list_problems(submission, parse_results(path, path, table)):
            raise BadOption(f"{binding}: {problem}")
        contents[path] = json.dumps(vars(submission), indent=1, ensure_ascii=False) + "\n"
    if not contents:
        raise BadInput(f"{run.folder}: no finished evaluations")
    for path, text in contents.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot write to {path.parent}: {error.strerror or error}") from error
        with files.atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(contents)


def _strip_cell(cell: Cell) -> Cell:
    """Return a cell without details and curves, which can be large."""
    return replace(cell, result=cell.result and replace(cell.result, details={}, curves={}))


def _find_licence(binding: str) -> str:
    try:
        licence = find_part(BindingSpec, binding.partition(":")[0]).spec.weights_licence
    except AnybindError:
        licence = ""
    if not licence:
        raise BadOption(f"licence: expected the licence of the weights of {binding!r}, which declares none")
    return licence


def _get_location(suite: str, binding: str) -> Path:
    """Return the path of a file below the folder of all submissions."""
    suite_name, binding_name = (re.sub(r"[^\w.@-]+", "-", name).strip("-.") for name in (suite, binding))
    return Path(suite_name) / f"{binding_name}.json"


def check_submissions(folder: str | os.PathLike[str]) -> tuple[list[CheckedSubmission], list[str]]:
    """Validate every file of a folder of submissions; invalid files stop nothing.

    A valid file is below 4 MiB, JSON without duplicate keys and NaN, has the fields of `Submission` and nothing else,
    finite metrics, consistent names, and the evaluations of the installed suite; files of one suite have the same
    evaluations.

    Returns:
        the valid submissions, and one line a problem: the path and what is wrong.

    Raises:
        BadInput: no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise BadInput(f"{root}: expected a folder of results")
    valid, problems = [], []
    for path in sorted(each for each in root.rglob("*") if not each.is_dir() or each.is_symlink()):
        if path.name in NOTES and path.is_file() and not path.is_symlink():
            continue
        try:
            valid.append(read_submission(path, root))
        except AnybindError as error:
            problems.append(" ".join(str(error).split()))
    return valid, problems + _list_differing_evaluations(valid)


def read_submission(path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> CheckedSubmission:
    """Read and validate a file; see `check_submissions`.

    Args:
        path: the file.
        root: the folder of all submissions, to check the file's place in it. [default: the place is not checked]

    Raises:
        BadInput: the first problem, on one line.
    """
    path = Path(path)
    submission = tables.parse_table(Submission, _read_strict_json(path), str(path), BadInput)
    if submission.format != FORMAT:
        raise BadInput(f"{path}: format: expected {FORMAT}, got {submission.format}")
    results = parse_results(path, path, submission.results)
    for problem in list_problems(submission, results):
        raise BadInput(f"{path}: {problem}")
    location = _get_location(results.suite.name, submission.binding)
    if root is not None and path.relative_to(root) != location:
        raise BadInput(f"{path}: expected the path {location} by its suite and binding")
    return CheckedSubmission(path, submission, results)


def _read_strict_json(path: Path) -> object:
    """Read JSON of limited size; raise `BadInput` for links, duplicate keys, NaN and infinity."""

    def check_pairs(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        table = dict(pairs)
        if len(table) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"duplicate key {next(name for name in names if names.count(name) > 1)!r}")
        return table

    def reject_constant(name: str) -> None:
        raise ValueError(f"expected finite numbers, got {name}")

    if path.is_symlink() or not path.is_file() or path.suffix != ".json":
        raise BadInput(f"{path}: expected a regular file SUITE/BINDING.json")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise BadInput(f"{path}: expected at most {MAX_BYTES:,} bytes, got {size:,}")
    try:
        return json.loads(
            path.read_text(encoding="utf-8"), object_pairs_hook=check_pairs, parse_constant=reject_constant
        )
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not valid JSON ({str(error)[:200]})") from error


def _list_differing_evaluations(valid: Sequence[CheckedSubmission]) -> list[str]:
    """List evaluations that have the title of another one in a file before, and other options."""
    definitions: dict[tuple[str, str], tuple[str, Path]] = {}
    problems = []
    for each in valid:
        for evaluation in each.results.suite.evaluations:
            definition = evaluation.serialize_definition()
            previous, path = definitions.setdefault(
                (each.results.suite.name, evaluation.title), (definition, each.path)
            )
            if previous != definition:
                problems.append(f"{each.path}: evaluation {evaluation.title[:80]!r} has other options than in {path}")
    return problems


def _merge_encoders(run: SuiteResults, cells: Sequence[Cell]) -> dict[str, str]:
    try:
        return merge_encoders(cell.result for cell in cells if cell.result)
    except ValueError as error:
        raise BadInput(f"{run.folder}: {cells[0].binding}: {error}") from error
