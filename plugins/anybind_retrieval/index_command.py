"""`anybind index`: embed many files once, and keep the vectors for `anybind search`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from anybind import load
from anybind.commandline import AsJson, BindingName, Device, SkipBad, Skipped, StoreFlag, open_store, print_json
from anybind_retrieval.indexing import Wanted, check_place, exists, kinds_of, open_index, update

Kinds = Annotated[
    list[str] | None, typer.Option("--modality", help="Only files that hold this: event, image, ...; repeatable.")
]


def index(
    paths: Annotated[list[str] | None, typer.Argument(help="Folders searched for recordings, or files.")] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="A .safetensors file, or a folder or URI ending in .lance.")
    ] = "",
    texts: Annotated[list[str] | None, typer.Option(help="A file of texts, one a line; repeatable.")] = None,
    binding: BindingName = "mini",
    modality: Kinds = None,
    batch_size: Annotated[int, typer.Option(min=1, help="How many files are embedded at once.")] = 32,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Embed all anew, whatever is there.")] = False,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Embed files once and keep the vectors for `anybind search`; run again, it takes in what changed."""
    check_place(output)
    binder = load(binding, device=device, store=open_store(store))
    former = open_index(output) if exists(output) and not rebuild else None
    wanted = Wanted(paths or (), texts or (), kinds_of(binder, modality or ()))
    skipped = Skipped()
    try:
        counts = update(output, former, binder, wanted, skipped if skip_bad else None, batch_size)
    finally:
        skipped.report()
    made = open_index(output)
    held = {kind: made.count(kind) for kind in made.card.shelves}
    if as_json:
        card = {"binding": made.card.binding, "space": made.card.space.name}
        print_json({"output": output, **card, "entries": held, **asdict(counts), "skipped": skipped})
    else:
        typer.echo(f"{output}: {', '.join(f'{count} {kind}' for kind, count in held.items())} in {made.card.space}")
        typer.echo(", ".join(f"{count} {what}" for what, count in asdict(counts).items()))
