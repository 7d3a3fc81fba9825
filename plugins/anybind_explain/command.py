"""`anybind explain`: see `anybind_explain.relevance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind import load
from anybind.commandline import AsJson, BindingName, Device, Seed, StoreFlag, open_store, print_json, print_table
from anybind.plugin import files
from anybind_explain.explanation import PAGES, check_ending, relevance


def explain(
    path: Annotated[Path, typer.Argument(metavar="RECORDING|IMAGE", help="A recording or an image.")],
    text: Annotated[str, typer.Option(help='What to look for in it: "a duck".')],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A picture (.png) or a page (.html).")] = None,
    binding: BindingName = "mini",
    modality: Annotated[
        str, typer.Option(help="Embed it as this modality; as event, a recording is simulated from an image.")
    ] = "",
    picture: Annotated[Path | None, typer.Option(help="The image that a recording shows, to draw over too.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    store: StoreFlag = True,
    as_json: AsJson = False,
) -> None:
    """Show where in a recording or image, and in which words, their similarity lies."""
    if output is not None:
        check_ending(output)
        files.check_output(output)
    binder = load(binding, device=device, store=open_store(store))
    found = relevance(path, text, binding=binder, modality=modality, image=picture, seed=seed)
    if output is not None:
        found.save(output)
    if as_json:
        print_json({**found.to_dict(), "output": None if output is None else files.portable_name(output)})
        return
    rows = [(each.word, f"{each.weight:.4g}", f"{100 * each.share:.1f} %") for each in found.words]
    print_table(("word", "weight", "share"), rows)
    typer.echo(f"cosine: {found.score:.3f}")
    if output is not None:
        typer.echo(f"{'page' if output.suffix.lower() in PAGES else 'map'}: {output}")
