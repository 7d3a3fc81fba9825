"""Reports of results: published tables with measured values, charts and footnotes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from anybind.plugin import BadOption, files
from anybind_bench.report.leaderboard import build_leaderboard, write_leaderboard
from anybind_bench.report.merge import merge_results
from anybind_bench.report.table import SuiteTable, build_table
from anybind_bench.report.writers import format_csv, format_markdown, print_report, to_json_fields
from anybind_bench.results import SuiteResults, read_results

__all__ = [
    "build_leaderboard",
    "build_tables",
    "print_report",
    "to_json_fields",
    "write_leaderboard",
    "write_report",
]

FORMATTERS = {".md": format_markdown, ".csv": format_csv}


def write_report(
    results: SuiteResults | str | os.PathLike[str] | Sequence[SuiteResults | str | os.PathLike[str]],
    output: str | os.PathLike[str],
) -> None:
    """Write a report of results beside published values: one table a suite, with charts on an HTML page.

    Args:
        results: results of `run_suite`, or results folders; those of one suite are merged.
        output: an HTML page (.html), Markdown (.md) or CSV (.csv).

    Raises:
        BadOption: unsupported suffix.
        BadInput: a folder has no valid results, two folders have different evaluations with one title, or the file
            cannot be written.
    """
    path = Path(output)
    if path.suffix.lower() not in (".html", *FORMATTERS):
        raise BadOption(f"{path}: expected a report file ending in .html, .md or .csv")
    files.check_output(path)
    suite_tables = build_tables(results)
    if path.suffix.lower() == ".html":
        from anybind_bench.report.page import write_page

        write_page(path, suite_tables)
        return
    text = FORMATTERS[path.suffix.lower()](suite_tables)
    with files.atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def build_tables(
    results: SuiteResults | str | os.PathLike[str] | Sequence[SuiteResults | str | os.PathLike[str]],
) -> list[SuiteTable]:
    """Merge results and build the table of each suite; see `write_report`."""
    sources = [results] if isinstance(results, SuiteResults | str | os.PathLike) else results
    runs = [each if isinstance(each, SuiteResults) else read_results(each) for each in sources]
    return [build_table(merged) for merged in merge_results(runs)]
