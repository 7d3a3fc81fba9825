"""The results folder: reading, and concurrent writing by several processes.

RESULTS/results.json        all cells; the same bytes for any number of processes
RESULTS/cells/IDENTITY.json a finished cell, with the settings that its identity hashes, and its duration
RESULTS/encoders/           identities of encoders, see `BindingEncoders`
RESULTS/locks/              one file an evaluated cell, and one for `results.json`
RESULTS/work/IDENTITY/      checkpoints of an unfinished cell whose task trains
RESULTS/log.txt             one line an evaluated cell
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TypedDict

from anybind import AnybindError, AnybindWarning, BadInput, Result
from anybind.plugin import files, tables
from anybind_bench.cell import FORMAT, Cell, Key, State, rename_keys
from anybind_bench.suite import Suite

RESULTS_FILE = "results.json"
# Format 2 has other names for two fields of suites and evaluations.
FILE_KEYS = {"generated": "made", "differences": "differs"}
SAVED_FIELDS = ("state", "error", "main_metric", "result")
"""Fields of a cell saved in its own file."""


@dataclass(frozen=True)
class SuiteResults:
    """The cells of a suite, in the order evaluation, binding, seed.

    Attributes:
        folder: the results folder.
    """

    folder: Path
    suite: Suite
    cells: tuple[Cell, ...]


def read_results(path: str | os.PathLike[str]) -> SuiteResults:
    """Read a results folder, or its `results.json`.

    Raises:
        BadInput: the file is missing, damaged or of another version.
    """
    folder = Path(path)
    file = folder / RESULTS_FILE if folder.is_dir() else folder
    if not file.exists():
        raise BadInput(f"{folder}: no results (missing {file}); write them by `anybind bench run`")
    return parse_results(folder, file, tables.read_json(file))


class CellRow(TypedDict):
    """The fields of a cell in `results.json`, or in its own file."""

    state: str
    error: str | None
    main_metric: str | None
    result: Mapping[str, object] | None


def parse_results(folder: Path, file: Path, table: object) -> SuiteResults:
    """Parse the table of `results.json`; raise `BadInput` if it is damaged or of another version."""
    if not isinstance(table, Mapping) or "format" not in table:
        raise BadInput(f"{file}: not a results file of `anybind bench run`; choose another results folder")
    if table["format"] != FORMAT:
        raise BadInput(
            f"{file}: expected format {FORMAT}, got {table['format']!r} (another version of anybind); run the suite"
            " into another folder, or use the version that wrote it"
        )
    try:
        names = {old: new for new, old in FILE_KEYS.items()}
        evaluations = [rename_keys(row, names) for row in table["evaluations"]]
        suite = tables.parse_table(Suite, {**rename_keys(table["suite"], names), "evaluations": evaluations}, "suite")
        cells = tuple(
            load_cell(
                Cell(suite.evaluations[row["evaluation"]], str(row["binding"]), int(row["seed"]), row["identity"]), row
            )
            for row in table["cells"]
        )
    except (AnybindError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BadInput(f"{file}: damaged, or written by another version of anybind ({reason})") from error
    return SuiteResults(folder, suite, cells)


def load_cell(cell: Cell, row: CellRow) -> Cell:
    """Fill a cell from its row in `results.json`, or from its own file.

    Raises:
        KeyError, TypeError, ValueError, AnybindError: the row is damaged.
    """
    state = State(row["state"])
    error = None if row["error"] is None else " ".join(str(row["error"]).split())
    result = tables.parse_table(Result, row["result"], "result") if state is State.DONE else None
    return replace(cell, state=state, error=error, main_metric=row["main_metric"], result=result)


class ResultsStore:
    """A results folder, safe for concurrent runs. Nothing is written before `create`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encoders = folder / "encoders"
        self.work = folder / "work"
        self._cells = folder / "cells"
        self._locks = folder / "locks"
        self._initial_stamps = {path.stem: _get_stamp(path) for path in self._cells.glob("*.json")}

    def check(self, suite: Suite) -> None:
        """Check that the folder can take results of a suite; warn of changed evaluations.

        Raises:
            BadInput: results of another version or suite, or a file.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise BadInput(f"{self.folder}: expected a folder, got a file; choose another results folder")
        previous = self._read_previous()
        if previous is None:
            return
        if previous.suite.name != suite.name:
            raise BadInput(
                f"{self.folder}: expected results of suite {suite.name!r}, got suite {previous.suite.name!r};"
                " choose another results folder"
            )
        current = {evaluation.serialize_definition() for evaluation in suite.evaluations}
        removed = [each.title for each in previous.suite.evaluations if each.serialize_definition() not in current]
        if removed:
            warnings.warn(
                f"{self.folder}: {len(removed)} of {len(previous.suite.evaluations)} evaluations of suite"
                f" {suite.name!r} have changed or were removed (first: {removed[0]!r}); their results are dropped from"
                " results.json, all others are kept",
                AnybindWarning,
                stacklevel=2,
            )

    def _read_previous(self) -> SuiteResults | None:
        """Read `results.json`; None if it is missing, or damaged and to be rewritten."""
        path = self.folder / RESULTS_FILE
        if not path.exists():
            return None
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            warnings.warn(f"{path}: damaged, will be rewritten", AnybindWarning, stacklevel=3)
            return None
        except OSError as error:
            raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
        return parse_results(self.folder, path, table)

    def create(self) -> None:
        """Create the folders.

        Raises:
            BadInput: they cannot be created.
        """
        try:
            for folder in (self._cells, self.encoders, self._locks):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot write to {self.folder}: {error.strerror or error}") from error

    def lock(self, identity: str) -> contextlib.AbstractContextManager[bool]:
        """Lock a cell within a `with` block; yield False if another process holds the lock."""
        return files.lock_file(self._locks / f"{identity}.lock", wait=False)

    def load(self, cell: Cell) -> tuple[Cell, dict[str, str]] | None:
        """Load a finished cell by its identity.

        Returns:
            the cell, and the identities of encoders used beyond those in its identity; None if its file is missing or
            damaged, or if it failed before this store was opened and is to be evaluated again.
        """
        path = self._cells / f"{cell.identity}.json"
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            loaded, others = load_cell(cell, row), dict(row["others"])
            failed_before = loaded.state is State.FAILED and _get_stamp(path) == self._initial_stamps.get(path.stem)
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
            OverflowError,
            AnybindError,
        ):
            return None
        return None if failed_before else (loaded, others)

    def save(self, cell: Cell, settings: Mapping[str, object], others: Mapping[str, str], seconds: float) -> None:
        """Write the file of a finished cell.

        Args:
            cell: cell with its identity and its state.
            settings: settings hashed by its identity.
            others: identities of other encoders, as `load` returns them.
            seconds: duration of the evaluation.

        Raises:
            BadInput: the file cannot be written, as on a full disk.
        """
        row = _get_cell_fields(cell)
        record = {"identity": cell.identity, "about": settings, "others": others, "seconds": round(seconds, 3)}
        with files.atomic_path(self._cells / f"{cell.identity}.json") as temporary:
            temporary.write_text(
                format_json({**record, **{name: row[name] for name in SAVED_FIELDS}}) + "\n", encoding="utf-8"
            )

    def write(self, suite: Suite, bindings: Sequence[str], cells: Iterable[Cell]) -> None:
        """Update `results.json` with the cells of this run; keep cells of other runs.

        Args:
            suite: suite with all its evaluations.
            bindings: names of this run's bindings.
            cells: cells of this run. A cell that is still to do keeps the folder's previous cell, unless their
                identities differ.

        Raises:
            BadInput: the file cannot be written, as on a full disk.
        """
        with files.lock_file(self._locks / f"{RESULTS_FILE}.lock"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AnybindWarning)  # `check` has already warned of damage
                previous = self._read_previous()
            merged = _select_current(suite, previous.cells if previous else ())
            for cell in cells:
                previous_cell = merged.pop(cell.key, None)
                if cell.state is not State.TO_DO:
                    merged[cell.key] = cell
                elif previous_cell and previous_cell.identity and cell.identity in (None, previous_cell.identity):
                    merged[cell.key] = previous_cell
            used_names = [*bindings, *(cell.binding for cell in merged.values())]
            names = [name for name in dict.fromkeys([*suite.bindings, *used_names]) if name in used_names]
            with files.atomic_path(self.folder / RESULTS_FILE) as temporary:
                temporary.write_text(format_results(suite, names, merged), encoding="utf-8")

    def log(self, line: str) -> None:
        """Append a line with time and process to the log; errors such as a full disk are reported by `save`."""
        with contextlib.suppress(OSError), (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} process {os.getpid()}: {line}\n")


def _select_current(suite: Suite, cells: Iterable[Cell]) -> dict[Key, Cell]:
    """Select the cells with unchanged evaluations, and assign the suite's evaluations to them."""
    current = {evaluation.serialize_definition(): evaluation for evaluation in suite.evaluations}
    pairs = [(current.get(cell.evaluation.serialize_definition()), cell) for cell in cells]
    current_cells = [replace(cell, evaluation=now) for now, cell in pairs if now is not None and cell.seed in now.seeds]
    return {cell.key: cell for cell in current_cells}


