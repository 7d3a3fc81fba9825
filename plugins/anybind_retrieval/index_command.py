"""`anybind index`: see `anybind_retrieval.build_index`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from anybind import load
from anybind.commandline import (
    AsJson,
    BindingName,
    Device,
    End,
    Filters,
    Region,
    SkipInvalid,
    SkippedFiles,
    Start,
    StoreFlag,
    Stride,
    Window,
    open_store,
    parse_windows,
    print_json,
    print_text,
)
from anybind_retrieval.indexing import build_index, check_location

Modalities = Annotated[
    list[str] | None,
    typer.Option("--modality", help="Use only files of this modality: event, image, ...; repeatable. [default: all]"),
]


def index(
    paths: Annotated[list[str] | None, typer.Argument(help="Files, or folders to search for files.")] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Write a .safetensors file, or a folder or URI ending in .lance.")
    ] = "",
    texts: Annotated[list[str] | None, typer.Option(help="Index each line of this text file; repeatable.")] = None,
    binding: BindingName = "mini",
    modality: Modalities = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Files embedded at a time.")] = 32,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Embed all files again, also unchanged ones.")] = False,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
    start: Start = "",
    end: End = "",
    window: Window = "",
    stride: Stride = "",
    roi: Region = "",
    filters: Filters = "",
) -> None:
    """Embed files into an index for `anybind search`, or update an index with new, changed and removed files."""
    check_location(output)
    options = parse_windows(start, end, window, stride, roi, filters)
    binder, skipped = load(binding, device=device, store=open_store(store)), SkippedFiles()
    try:
        report = build_index(
            output, paths or (), texts=texts or (), binding=binder, modalities=modality or (), batch_size=batch_size,
            rebuild=rebuild, on_bad=skipped.record if skip_invalid else None, options=options,
        )  # fmt: skip
    finally:
        skipped.report()
    counts = asdict(report.counts)
    if as_json:
        fields = {
            "output": output, "binding": report.binding, "space": report.space.name, "entries": report.entries,
        }  # fmt: skip
        print_json({**fields, **counts, "skipped": skipped})
    else:
        entries = ", ".join(f"{count} {name}" for name, count in report.entries.items())
        print_text(f"{output}: {entries} in {report.space}")
        print_text(", ".join(f"{count} {change}" for change, count in counts.items()))
