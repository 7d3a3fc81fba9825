"""`anybind fit-adapter`: see `anybind_adapters.fit_adapter`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    Device,
    Seed,
    SkipInvalid,
    SkippedFiles,
    StoreFlag,
    open_store,
    parse_options,
    print_json,
    print_table,
)
from anybind.plugin import files, tables
from anybind_adapters.fitting import check_ending, find_fittable
from anybind_adapters.fitting import fit_adapter as fit_on_pairs
from anybind_adapters.held_out import Found


def fit_adapter(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="BINDING (its common space), BINDING:MODALITY (the encoder's own), or a file of `anybind embed`.",
        ),
    ],
    target: Annotated[str, typer.Option("--to", help="The target space, named as --from.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .safetensors file to write.")],
    data: Annotated[Path | None, typer.Option(help="Folder of samples that both sides embed.")] = None,
    kind: Annotated[str, typer.Option(help="linear, ridge, procrustes, mlp.")] = "ridge",
    modality: Annotated[
        str | None, typer.Option(help="What is embedded: image, text, ... [default: one that both sides have]")
    ] = None,
    texts: Annotated[Path | None, typer.Option(help="A text a line, or JSON of texts by sample.")] = None,
    template: Annotated[str, typer.Option(help="Prompt with {} in the place of the class name.")] = "a photo of a {}",
    dataset: Annotated[
        str | None, typer.Option(help="The dataset that reads --data. [default: folder or files]")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Keep only these folders: a,b or a file of names.")] = None,
    data_option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the dataset; repeatable.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the fit; repeatable.")] = None,
    held_out: Annotated[float, typer.Option(help="Share of different things that are held out.")] = 0.2,
    seed: Seed = 0,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Fit an adapter between two embedding spaces, evaluate it on held-out pairs, and write it."""
    files.check_output(output)
    options, skipped = parse_options(option), SkippedFiles()
    find_fittable(kind, options)
    check_ending(output)
    of_data = parse_options(data_option) | ({} if classes is None else {"classes": tables.parse_names(classes)})
    try:
        fit = fit_on_pairs(
            source, target, data=data, kind=kind, modality=modality, texts=texts, prompt=template, dataset=dataset,
            dataset_options=of_data, held_out=held_out, seed=seed, device=device,
            store=open_store(store), on_bad=skipped.record if skip_bad else None, **options,
        )  # fmt: skip
    finally:
        skipped.report()
    fit.save(output)
    adapter = fit.adapter
    if as_json:
        spaces = {"source": asdict(adapter.source), "target": asdict(adapter.target)}
        about = {"data": fit.data, "held_out": fit.held_out, "settings": dict(adapter.settings)}
        print_json({"output": str(output), "kind": kind, **spaces, **about, "skipped": skipped})
    else:
        print_report(fit.held_out)
        typer.echo(f"{output}: {kind} from {adapter.source} to {adapter.target}, fitted on {fit.n_fit} pairs")


def print_report(figures: Mapping[str, Mapping[str, Mapping[str, float]] | None]) -> None:
    """The figures as a table."""
    rows = []
    for way in ("forward", "back"):
        for what in ("chance", "before", "after"):
            if (ways := figures[what]) is not None:
                found = Found(**ways[way])  # pyright: ignore[reportArgumentType]
                shares = (f"{share:.3f}" for share in (found.r1, found.r5))
                rows.append((way, what, str(found.n), str(found.gallery), *shares, f"{found.median_rank:.1f}"))
    print_table(("held out", "by", "n", "among", "R@1", "R@5", "median rank"), rows)
