"""`anybind store`: show the embedding store; `clear` removes its embeddings."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, print_json, print_table, print_text, sub_app
from anybind.store import EmbeddingStore

Folder = Annotated[
    Path | None,
    typer.Option(help="Folder of the store. [default: $ANYBIND_STORE, else `store` in the user's cache folder]"),
]

app = sub_app()


@app.callback()
def show_store(ctx: typer.Context, folder: Folder = None, as_json: AsJson = False) -> None:
    """Show the embedding store: its folder, its size and the embeddings of each encoder."""
    if ctx.invoked_subcommand:
        ctx.obj = folder
        return
    store = EmbeddingStore(folder)
    encoders = store.encoders()
    if as_json:
        rows = [asdict(encoder) for encoder in encoders]
        print_json({"folder": str(store.folder), "bytes": store.bytes, "encoders": rows})
        return
    print_table(
        ("id", "modality", "encoder", "rows", "MB"),
        [
            (
                encoder.id,
                str(encoder.description.get("modality", "?")),
                str(encoder.description.get("name", "?")),
                str(encoder.rows),
                f"{encoder.bytes / 1e6:.1f}",
            )
            for encoder in encoders
        ],
    )
    print_text(f"{store.folder}: {store.bytes / 1e6:.1f} MB")


@app.command("clear")
def clear_store(
    ctx: typer.Context,
    encoder: Annotated[
        str | None, typer.Option(help="Only embeddings of this encoder: an id of `anybind store`, or its identity.")
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Remove all embeddings from the store, or those of one encoder."""
    store = EmbeddingStore(folder or ctx.obj)
    freed = store.clear(encoder)
    if as_json:
        print_json({"folder": str(store.folder), "freed": freed})
    else:
        print_text(f"{store.folder}: {freed / 1e6:.1f} MB removed")
