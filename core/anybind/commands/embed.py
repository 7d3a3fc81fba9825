"""`anybind embed`: embed files and write the embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.binder import load, load_encoder
from anybind.commandline import AsJson, BindingName, Device, SkipBad, SkippedFiles, StoreFlag, open_store, print_json
from anybind.embeddings import save_embeddings
from anybind.errors import BadInput
from anybind.evaluation import embed as embed_files
from anybind.files import check_output


def embed(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders searched for recordings.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .safetensors file to write.")],
    binding: BindingName = "mini",
    encoder: Annotated[str, typer.Option(help="A single encoder by name, in place of a binding.")] = "",
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Embed files into one space and write the embeddings, one tensor a modality, as safetensors."""
    check_output(output)
    kept = open_store(store)
    binder = load_encoder(encoder, device=device, store=kept) if encoder else load(binding, device=device, store=kept)
    skipped = SkippedFiles()
    groups = list(embed_files(paths, binding=binder, on_bad=skipped.note if skip_bad else None).values())
    skipped.report()
    if not groups:
        raise BadInput(f"nothing to write to {output}: no file could be embedded")
    save_embeddings(output, groups)
    if as_json:
        written = [{"modality": g.modality, "n": len(g), "space": g.space.name, "encoder": g.encoder} for g in groups]
        print_json({"output": str(output), "binding": binder.name, "embeddings": written, "skipped": skipped})
    else:
        counts = ", ".join(f"{len(group)} {group.modality}" for group in groups)
        typer.echo(f"{output}: {counts} vectors in {groups[0].space}")
