"""`anybind cache`: what is kept of embeddings and where; `clear` removes it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from anybind.cache import EmbeddingCache
from anybind.commandline import AsJson, print_json, print_table, sub_app

Folder = Annotated[
    Path | None,
    typer.Option(help="Of the cache; $ANYBIND_CACHE, $XDG_CACHE_HOME/anybind or ~/.cache/anybind if left out."),
]


app = sub_app()


@app.callback()
def show(ctx: typer.Context, folder: Folder = None, as_json: AsJson = False) -> None:
    """Tell what is kept of embeddings, by encoder, and where."""
    if ctx.invoked_subcommand:
        ctx.obj = folder
        return
    cache = EmbeddingCache(folder)
    encoders, films = cache.encoders(), cache.kept_films()
    total = films.bytes + sum(kept.bytes for kept in encoders)
    if as_json:
        rows = [asdict(kept) for kept in encoders]
        told = {"files": films.files, "bytes": films.bytes}
        print_json({"folder": str(cache.folder), "bytes": total, "encoders": rows, "films": told})
        return
    print_table(
        ("id", "modality", "encoder", "rows", "files", "MB"),
        [
            (
                kept.id,
                str(kept.about.get("modality", "?")),
                str(kept.about.get("name", "?")),
                str(kept.rows),
                str(kept.files),
                f"{kept.bytes / 1e6:.1f}",
            )
            for kept in encoders
        ],
    )
    typer.echo(f"{films.files} films, {films.bytes / 1e6:.1f} MB")
    typer.echo(f"{cache.folder}: {total / 1e6:.1f} MB")


@app.command("clear")
def clear(
    ctx: typer.Context,
    encoder: Annotated[
        str | None, typer.Option(help="Only what this encoder made: an id of `anybind cache`, or its identity.")
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Remove what is kept: all of it, or what one encoder made."""
    cache = EmbeddingCache(folder or ctx.obj)
    freed = cache.clear(encoder)
    if as_json:
        print_json({"folder": str(cache.folder), "freed": freed})
    else:
        typer.echo(f"{cache.folder}: {freed / 1e6:.1f} MB removed")
