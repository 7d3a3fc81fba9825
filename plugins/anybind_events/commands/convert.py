"""`anybind convert`: see `anybind_events.convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, parse_options, print_json
from anybind_events.conversion import convert as convert_file

ReaderName = Annotated[str, typer.Option("--reader", help="Read as this format, by name. [default: by content]")]
ReaderOption = Annotated[list[str] | None, typer.Option("--option", help="NAME=VALUE for the reader; repeatable.")]


def convert(
    file: Annotated[Path, typer.Argument(help="A recording, or a sample of any other kind.")],
    output: Annotated[Path, typer.Argument(help="The file to write; its ending names the format.")],
    reader: ReaderName = "",
    option: ReaderOption = None,
    start: Annotated[int | None, typer.Option(help="First time, in microseconds after the first event.")] = None,
    end: Annotated[int | None, typer.Option(help="Time to stop before, likewise.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a recording in another file format, named by the output's ending."""
    made = convert_file(file, output, reader=reader, start=start, end=end, **parse_options(option))
    written = vars(made.recording) if made.recording else {}
    if as_json:
        print_json({"file": made.file, "format": made.format, "output": made.output, **written})
    else:
        what = f"{written['events']} events of {written['width']}x{written['height']}, " if written else ""
        typer.echo(f"{output}: {what}from {made.format}")
