"""`anybind embed`: embed files and write their embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    Backend,
    BatchSize,
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
from anybind.embeddings import save_embeddings
from anybind.errors import BadInput
from anybind.evaluation import embed as embed_files
from anybind.files import check_output
from anybind.loaded import load, load_encoder


def embed(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders that are searched for files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file (.safetensors).")],
    binding: BindingName = "mini",
    encoder: Annotated[str, typer.Option(help="Single encoder by name, in place of a binding.")] = "",
    batch_size: BatchSize = 32,
    workers: Workers = None,
    processes: Processes = False,
    device: Device = "cpu",
    backend: Backend = "auto",
    precision: Precision = "fp32",
    store: StoreFlag = True,
    reader_option: ReaderOptions = None,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
    start: Start = "",
    end: End = "",
    window: Window = "",
    stride: Stride = "",
    roi: Region = "",
    filters: Filters = "",
) -> None:
    """Embed files into one space and write the embeddings as safetensors, one tensor per modality.

    Long recordings have an embedding for each window, whose id ends in its time range.
    """
    check_output(output, [".safetensors"])
    windows = parse_windows(start, end, window, stride, roi, filters)
    create, name = (load_encoder, encoder) if encoder else (load, binding)
    binder, skipped = create(
        name, device=device, backend=backend, store=open_store(store), precision=precision, batch_size=batch_size,
        workers=workers, processes=processes,
    ), SkippedFiles()  # fmt: skip
    on_bad, options = skipped.record if skip_invalid else None, parse_reader_options(reader_option)
    by_modality = embed_files(paths, binding=binder, on_bad=on_bad, reader_options=options, options=windows)
    groups = list(by_modality.values())
    skipped.report()
    if not groups:
        raise BadInput(f"nothing to write to {output}: no file could be embedded")
    save_embeddings(output, groups)
    if as_json:
        rows = [{"modality": g.modality, "n": len(g), "space": g.space.name, "encoder": g.encoder} for g in groups]
        print_json({"output": str(output), "binding": binder.name, "embeddings": rows, "skipped": skipped})
    else:
        counts = ", ".join(f"{len(group)} {group.modality}" for group in groups)
        print_text(f"{output}: {counts} embeddings in {groups[0].space}")
