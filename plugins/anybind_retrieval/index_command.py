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
    SkipInvalid,
    SkippedFiles,
    StoreFlag,
    open_store,
    print_json,
)
from anybind_retrieval.indexing import build_index, check_place

Kinds = Annotated[
    list[str] | None, typer.Option("--modality", help="Only files that hold this: event, image, ...; repeatable.")
]


def index(
    paths: Annotated[list[str] | None, typer.Argument(help="Folders searched for recordings, or files.")] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="A .safetensors file, or a folder or URI ending in .lance.")
    ] = "",
    texts: Annotated[list[str] | None, typer.Option(help="A text file, each line an entry; repeatable.")] = None,
    binding: BindingName = "mini",
    modality: Kinds = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Files embedded at once.")] = 32,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Embed everything anew, whatever is there.")] = False,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Embed files once and keep their embeddings for `anybind search`; run again, it takes in what changed."""
    check_place(output)
    binder, skipped = load(binding, device=device, store=open_store(store)), SkippedFiles()
    try:
        made = build_index(
            output, paths or (), texts=texts or (), binding=binder, modalities=modality or (), batch_size=batch_size,
            rebuild=rebuild, on_bad=skipped.record if skip_bad else None,
        )  # fmt: skip
    finally:
        skipped.report()
    counts = asdict(made.counts)
    if as_json:
        about = {"output": output, "binding": made.binding, "space": made.space.name, "entries": made.entries}
        print_json({**about, **counts, "skipped": skipped})
    else:
        typer.echo(f"{output}: {', '.join(f'{count} {kind}' for kind, count in made.entries.items())} in {made.space}")
        typer.echo(", ".join(f"{count} {what}" for what, count in counts.items()))
