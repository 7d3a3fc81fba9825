"""`anybind convert`: see `anybind_events.convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, ReaderOptions, parse_options, print_json, print_text
from anybind_events.conversion import convert as convert_file

ReaderName = Annotated[str, typer.Option("--reader", help="Reader by name, e.g. evt3. [default: by content]")]
Start = Annotated[int | None, typer.Option(help="Start in microseconds after the first event. [default: first event]")]
End = Annotated[
    int | None, typer.Option(help="End (exclusive) in microseconds after the first event. [default: last event]")
]

Absolute = Annotated[bool, typer.Option("--absolute", help="--start and --end are times on the recording's own clock.")]


def convert(
    file: Annotated[Path, typer.Argument(help="Recording, or sample of another modality.")],
    output: Annotated[Path, typer.Argument(help="Output file; its suffix selects the format, e.g. .h5, .npz, .csv.")],
    reader: ReaderName = "",
    reader_option: ReaderOptions = None,
    start: Start = None,
    end: End = None,
    absolute: Absolute = False,
    as_json: AsJson = False,
) -> None:
    """Convert a recording, or a sample of another modality, to another file format."""
    conversion = convert_file(
        file, output, reader=reader, start=start, end=end, absolute=absolute, **parse_options(reader_option)
    )
    recording = vars(conversion.recording) if conversion.recording else {}
    if as_json:
        summary = {"file": conversion.file, "format": conversion.format, "output": conversion.output}
        print_json({**summary, **recording})
    else:
        events = "{events} events of {width}x{height}, ".format_map(recording) if recording else ""
        print_text(f"{output}: {events}from {conversion.format}")
