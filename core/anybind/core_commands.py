"""The commands that need no plugin to exist: `plugins`, `bindings`, `embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind import cache_command, dataset_commands, plugin_commands
from anybind.binder import load
from anybind.binding import binding_of_part, bindings
from anybind.commandline import (
    AsJson,
    BindingName,
    Device,
    SkipBad,
    Skipped,
    by_modality,
    print_json,
    print_table,
    sample_files,
)
from anybind.embeddings import save_embeddings
from anybind.errors import AnybindError, BadInput
from anybind.files import check_output


def add_to(app: typer.Typer) -> None:
    """Add core's commands to the command line."""
    app.add_typer(plugin_commands.app, name="plugins")
    app.add_typer(dataset_commands.app, name="datasets")
    app.add_typer(cache_command.app, name="cache")
    app.command("bindings")(list_bindings)
    app.command("embed")(embed)


def list_bindings(as_json: AsJson = False) -> None:
    """List installed bindings and the modalities that each one joins."""
    rows = []
    for part in bindings():
        try:
            binding = binding_of_part(part)
            rows.append((part.name, ", ".join(binding.encoders), binding.summary or part.spec.summary))
        except AnybindError:  # one that takes an argument, or a broken one, is still listed
            rows.append((part.name, ", ".join(part.spec.consumes), part.spec.summary))
    if as_json:
        keys = ("name", "modalities", "summary")
        print_json({"bindings": [dict(zip(keys, (n, m.split(", "), s), strict=True)) for n, m, s in rows]})
    else:
        print_table(("binding", "modalities", "summary"), rows)


def embed(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders searched for recordings.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .safetensors file to write.")],
    binding: BindingName = "mini",
    device: Device = "cpu",
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Embed files into one space and write the vectors, one tensor a modality, as safetensors."""
    check_output(output)
    binder = load(binding, device=device)
    skipped = Skipped()
    files = sample_files(paths, binder.modalities)
    groups = [
        binder.embed(modality, files_of_one, on_bad=skipped.note if skip_bad else None)
        for modality, files_of_one in by_modality(files, binder.modalities, skipped if skip_bad else None).items()
    ]
    groups = [group for group in groups if len(group)]
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
