"""The results folder: a file for each finished cell, `results.json` of all of them, locks, and a log.

RESULTS/results.json        what reports read: the same bytes however many processes wrote it
RESULTS/cells/IDENTITY.json a finished cell, with what its identity is the hash of and how long it took
RESULTS/encoders/           identities of encoders, see `Remembered`
RESULTS/locks/              one file for each cell that was asked, and one for `results.json`
RESULTS/log.txt             a line for each cell that was asked
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anybind import AnybindWarning
from anybind.plugin import BadInput, files
from anybind_bench.identity import FORMAT
from anybind_bench.lock import file_lock
from anybind_bench.plan import TO_DO, Cell, Plan
from anybind_bench.suite import Suite

NAME = "results.json"
COSMETIC = ("path", "made", "seeds", "metrics", "published", "source", "differs")
"""What a question may say otherwise in another run without being another question."""

Key = tuple[int, str, int]
"""Number of the question, binding, seed."""

KEPT = ("state", "error", "main_metric", "result")
"""What a finished cell's file gives back to the cell."""


class Results:
    """A results folder. Nothing is written before `begin`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells = folder / "cells"
        self.encoders = folder / "encoders"
        self.locks = folder / "locks"
        self.work = folder / "work"
        self._before: dict[str, tuple[int, int]] = {}

    def check(self, suite: Suite) -> None:
        """Look at what stands in the folder.

        Raises:
            BadInput: another version or another suite wrote there, or it is no folder.

        Warns of questions that have changed since.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise BadInput(f"{self.folder} is no folder; give another name for the results")
        known = self._read()
        if known is None:
            return
        if known.get("format") != FORMAT:
            raise BadInput(
                f"{self.folder} was written by another version of anybind (format {known.get('format')!r}; this one"
                f" writes {FORMAT}); give another folder for the results"
            )
        name = known["suite"]["name"]
        if name != suite.name:
            raise BadInput(
                f"{self.folder} holds results of the suite {name!r}, not of {suite.name!r};"
                " give another folder for the results"
            )
        cores = [_core(asdict(each)) for each in suite.questions]
        gone = [each["title"] for each in known["questions"] if _core(each) not in cores]
        if gone:
            warnings.warn(
                f"{self.folder} holds results of another version of the suite {name!r}: {len(gone)} of its"
                f" {len(known['questions'])} questions are now asked otherwise or no more (such as {gone[0]!r}), and"
                " their answers leave results.json; the others are used",
                AnybindWarning,
                stacklevel=2,
            )

    def _read(self) -> dict[str, Any] | None:
        """What `results.json` holds; nothing where there is none, or it is damaged (finished cells have files of
        their own, and it is written again).
        """
        path = self.folder / NAME
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                raise BadInput(f"cannot read {path}: {error.strerror}") from error
            warnings.warn(f"{path} is damaged; it is written again", AnybindWarning, stacklevel=3)
            return None
        if not isinstance(held, dict) or not {"format", "suite", "questions", "bindings", "cells"} <= held.keys():
            raise BadInput(f"{path} was not written by `anybind bench run`; give another folder for the results")
        return held

    def begin(self) -> None:
        """Make the folders, and remember which cells are finished by now.

        Raises:
            BadInput: they cannot be made.
        """
        try:
            for folder in (self.cells, self.encoders, self.locks):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot write into {self.folder}: {error.strerror or error}") from error
        self._before = {path.stem: _stamp(path) for path in self.cells.glob("*.json")}

    def lock(self, identity: str) -> AbstractContextManager[bool]:
        """Hold one cell while the block runs; yields whether it is held: another process may be at it."""
        return file_lock(self.locks / f"{identity}.lock", wait=False)

    def finished(self, identity: str) -> dict[str, Any] | None:
        """The file of a finished cell; nothing where there is none, or it is damaged."""
        try:
            held = json.loads((self.cells / f"{identity}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return held if isinstance(held, dict) and {*KEPT, "others"} <= held.keys() else None

    def is_new(self, identity: str) -> bool:
        """Whether a cell was finished since `begin`, by this or another process."""
        path = self.cells / f"{identity}.json"
        return path.exists() and _stamp(path) != self._before.get(identity)

    def finish(self, cell: Cell, about: Mapping[str, Any], others: Mapping[str, str], seconds: float) -> None:
        """Write the file of a finished cell.

        Args:
            cell: with its identity and its outcome.
            about: what its identity is the hash of.
            others: identities of encoders that took part besides those, by modality.
            seconds: how long it took.

        Raises:
            BadInput: it cannot be written, as on a full disk.
        """
        record = {"identity": cell.identity, "about": about, "others": others, "seconds": round(seconds, 3)}
        record |= {name: getattr(cell, name) for name in KEPT}
        with files.atomic_path(self.cells / f"{cell.identity}.json") as temporary:
            temporary.write_text(json_text(record) + "\n", encoding="utf-8")

    def write(self, plan: Plan) -> None:
        """Write `results.json` anew: the plan's cells as they are by now, and those of other runs into this folder.

        Raises:
            BadInput: it cannot be written, as on a full disk.
        """
        with file_lock(self.locks / f"{NAME}.lock"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AnybindWarning)  # of damage, which `check` has told
                known = self._read() or {"questions": [], "bindings": [], "cells": []}
            rows = _rows_of_others(known, plan.suite)
            for cell in plan.cells:
                self._set(rows, cell)
            bindings = _names(plan, known["bindings"], {binding for _, binding, _ in rows})
            fields = {name: value for name, value in asdict(plan.suite).items() if name != "questions"}
            seeds = [question.seeds for question in plan.suite.questions]
            order = sorted(rows, key=lambda key: (key[0], bindings.index(key[1]), seeds[key[0]].index(key[2])))
            text = (
                f'{{"format": {FORMAT},\n"suite": {json_text(fields)},\n'
                f'"questions": [\n{_lines([asdict(each) for each in plan.suite.questions])}],\n'
                f'"bindings": {json_text(bindings)},\n"cells": [\n{_lines([rows[key] for key in order])}]}}\n'
            )
            path = self.folder / NAME
            with files.atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")

    def _set(self, rows: dict[Key, dict[str, Any]], cell: Cell) -> None:
        """Put the row of a planned cell in the place of what another run said of it."""
        key = (cell.number, cell.binding, cell.seed)
        former = rows.pop(key, None)
        row = dict(vars(cell))
        row = {"question": row.pop("number"), **row}
        if cell.state == TO_DO:
            held = self.finished(cell.identity) if cell.identity else None
            if held is not None:  # by another process, or by a run before this one
                row |= {name: held[name] for name in KEPT}
            elif former is not None and cell.identity is None and former["identity"]:
                row = former  # until it is known whether it still holds
            else:
                return
        rows[key] = row

    def note(self, line: str) -> None:
        """Add a line, with the time and the process, to the log; a disk that is full is told of elsewhere."""
        with contextlib.suppress(OSError), (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} process {os.getpid()}: {line}\n")


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_ino


def _core(question: Mapping[str, Any]) -> dict[str, Any]:
    """What a question asks, as it is read from JSON."""
    return {name: value for name, value in json.loads(json_text(question)).items() if name not in COSMETIC}


def _rows_of_others(known: Mapping[str, Any], suite: Suite) -> dict[Key, dict[str, Any]]:
    """The cells of `results.json` whose questions are still asked, by the numbers that these have now."""
    numbers = {json_text(_core(asdict(question))): number for number, question in enumerate(suite.questions)}
    rows: dict[Key, dict[str, Any]] = {}
    for row in known["cells"]:
        number = numbers.get(json_text(_core(known["questions"][row["question"]])))
        if number is not None and row["seed"] in suite.questions[number].seeds:
            rows[number, row["binding"], row["seed"]] = {**row, "question": number}
    return rows


def _names(plan: Plan, known: Sequence[str], asked: Collection[str]) -> list[str]:
    """The bindings of all cells: the suite's own first, then in the order in which they were asked."""
    planned = [each.name for each in plan.bindings]
    ordered = dict.fromkeys([*plan.suite.bindings, *known, *planned])
    return [name for name in ordered if name in asked or name in planned]


def json_text(value: Any) -> str:
    """JSON on one line; NumPy's numbers and arrays, which a stranger's metrics may be, become plain ones."""
    return json.dumps(value, ensure_ascii=False, default=lambda each: each.tolist())


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return ",\n".join(json_text(row) for row in rows) + "\n"
