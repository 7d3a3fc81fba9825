"""`anybind index`: see `anybind_retrieval.build_index`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from anybind import load
from anybind.commandline import (
    AsJson,
    Backend,
    BindingName,
    Device,
    End,
    Filters,
    Precision,
    Processes,
    ReaderOptions,
    Region,
    SkipInvalid,
    SkippedFiles,
    Start,
    StoreFlag,
    Stride,
    Window,
    Workers,
    open_store,
    parse_reader_options,
    parse_windows,
    print_json,
    print_text,
)
from anybind_retrieval.indexing import build_index, check_location
from anybind_retrieval.stored_format import IndexFormat

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
    workers: Workers = None,
    processes: Processes = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Embed all files again, also unchanged ones.")] = False,
    vectors: Annotated[
        str,
        typer.Option(
            help="Store vectors as float32, int8 (a quarter of the size) or binary (int8, and bits that a search reads"
            " first). [default: those of the index, or float32]"
        ),
    ] = "",
    truncate_dim: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Store the first dimensions only, for encoders trained so (Matryoshka)."
            " [default: those of the index, or all]",
        ),
    ] = None,
    device: Device = "cpu",
    backend: Backend = "auto",
    precision: Precision = "fp32",
    store: StoreFlag = True,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
    start: Start = "",
    end: End = "",
    window: Window = "",
    stride: Stride = "",
    roi: Region = "",
    filters: Filters = "",
    reader_option: ReaderOptions = None,
) -> None:
    """Embed files into an index for `anybind search`, or update an index with new, changed and removed files."""
    check_location(output)
    options = parse_windows(start, end, window, stride, roi, filters)
    IndexFormat(vectors, truncate_dim).check(output)
    binder, skipped = load(
        binding, device=device, backend=backend, store=open_store(store), precision=precision, batch_size=batch_size,
        workers=workers, processes=processes,
    ), SkippedFiles()  # fmt: skip
    try:
        report = build_index(
            output, paths or (), texts=texts or (), binding=binder, modalities=modality or (), rebuild=rebuild,
            vectors=vectors, truncate_dim=truncate_dim, on_bad=skipped.record if skip_invalid else None,
            options=options, reader_options=parse_reader_options(reader_option),
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
