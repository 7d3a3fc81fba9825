"""`anybind fit-head`: fit a classification head on a folder of class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    BindingName,
    Device,
    Seed,
    SkipInvalid,
    SkippedFiles,
    StoreFlag,
    open_store,
    parse_options,
    print_json,
)
from anybind.plugin import files
from anybind_classification.fitting import fit_head as fit


def fit_head(
    folder: Annotated[Path, typer.Argument(help="A folder with one folder of files per class.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File of the fitted head (.safetensors).")],
    head: Annotated[str, typer.Option(help="Classification head: linear-probe, prototypes, ...")] = "linear-probe",
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the head; repeatable.")] = None,
    binding: BindingName = "mini",
    modality: Annotated[str, typer.Option(help="Embed all files as this; images become event streams as event.")] = "",
    seed: Seed = 0,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Fit a classification head on a folder of class folders, for `anybind classify --head`."""
    files.check_output(output)
    skipped = SkippedFiles()
    fitted = fit(
        folder,
        head=head,
        binding=binding,
        modality=modality,
        seed=seed,
        device=device,
        store=open_store(store),
        on_bad=skipped.record if skip_bad else None,
        **parse_options(option),
    )
    fitted.save(output)
    about = {"head": fitted.name, "identity": fitted.identity, "classes": list(fitted.classes), "output": str(output)}
    if as_json:
        print_json({**about, "skipped": skipped})
    else:
        typer.echo(f"{output}: {fitted.name} of {len(fitted.classes)} classes ({', '.join(fitted.classes)})")
    skipped.report()