def format_results(suite: Suite, bindings: Sequence[str], cells: Mapping[Key, Cell]) -> str:
    """Format `results.json`, one evaluation or cell a line."""
    about = rename_keys(asdict(suite), FILE_KEYS)
    evaluations = [rename_keys(asdict(evaluation), FILE_KEYS) for evaluation in suite.evaluations]
    del about["evaluations"]
    rows = [
        {"evaluation": number, **_get_cell_fields(cells[evaluation.title, binding, seed])}
        for number, evaluation in enumerate(suite.evaluations)
        for binding in bindings
        for seed in evaluation.seeds
        if (evaluation.title, binding, seed) in cells
    ]
    return (
        f'{{"format": {FORMAT},\n"suite": {format_json(about)},\n"evaluations": [\n{_format_rows(evaluations)}],\n'
        f'"bindings": {format_json(bindings)},\n"cells": [\n{_format_rows(rows)}]}}\n'
    )


def _get_cell_fields(cell: Cell) -> dict[str, object]:
    """Return a cell's JSON fields, without its evaluation."""
    row = {each.name: getattr(cell, each.name) for each in fields(cell) if each.name != "evaluation"}
    return {**row, "result": cell.result and asdict(cell.result)}


def _format_rows(rows: Iterable[Mapping[str, object]]) -> str:
    return ",\n".join(map(format_json, rows)) + "\n"


def format_json(value: object) -> str:
    """Format a value as JSON on one line; NumPy numbers and arrays become plain ones."""
    return json.dumps(value, ensure_ascii=False, default=lambda each: each.tolist())


def _get_stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino
