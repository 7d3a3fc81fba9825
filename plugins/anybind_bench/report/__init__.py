"""Reports of results: the table as it was published, ours beside it, charts, footnotes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from anybind.plugin import BadOption, files
from anybind_bench.report.answers import Section, section
from anybind_bench.report.merge import merge
from anybind_bench.report.words import comma_separated, fields_of, markdown, show
from anybind_bench.results import SuiteResults, read_results

__all__ = ["fields_of", "merged_sections", "show", "write_report"]

WRITERS = {".md": markdown, ".csv": comma_separated}


def write_report(
    results: SuiteResults | str | os.PathLike[str] | Sequence[SuiteResults | str | os.PathLike[str]],
    output: str | os.PathLike[str],
) -> None:
    """Write a report of results beside published ones: a table for each suite, with charts on a page.

    Args:
        results: what `run_suite` returned, or results folders; those of one suite are merged.
        output: an HTML page (.html), Markdown (.md), or CSV (.csv).

    Raises:
        BadOption: the file has another suffix.
        BadInput: a folder has no valid results, two have different evaluations of one title, or the file cannot be
            written.
    """
    path = Path(output)
    if path.suffix.lower() not in (".html", *WRITERS):
        raise BadOption(f"{path}: expected a report ending in .html, .md or .csv")
    files.check_output(path)
    sections = merged_sections(results)
    if path.suffix.lower() == ".html":
        from anybind_bench.report.page import write_page

        write_page(path, sections)
        return
    text = WRITERS[path.suffix.lower()](sections)
    with files.atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def merged_sections(
    results: SuiteResults | str | os.PathLike[str] | Sequence[SuiteResults | str | os.PathLike[str]],
) -> list[Section]:
    """The table of each suite, see `write_report`."""
    listed = [results] if isinstance(results, SuiteResults | str | os.PathLike) else results
    runs = [each if isinstance(each, SuiteResults) else read_results(each) for each in listed]
    return [section(merged) for merged in merge(runs)]
