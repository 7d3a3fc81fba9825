"""`anybind corrupt`: see `anybind_events.corrupt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, ReaderOptions, Seed, parse_reader_options, print_json, print_table, print_text
from anybind.plugin import BadOption
from anybind_events.commands.convert import ReaderName
from anybind_events.corruption import CORRUPTIONS
from anybind_events.corruption import corrupt as corrupt_file


def corrupt(
    recording: Annotated[Path | None, typer.Argument(help="Event recording. [default: list the corruptions]")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Recording to write, whose suffix selects the format.")
    ] = None,
    corruption: Annotated[str, typer.Option(help=f"Corruption: {', '.join(CORRUPTIONS)}.")] = "",
    severity: Annotated[int, typer.Option(min=1, max=3, help="Severity, 1 to 3.")] = 1,
    labels: Annotated[
        Path | None, typer.Option("--labels-output", help="Write the events' labels: .npy, True for signal.")
    ] = None,
    seed: Seed = 0,
    reader: ReaderName = "",
    reader_option: ReaderOptions = None,
    as_json: AsJson = False,
) -> None:
    """Corrupt a recording as worse sensors or conditions do: noise, flicker, low light and others, in 3 severities."""
    if recording is None:
        _list_corruptions(as_json)
        return
    if output is None or not corruption:
        raise BadOption("give an output and a corruption: -o OUTPUT --corruption NAME")
    result = corrupt_file(
        recording, output, corruption=corruption, severity=severity, seed=seed, labels=labels, reader=reader,
        **parse_reader_options(reader_option, corrupt_file),
    )  # fmt: skip
    if as_json:
        print_json(vars(result))
    else:
        print_text(f"{output}: {result.events} events, {result.noise} of them noise, of {result.original_events}")


def _list_corruptions(as_json: bool) -> None:
    rows = [(each.name, each.summary) for each in CORRUPTIONS.values()]
    if as_json:
        print_json({"corruptions": [{"name": name, "summary": summary} for name, summary in rows]})
    else:
        print_table(("corruption", "severities 1, 2, 3"), rows)
