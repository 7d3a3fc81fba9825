"""`anybind info`: see `anybind_events.inspect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from anybind import AnybindError
from anybind.commandline import (
    AsJson,
    ReaderOptions,
    SkipInvalid,
    SkippedFiles,
    get_table_width,
    parse_reader_options,
    print_json,
    print_table,
)
from anybind.plugin import BadInput, BadOption, files
from anybind_events.commands.convert import ReaderName
from anybind_events.inspection import check_chart, inspect

COLUMNS = ("file", "format", "size", "events", "duration_us", "rate", "on_fraction")
"""Columns of the table of several files; the last two are left out on narrow terminals."""
DECIMALS = {"duration_us": 3, "start_us": 6}
"""Decimals of times in seconds."""
LABELS = {"duration_us": "duration", "start_us": "start", "on_fraction": "ON"}


def info(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, or samples of other modalities.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Chart of the event rate over time: .png, .pdf or .svg.")
    ] = None,
    reader: ReaderName = "",
    reader_option: ReaderOptions = None,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Show a recording's format, event count, sensor size, duration and event rate; one row per file."""
    if output is not None:
        if len(paths) > 1:
            raise BadOption(f"--output draws the event rate of one recording; give one file, got {len(paths)}")
        check_chart(output)
    options, skipped, records = parse_reader_options(reader_option, inspect), SkippedFiles(), []
    for file in paths:
        try:
            record = inspect(file, reader=reader, chart=output, **options).to_dict()
            records.append(record if output is None else record | {"output": str(output)})
        except AnybindError as error:
            if not skip_invalid:
                raise
            skipped.record(files.portable_name(file), error)
    if not records:
        skipped.report()
        raise BadInput("no file could be read")
    if as_json:
        print_json(records[0] if len(paths) == 1 else {"files": records, "skipped": skipped})
    elif len(paths) == 1:
        print_table(("property", "value"), _list_properties(records[0]))
    else:
        _print_records(records)
    skipped.report()


def _list_properties(record: Mapping[str, object]) -> list[tuple[str, str]]:
    properties = {
        name: value for name, value in record.items() if value not in (None, {}) and name != "time_unit_origin"
    }
    return [
        (LABELS.get(name, name.replace("_", " ")), _format_value(name, value, record))
        for name, value in properties.items()
    ]


def _format_value(name: str, value: object, record: Mapping[str, object]) -> str:
    """Format a value of a record for people, with its unit."""
    if name == "rate" and record["modality"] != "event":
        return f"{value} Hz"
    if name == "time_unit":
        return f"{value} ({record['time_unit_origin']})"
    if isinstance(value, int | float):
        texts = {"rate": f"{value:,.0f} events/s", "on_fraction": f"{100 * value:.1f} %"}
        return texts.get(name, f"{value / 1e6:.{DECIMALS[name]}f} s" if name in DECIMALS else str(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')}: {each}" for key, each in value.items())
    return str(value)


def _print_records(records: Sequence[Mapping[str, object]]) -> None:
    """Print one row per file, with the folder above the table if it is the same for all."""
    folders = {Path(str(record["file"])).parent for record in records}
    rows = []
    for record in records:
        file = Path(str(record["file"])).name if len(folders) == 1 else record["file"]
        size = f"{record['width']}x{record['height']}" if "width" in record else ""
        values = {**dict.fromkeys(COLUMNS, ""), **record, "file": file, "size": size}
        rows.append(
            tuple("" if values[name] is None else _format_value(name, values[name], record) for name in COLUMNS)
        )
    columns, width = tuple(LABELS.get(name, name) for name in COLUMNS), get_table_width()
    while len(columns) > 5 and sum(max(map(len, cells)) + 3 for cells in zip(columns, *rows, strict=True)) >= width:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    print_table(columns, rows, title=str(folders.pop()) if len(folders) == 1 else "")
