"""What is wrong with the content of a submission, each problem on one line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from anybind import AnybindError
from anybind.plugin import find_part
from anybind_bench.cell import Cell
from anybind_bench.encoders import merge_identities
from anybind_bench.results import SuiteResults
from anybind_bench.suite import SuiteSpec, find_suite

if TYPE_CHECKING:
    from anybind_bench.submissions import Submission

MAX_TEXT = 400
"""Largest number of characters of a name or text; a command may have ten times as many."""


def list_problems(submission: Submission, results: SuiteResults) -> Iterator[str]:
    """Yield what is wrong with the content of a file, the fields in order."""
    for name in ("binding", "licence", "command"):
        if problem := _describe_text(getattr(submission, name), 10 * MAX_TEXT if name == "command" else MAX_TEXT):
            yield f"{name}: {problem}"
    for name, pairs in (("encoders", submission.encoders), ("versions", submission.versions)):
        for text in (*pairs, *pairs.values()):
            if problem := _describe_text(text, MAX_TEXT):
                yield f"{name}: {problem}"
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", submission.date) or not _is_date(submission.date):
        yield f"date: expected YYYY-MM-DD, got {submission.date[:40]!r}"
    if "anybind" not in submission.versions:
        yield "versions: expected the version of anybind"
    if not results.cells:
        yield "results: expected finished evaluations, got none"
    for cell in results.cells:
        for problem in _list_cell_problems(submission, cell):
            yield f"results: {cell.title[:80]!r}, seed {cell.seed}: {problem}"
    yield from _list_suite_problems(results)


def _list_cell_problems(submission: Submission, cell: Cell) -> Iterator[str]:
    if cell.result is None:
        yield f"expected state done, got {cell.state}"
        return
    result = cell.result
    if {cell.binding, result.binding} != {submission.binding}:
        yield f"expected results of binding {submission.binding!r}, got {cell.binding!r} and {result.binding!r}"
    if cell.main_metric not in result.metrics:
        yield f"expected the main metric {cell.main_metric!r} among the metrics"
    numbers = [
        *result.metrics.values(),
        *result.chance.values(),
        *(end for ends in result.intervals.values() for end in ends),
    ]
    if not all(map(math.isfinite, numbers)):
        yield "expected finite metrics, intervals and chance levels"
    if any(len(ends) != 2 or ends[0] > ends[1] for ends in result.intervals.values()):
        yield "expected intervals of a lower and an upper end"
    if result.n < 1:
        yield f"expected one or more samples, got {result.n}"
    for modality, identity in result.encoders.items():
        declared = submission.encoders.get(modality)
        if declared is None or merge_identities(declared, identity) != merge_identities(declared, declared):
            yield f"encoders: expected {modality} {declared!r}, got {identity!r}"
    if result.details or result.curves:
        yield "expected neither details nor curves"


def _list_suite_problems(results: SuiteResults) -> Iterator[str]:
    """Yield evaluations that differ from those of the installed suite of this name, if there is one."""
    for text in (results.suite.name, *(evaluation.title for evaluation in results.suite.evaluations)):
        if problem := _describe_text(text, MAX_TEXT):
            yield f"results: suite: {problem}"
    try:
        find_part(SuiteSpec, results.suite.name)
        installed = {each.title: each.serialize_definition() for each in find_suite(results.suite.name).evaluations}
    except AnybindError:
        return
    for title in dict.fromkeys(cell.title for cell in results.cells):
        own = next(each for each in results.suite.evaluations if each.title == title)
        if installed.get(title) != own.serialize_definition():
            yield f"results: evaluation {title[:80]!r} is not the one of the installed suite {results.suite.name!r}"


def _describe_text(text: str, longest: int) -> str:
    """Return what is wrong with a text on one line; empty if nothing is."""
    if not text.strip():
        return "expected a text, got an empty one"
    if len(text) > longest:
        return f"expected at most {longest} characters, got {len(text)}"
    return "" if text.isprintable() else f"expected printable characters, got {text[:40]!r}"


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
