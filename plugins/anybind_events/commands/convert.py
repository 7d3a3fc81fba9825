"""`anybind convert`: a recording, or any other sample, from one file format to another."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from anybind import read, read_chunks, write
from anybind.commandline import AsJson, named_values, print_json
from anybind.plugin import BadInput, BadOption, Reader, ReaderSpec, files, find_part, parts, readers
from anybind.registry import Part
from anybind_events.readers.columns import join_streams
from anybind_events.stream import EventStream

ReaderName = Annotated[str, typer.Option("--reader", help="Read as this format, by name; found by content by default.")]
ReaderOption = Annotated[list[str] | None, typer.Option("--option", help="NAME=VALUE for the reader; repeatable.")]


def convert(
    file: Annotated[Path, typer.Argument(help="A recording, or a sample of any other kind.")],
    output: Annotated[Path, typer.Argument(help="The file to write; its ending says the format.")],
    reader: ReaderName = "",
    option: ReaderOption = None,
    start: Annotated[int | None, typer.Option(help="From here, in microseconds after the first event.")] = None,
    end: Annotated[int | None, typer.Option(help="Until here, likewise.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a recording in the format that the output's ending says, whatever format it is in."""
    files.check_output(output)
    options = named_values(option)
    source = find_part(ReaderSpec, reader) if reader else readers.find_reader(file)
    told: dict[str, Any] = {"file": str(file), "format": source.name, "output": str(output)}
    if source.spec.modality == "event":
        target = _writing_format(output)
        told |= _write_events(_streams(source, file, start, end, options), file, output, target)
    elif start is not None or end is not None:
        raise BadOption(f"--start and --end are for recordings of event cameras; {file} holds {source.spec.modality}")
    else:
        write(read(file, reader=source.name, **options), output)
    if as_json:
        print_json(told)
    else:
        what = f"{told['events']} events of {told['width']}x{told['height']}, " if "events" in told else ""
        typer.echo(f"{output}: {what}from {source.name}")


def _writing_format(output: Path) -> Part:
    """The format that writes events to such a file."""
    formats = [part for part in parts(ReaderSpec) if part.spec.modality == "event"]
    able = [part for part in formats if part.load().write is not Reader.write]
    for part in able:
        if output.suffix.lower() in part.spec.suffixes:
            return part
    known = sorted({suffix for part in able for suffix in part.spec.suffixes})
    raise BadInput(f"cannot write events to {output}: no format of that ending is written (known: {', '.join(known)})")


def _streams(
    source: Part, file: Path, start: int | None, end: int | None, options: dict[str, Any]
) -> Iterator[EventStream]:
    """The recording in parts, or what of it is between two times after its first event."""
    if start is None and end is None:
        yield from read_chunks(file, reader=source.name, **options)
        return
    first = _first_time(source, file, options)
    low, high = first + (start or 0), None if end is None else first + end
    if {"start", "end"} <= inspect.signature(source.load().chunks).parameters.keys():
        options = {**options, "start": low, "end": high}
    empty = True
    for stream in read_chunks(file, reader=source.name, **options):
        last = int(stream.t[-1]) if len(stream) else low
        chosen = stream.between(low, last + 1 if high is None else high)
        empty &= not len(chosen)
        yield chosen
        if high is not None and last >= high:
            break
    if empty:
        until = "its end" if end is None else f"{end} us"
        raise BadInput(f"{file} has no events between {start or 0} us and {until}")


def _first_time(source: Part, file: Path, options: dict[str, Any]) -> int:
    for stream in read_chunks(file, reader=source.name, **options):
        if len(stream):
            return int(stream.t[0])
    raise BadInput(f"{file} is an empty recording: it holds no events")


def _write_events(streams: Iterator[EventStream], file: Path, output: Path, target: Part) -> dict[str, Any]:
    """Write parts of a recording, one after the other where the format can; what was written, in numbers."""
    told: dict[str, Any] = {"events": 0, "width": 0, "height": 0}
    notes: Counter[str] = Counter()

    def counted() -> Iterator[EventStream]:
        for stream in streams:
            told.update(events=told["events"] + len(stream), width=stream.width, height=stream.height)
            notes.update(stream.notes)
            yield stream

    writer = target.load()()
    with files.atomic_path(output) as temporary, target.explain_missing_extra():
        try:
            if hasattr(writer, "write_chunks"):
                writer.write_chunks(counted(), temporary)
            else:
                writer.write(join_streams(list(counted())), temporary)
        except BadInput as error:  # a writer knows only the temporary path
            raise BadInput(str(error) if str(file) in str(error) else f"cannot write {output}: {error}") from error
    return {**told, "notes": dict(notes)}
