"""`anybind info`: see `anybind_events.inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from anybind import AnybindError
from anybind.commandline import AsJson, SkipInvalid, SkippedFiles, parse_options, print_json, print_table
from anybind.plugin import BadInput, BadOption, files
from anybind_events.commands.convert import ReaderName, ReaderOption
from anybind_events.inspection import check_chart, inspect


def info(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, or samples of any other kind.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Draw the event rate over time: a .png, .pdf or .svg.")
    ] = None,
    reader: ReaderName = "",
    option: ReaderOption = None,
    skip_bad: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Show a recording's format, event count, sensor size, duration and event rate, and what its reader repaired."""
    if output is not None:
        if len(paths) > 1:
            raise BadOption("--output draws the rate of one recording; give one file")
        check_chart(output)
    options, skipped, rows = parse_options(option), SkippedFiles(), []
    for file in paths:
        try:
            found = inspect(file, reader=reader, chart=output, **options).to_dict()
            rows.append(found if output is None else found | {"output": str(output)})
        except AnybindError as error:
            if not skip_bad:
                raise
            skipped.record(files.portable_name(file), error)
    if not rows:
        skipped.report()
        raise BadInput("no file could be read")
    if as_json:
        print_json(rows[0] if len(paths) == 1 else {"files": rows, "skipped": skipped})
    else:
        print_table(("file", "property", "value"), _table(rows))
    skipped.report()


def _table(rows: list[dict[str, object]]) -> list[tuple[str, str, str]]:
    lines = []
    for row in rows:
        shown = {name: value for name, value in row.items() if name != "file" and value not in (None, {})}
        for number, (name, value) in enumerate(shown.items()):
            lines.append((row["file"] if number == 0 else "", name.replace("_", " "), _text(name, value)))
    return lines


def _text(name: str, value: object) -> str:
    """A value for people, with its unit."""
    if isinstance(value, int | float):
        shown = {"rate": f"{value:,.0f} events/s", "on_share": f"{100 * value:.1f} %"}
        return shown.get(name, f"{value} ({value / 1e6:.3f} s)" if name == "duration_us" else str(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')}: {each}" for key, each in value.items())
    return str(value)
