"""`anybind fit-adapter`: see `anybind_adapters.fit_adapter`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from anybind import load_dataset
from anybind.commandline import (
    AsJson,
    Backend,
    Device,
    Seed,
    SkipInvalid,
    SkippedFiles,
    StoreFlag,
    open_store,
    parse_options,
    print_json,
    print_table,
    print_text,
)
from anybind.plugin import files, tables
from anybind_adapters.fitting import Metrics, check_suffix, find_adapter_class
from anybind_adapters.fitting import fit_adapter as fit_adapter_on_pairs


def fit_adapter(
    source: Annotated[
        str,
        typer.Option(
            help="Source space: BINDING (common space), BINDING:MODALITY (encoder's own), or a file of `anybind embed`."
        ),
    ],
    target: Annotated[str, typer.Option(help="Target space, named like --source.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Adapter file to write, .safetensors.")],
    data: Annotated[Path | None, typer.Option(help="Folder of samples to embed on both sides.")] = None,
    adapter: Annotated[str, typer.Option(help="Adapter to fit: linear, mlp, procrustes, ridge.")] = "ridge",
    modality: Annotated[
        str | None, typer.Option(help="Modality to embed: image, text, ... [default: one that both sides have]")
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(help="Texts to embed: a file, one text a line, or JSON of texts by sample id.")
    ] = None,
    prompt: Annotated[str, typer.Option(help="Prompt template with {} for the class name.")] = "a photo of a {}",
    dataset: Annotated[
        str | None, typer.Option(help="Dataset that reads --data, see `anybind datasets`. [default: folder or files]")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Subset of class folders: a,b or a file of names. [default: all]")
    ] = None,
    dataset_option: Annotated[list[str] | None, typer.Option(help="Dataset option, NAME=VALUE; repeatable.")] = None,
    fit_option: Annotated[list[str] | None, typer.Option(help="Fit option, NAME=VALUE; repeatable.")] = None,
    val_fraction: Annotated[float, typer.Option(help="Fraction of pair groups held out for validation, 0 to 1.")] = 0.2,
    seed: Seed = 0,
    device: Device = "cpu",
    backend: Backend = "auto",
    store: StoreFlag = True,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Fit an adapter between two embedding spaces, validate it on held-out pairs, and write it."""
    files.check_output(output)
    for path in filter(None, (data, texts)):
        files.check_input(path)
    options, skipped = parse_options(fit_option, fit_adapter_on_pairs), SkippedFiles()
    find_adapter_class(adapter, options)
    check_suffix(output)
    dataset_options = parse_options(dataset_option, load_dataset, "modalities")
    if classes is not None:
        dataset_options["classes"] = tables.parse_names(classes)
    try:
        fit = fit_adapter_on_pairs(
            source, target, data=data, adapter=adapter, modality=modality, texts=texts, template=prompt,
            dataset=dataset, dataset_options=dataset_options, val_fraction=val_fraction, seed=seed, device=device,
            backend=backend, store=open_store(store), on_bad=skipped.record if skip_invalid else None, **options,
        )  # fmt: skip
    finally:
        skipped.report()
    fit.save(output)
    fitted = fit.adapter
    if as_json:
        spaces = {"source": asdict(fitted.source), "target": asdict(fitted.target)}
        details = {"data": fit.data, "validation": fit.validation, "settings": dict(fitted.settings)}
        print_json({"output": str(output), "adapter": adapter, **spaces, **details, "skipped": skipped})
    else:
        print_metrics(fit.validation)
        print_text(f"{output}: {adapter} from {fitted.source} to {fitted.target}, fitted on {fit.n_fit} pairs")


def print_metrics(metrics: Metrics) -> None:
    """Print retrieval among the held-out pairs as a table."""
    rows = []
    for direction in ("forward", "back"):
        for stage in ("chance", "before", "after"):
            if (by_direction := metrics[stage]) is not None:
                n, gallery_size, r1, r5, rank = by_direction[direction].values()
                rows.append((direction, stage, str(n), str(gallery_size), f"{r1:.3f}", f"{r5:.3f}", f"{rank:.1f}"))
    print_table(("direction", "adapter", "n", "gallery", "R@1", "R@5", "median rank"), rows)
