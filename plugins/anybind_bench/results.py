"""The results folder: reading it, and writing it from several processes at once.

RESULTS/results.json        all cells; the same bytes however many processes wrote it
RESULTS/cells/IDENTITY.json a finished cell, with the settings that its identity is the hash of, and its duration
RESULTS/encoders/           identities of encoders, see `BindingEncoders`
RESULTS/locks/              one file for each cell that was evaluated, and one for `results.json`
RESULTS/work/IDENTITY/      checkpoints of a cell whose task trains, until it is done
RESULTS/log.txt             a line for each cell that was evaluated
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from anybind import AnybindError, AnybindWarning, BadInput, Result
from anybind.plugin import files, tables
from anybind_bench.cell import FORMAT, Cell, Key, State
from anybind_bench.suite import Suite

NAME = "results.json"
SAVED = ("state", "error", "main_metric", "result")
"""Fields of a cell in its own file."""


@dataclass(frozen=True)
class SuiteResults:
    """The cells of a suite, in the order evaluation, binding, seed.

    Attributes:
        folder: where they were read from, or written to.
    """

    folder: Path
    suite: Suite
    cells: tuple[Cell, ...]


def read_results(path: str | os.PathLike[str]) -> SuiteResults:
    """Read a results folder, or the `results.json` in it.

    Raises:
        BadInput: the file is missing, damaged, or of another version; the message says which.
    """
    folder = Path(path)
    file = folder / NAME if folder.is_dir() else folder
    if not file.exists():
        raise BadInput(f"{folder} holds no results: there is no {file}; `anybind bench run` writes it")
    return _parse(folder, file, tables.read_json(file))


class CellRow(TypedDict):
    """What is read of a cell in `results.json`, or in its own file."""

    state: str
    error: str | None
    main_metric: str | None
    result: Mapping[str, object] | None


def _parse(folder: Path, file: Path, table: Any) -> SuiteResults:
    if not isinstance(table, Mapping) or "format" not in table:
        raise BadInput(f"{file} was not written by `anybind bench run`; give another folder for the results")
    if table["format"] != FORMAT:
        raise BadInput(
            f"{file} was written by another version of anybind (format {table['format']!r}, expected {FORMAT}); run the"
            " suite again into another folder, or use the version that wrote it"
        )
    try:
        suite = tables.parse_table(Suite, {**table["suite"], "evaluations": table["evaluations"]}, "suite")
        cells = tuple(
            load_cell(
                Cell(suite.evaluations[row["evaluation"]], str(row["binding"]), int(row["seed"]), row["identity"]), row
            )
            for row in table["cells"]
        )
    except (AnybindError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        told = f"{type(error).__name__}: {error}"
        raise BadInput(f"{file} is damaged, or was written by another version of anybind ({told})") from error
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
    """A results folder that runs write into, several processes at once. Nothing is written before `create`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encoders = folder / "encoders"
        self.work = folder / "work"
        self._cells = folder / "cells"
        self._locks = folder / "locks"
        self._before = {path.stem: _stamp(path) for path in self._cells.glob("*.json")}

    def check(self, suite: Suite) -> None:
        """Make sure that results of a suite may go into the folder; warn of evaluations that have changed.

        Raises:
            BadInput: it holds results of another version or of another suite, or is a file.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise BadInput(f"{self.folder} is a file, expected a folder; give another name for the results")
        known = self._read()
        if known is None:
            return
        if known.suite.name != suite.name:
            raise BadInput(
                f"{self.folder} holds results of the suite {known.suite.name!r}, not of {suite.name!r};"
                " give another folder for the results"
            )
        current = {evaluation.core() for evaluation in suite.evaluations}
        gone = [each.title for each in known.suite.evaluations if each.core() not in current]
        if gone:
            warnings.warn(
                f"{self.folder} holds results of another version of the suite {suite.name!r}: {len(gone)} of its"
                f" {len(known.suite.evaluations)} evaluations have changed or are gone (such as {gone[0]!r}), and their"
                " results leave results.json; the others are used",
                AnybindWarning,
                stacklevel=2,
            )

    def _read(self) -> SuiteResults | None:
        """What `results.json` holds; None where there is none, or it is damaged and will be written again."""
        path = self.folder / NAME
        if not path.exists():
            return None
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            warnings.warn(f"{path} is damaged; it is written again", AnybindWarning, stacklevel=3)
            return None
        except OSError as error:
            raise BadInput(f"cannot read {path}: {error.strerror or error}") from error
        return _parse(self.folder, path, table)

    def create(self) -> None:
        """Create the folders.

        Raises:
            BadInput: they cannot be created.
        """
        try:
            for folder in (self._cells, self.encoders, self._locks):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot write into {self.folder}: {error.strerror or error}") from error

    def lock(self, identity: str) -> contextlib.AbstractContextManager[bool]:
        """Lock a cell while the block runs; yields False where another process has it."""
        return file_lock(self._locks / f"{identity}.lock", wait=False)

    def load(self, cell: Cell) -> tuple[Cell, dict[str, str]] | None:
        """Load a finished cell by its identity.

        Returns:
            the cell, and the identities of encoders that took part beyond those in its identity; None where its file is
            missing or damaged, or where it failed before this store was opened, so that it is evaluated again.
        """
        path = self._cells / f"{cell.identity}.json"
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            loaded, others = load_cell(cell, row), dict(row["others"])
            failed_before = loaded.state is State.FAILED and _stamp(path) == self._before.get(path.stem)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, AnybindError):
            return None
        return None if failed_before else (loaded, others)

    def save(self, cell: Cell, settings: Mapping[str, object], others: Mapping[str, str], seconds: float) -> None:
        """Write the file of a finished cell.

        Args:
            cell: with its identity and its state.
            settings: what its identity is the hash of.
            others: as `load` returns them.
            seconds: duration of the evaluation.

        Raises:
            BadInput: it cannot be written, as on a full disk.
        """
        row = _row(cell)
        record = {"identity": cell.identity, "about": settings, "others": others, "seconds": round(seconds, 3)}
        with files.atomic_path(self._cells / f"{cell.identity}.json") as temporary:
            temporary.write_text(json_text({**record, **{name: row[name] for name in SAVED}}) + "\n", encoding="utf-8")

    def write(self, suite: Suite, bindings: Sequence[str], cells: Iterable[Cell]) -> None:
        """Update `results.json` with the cells of this run; cells of other runs into this folder stay.

        Args:
            suite: with all its evaluations.
            bindings: names of this run's bindings.
            cells: of this run. One that is still to do leaves the folder's own one in place, unless that has another
                identity.

        Raises:
            BadInput: it cannot be written, as on a full disk.
        """
        with file_lock(self._locks / f"{NAME}.lock"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AnybindWarning)  # `check` has warned of damage
                known = self._read()
            merged = _current_cells(suite, known.cells if known else ())
            for cell in cells:
                former = merged.pop(cell.key, None)
                if cell.state is not State.TO_DO:
                    merged[cell.key] = cell
                elif former and former.identity and cell.identity in (None, former.identity):
                    merged[cell.key] = former
            used = [*bindings, *(cell.binding for cell in merged.values())]
            names = [name for name in dict.fromkeys([*suite.bindings, *used]) if name in used]
            with files.atomic_path(self.folder / NAME) as temporary:
                temporary.write_text(_json_file(suite, names, merged), encoding="utf-8")

    def log(self, line: str) -> None:
        """Append a line, with the time and the process, to the log; a full disk is reported elsewhere."""
        with contextlib.suppress(OSError), (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} process {os.getpid()}: {line}\n")


def _current_cells(suite: Suite, cells: Iterable[Cell]) -> dict[Key, Cell]:
    """Cells whose evaluations are unchanged in a suite, with the suite's own evaluations."""
    current = {evaluation.core(): evaluation for evaluation in suite.evaluations}
    found = [(current.get(cell.evaluation.core()), cell) for cell in cells]
    kept = [replace(cell, evaluation=now) for now, cell in found if now is not None and cell.seed in now.seeds]
    return {cell.key: cell for cell in kept}


