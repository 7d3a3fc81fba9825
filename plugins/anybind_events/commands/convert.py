"""`anybind convert`: see `anybind_events.convert` and `convert_folder`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    End,
    Filters,
    ReaderOptions,
    SkipInvalid,
    SkippedFiles,
    Start,
    parse_reader_options,
    parse_windows,
    print_json,
    print_text,
)
from anybind.plugin import BadInput, BadOption, files, windows
from anybind_events.batch import Batch
from anybind_events.conversion import Conversion, convert_folder
from anybind_events.conversion import convert as convert_file

ReaderName = Annotated[str, typer.Option("--reader", help="Reader by name, e.g. evt3. [default: by content]")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs in the folder that are up to date.")]

Absolute = Annotated[bool, typer.Option("--absolute", help="--start and --end are times on the recording's own clock.")]


def convert(
    arguments: Annotated[  # texts, since the last one may be an output: arguments that are paths must exist
        list[str],
        typer.Argument(
            metavar="PATHS", help="Recording (or other sample) and output file; or files and folders with -o."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output file, whose suffix selects the format, or folder of outputs."),
    ] = None,
    format: Annotated[
        str, typer.Option(help="Format by name or suffix, e.g. evt3, aedat4, h5. [default: by the output's suffix]")
    ] = "",
    reader: ReaderName = "",
    reader_option: ReaderOptions = None,
    start: Start = "",
    end: End = "",
    absolute: Absolute = False,
    filters: Filters = "",
    overwrite: Overwrite = False,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Convert recordings, or a sample of another modality, to another file format.

    Folders keep their structure, and an interrupted conversion continues where it stopped.
    """
    parsed = parse_windows(start, end, filters=filters)
    first, last = parsed.resolve_range(windows.MICROSECONDS)
    options = {
        "reader": reader, "start": first, "end": last, "absolute": absolute, "filters": parsed.filters,
        **parse_reader_options(reader_option, convert_file, convert_folder),
    }  # fmt: skip
    paths, positional = list(map(Path, arguments)), output is None
    if output is None:
        if len(paths) != 2:
            raise BadOption(f"give a file and the output file, or files and folders with -o; got {len(paths)} paths")
        *paths, output = paths
    if positional or is_single_file(paths, output):
        files.check_output(output)
        with files.lock_output(output):  # at once, as for --output
            conversion = convert_file(paths[0], output, format=format, **options)
        recording = vars(conversion.recording) if conversion.recording else {}
        if as_json:
            print_json(_to_record(conversion))
        else:
            events = "{events} events of {width}x{height}, ".format_map(recording) if recording else ""
            print_text(f"{output}: {events}from {conversion.format}")
        return
    if not format:
        raise BadOption("several recordings need a format: give --format, e.g. --format evt3")
    skipped = SkippedFiles()
    on_bad = skipped.record if skip_invalid else None
    batch = convert_folder(paths, output, format=format, overwrite=overwrite, on_bad=on_bad, **options)
    print_batch(batch, output, "converted", [_to_record(each) for each in batch.results], skipped, as_json)


def is_single_file(paths: list[Path], output: Path) -> bool:
    """Return whether the output is a file: for one file, unless the output is a folder or has no suffix."""
    return len(paths) == 1 and not paths[0].is_dir() and bool(output.suffix) and not output.is_dir()


def print_batch(
    batch: Batch[object],
    output: Path,
    done: str,
    records: list[Mapping[str, object]],
    skipped: SkippedFiles,
    as_json: bool,
) -> None:
    """Print the numbers of files of a batch; raise `BadInput` if there is none."""
    if not batch.results and not batch.up_to_date:
        skipped.report()
        raise BadInput(f"no file could be {done}")
    if as_json:
        print_json({"output": str(output), "files": records, "up_to_date": list(batch.up_to_date), "skipped": skipped})
    else:
        unchanged = f", {len(batch.up_to_date)} up to date (--overwrite replaces them)" if batch.up_to_date else ""
        print_text(f"{output}: {len(batch.results)} {done}{unchanged}")
    skipped.report()


def _to_record(conversion: Conversion) -> Mapping[str, object]:
    recording = vars(conversion.recording) if conversion.recording else {}
    return {"file": conversion.file, "format": conversion.format, "output": conversion.output, **recording}
