"""`anybind fit-head`: fit a classification head on a folder of class folders."""

from __future__ import annotations

from pathlib import Path
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
    ReaderOptions,
    Region,
    Seed,
    SkipInvalid,
    SkippedFiles,
    Start,
    StoreFlag,
    Stride,
    Window,
    open_store,
    parse_options,
    parse_reader_options,
    parse_windows,
    print_json,
    print_text,
)
from anybind.plugin import files
from anybind_classification.fitting import fit_head as fit


def fit_head(
    folder: Annotated[Path, typer.Argument(help="Folder with one folder of files per class.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file of the fitted head (.safetensors).")],
    head: Annotated[str, typer.Option(help="Classification head: linear-probe, prototypes, ...")] = "linear-probe",
    head_option: Annotated[list[str] | None, typer.Option(help="Option of the head, NAME=VALUE; repeatable.")] = None,
    binding: BindingName = "mini",
    modality: Annotated[
        str,
        typer.Option(
            help="Embed all files as this modality; event: simulate events from images. Default: the files' own."
        ),
    ] = "",
    seed: Seed = 0,
    device: Device = "cpu",
    backend: Backend = "auto",
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
    files_per_class: Annotated[
        int | None, typer.Option(min=1, help="Largest number of files of each class, drawn by --seed. [default: all]")
    ] = None,
    windows_per_class: Annotated[
        int | None, typer.Option(min=1, help="Largest number of windows of each class, drawn by --seed. [default: all]")
    ] = None,
) -> None:
    """Fit a classification head on a folder of class folders, for `anybind classify --head`.

    Long recordings are divided into windows, each of which is a sample of its class.
    """
    files.check_output(output, [".safetensors"])
    skipped = SkippedFiles()
    fitted_head = fit(
        folder,
        head=head,
        binding=load(binding, device=device, backend=backend, store=open_store(store)),
        modality=modality,
        options=parse_windows(start, end, window, stride, roi, filters),
        files_per_class=files_per_class,
        windows_per_class=windows_per_class,
        seed=seed,
        on_bad=skipped.record if skip_invalid else None,
        reader_options=parse_reader_options(reader_option),
        **parse_options(head_option, fit),
    )
    fitted_head.save(output)
    summary = {
        "head": fitted_head.name,
        "identity": fitted_head.identity,
        "classes": list(fitted_head.classes),
        "output": str(output),
    }
    if as_json:
        print_json({**summary, "skipped": skipped})
    else:
        print_text(
            f"{output}: {fitted_head.name} of {len(fitted_head.classes)} classes ({', '.join(fitted_head.classes)})"
        )
    skipped.report()
