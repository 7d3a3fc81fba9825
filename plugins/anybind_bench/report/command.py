"""`anybind bench report`: the answers of results folders beside published ones, as a page, a table or a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, print_json
from anybind.plugin import BadOption, files
from anybind_bench.report.answers import Section, section
from anybind_bench.report.results import merge, read_run
from anybind_bench.report.words import comma_separated, fields_of, markdown, show


def report(
    results: Annotated[list[Path], typer.Argument(help="Results folders; those of one suite are laid together.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .html page, .md or .csv to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the table of each suite, ours beside published numbers, or write it as a page or a file."""
    write = None if output is None else _writer(output)
    sections = [section(merged) for merged in merge(read_run(path) for path in results)]
    if write is not None and output is not None:
        write(output, sections)
    if as_json:
        print_json({"suites": fields_of(sections), "report": output and str(output)})
    elif output is None:
        show(sections)
    else:
        typer.echo(f"report: {output}")


Writer = Callable[[Path, Sequence[Section]], None]


def _writer(output: Path) -> Writer:
    """What writes a report of this kind, once it is sure that the file can be written."""
    kind = output.suffix.lower()
    files.check_output(output)
    if kind == ".html":
        from anybind_bench.report.page import write_page

        return write_page
    if kind == ".md":
        return lambda path, sections: _write(path, markdown(sections))
    if kind == ".csv":
        return lambda path, sections: _write(path, comma_separated(sections))
    raise BadOption(f"a report ends in .html, .md or .csv, not as {output} does")


def _write(path: Path, text: str) -> None:
    with files.atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