def _json_file(suite: Suite, bindings: Sequence[str], cells: Mapping[Key, Cell]) -> str:
    """The text of `results.json`: one evaluation, and one cell, a line."""
    about = asdict(suite)
    evaluations = about.pop("evaluations")
    rows = [
        {"evaluation": number, **_row(cells[evaluation.title, binding, seed])}
        for number, evaluation in enumerate(suite.evaluations)
        for binding in bindings
        for seed in evaluation.seeds
        if (evaluation.title, binding, seed) in cells
    ]
    return (
        f'{{"format": {FORMAT},\n"suite": {json_text(about)},\n"evaluations": [\n{_lines(evaluations)}],\n'
        f'"bindings": {json_text(bindings)},\n"cells": [\n{_lines(rows)}]}}\n'
    )


def _row(cell: Cell) -> dict[str, object]:
    """A cell as JSON, without its evaluation."""
    row = {each.name: getattr(cell, each.name) for each in fields(cell) if each.name != "evaluation"}
    return {**row, "result": cell.result and asdict(cell.result)}


def _lines(rows: Iterable[Mapping[str, object]]) -> str:
    return ",\n".join(map(json_text, rows)) + "\n"


def json_text(value: object) -> str:
    """JSON on one line; NumPy's numbers and arrays, which a task's metrics and details may be, become plain ones."""
    return json.dumps(value, ensure_ascii=False, default=lambda each: each.tolist())


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


@contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Lock a file while the block runs; free again as soon as its process ends, however it ends.

    Yields:
        whether it is locked: without `wait`, another process may have it.

    Raises:
        BadInput: the file cannot be created or locked.
    """
    import filelock  # takes 50 ms

    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except filelock.Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:
        raise BadInput(f"cannot lock {path}: {error}; use a folder on another disk") from error
    try:
        yield True
    finally:
        lock.release()
