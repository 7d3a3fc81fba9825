"""`anybind explain`: see `anybind_explain.relevance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anybind import load
from anybind.commandline import (
    AsJson,
    BindingName,
    Device,
    End,
    Filters,
    ReaderOptions,
    Region,
    Seed,
    Start,
    StoreFlag,
    Stride,
    Window,
    open_store,
    parse_reader_options,
    parse_windows,
    print_json,
    print_table,
    print_text,
)
from anybind.plugin import files


def explain(
    path: Annotated[Path, typer.Argument(metavar="RECORDING|IMAGE", help="Event recording or image.")],
    text: Annotated[str, typer.Option(help='Text to explain the similarity with: "a duck".')],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Output image (.png) or page (.html).")] = None,
    binding: BindingName = "mini",
    modality: Annotated[
        str,
        typer.Option(help="Embed as this modality; event: simulate events from an image. Default: the file's own."),
    ] = "",
    image: Annotated[Path | None, typer.Option(help="Image that the recording shows, for a second map.")] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            help="Factor of the cosine similarity whose gradient is taken. [default: the encoder's logit scale]"
        ),
    ] = None,
    first_block: Annotated[
        str, typer.Option(help="Block that attention rollout starts at: all (the first) or last.")
    ] = "all",
    seed: Seed = 0,
    device: Device = "cpu",
    store: StoreFlag = True,
    reader_option: ReaderOptions = None,
    as_json: AsJson = False,
    start: Start = "",
    end: End = "",
    window: Window = "",
    stride: Stride = "",
    roi: Region = "",
    filters: Filters = "",
) -> None:
    """Explain the similarity of a recording or image and a text: relevance map and word weights.

    Of a recording with several windows, the one that is most similar to the text is explained.
    """
    from anybind_explain.explanation import PAGES, check_suffix, relevance  # imports torch

    if image is not None:
        files.check_input(image)
    if output is not None:
        check_suffix(output)
        files.check_output(output, inputs=filter(None, (path, image)))
    binder = load(binding, device=device, backend="torch", store=open_store(store))
    options = parse_windows(start, end, window, stride, roi, filters)
    explanation = relevance(
        path, text, binding=binder, modality=modality, image=image, scale=scale, first_block=first_block, seed=seed,
        options=options, reader_options=parse_reader_options(reader_option),
    )  # fmt: skip
    if output is not None:
        explanation.save(output)
    if as_json:
        print_json({**explanation.to_dict(), "output": None if output is None else files.portable_name(output)})
        return
    rows = [(each.word, f"{each.weight:.4g}", f"{100 * each.fraction:.1f} %") for each in explanation.words]
    print_table(("word", "weight", "fraction"), rows)
    print_text(f"cosine: {explanation.score:.3f}")
    print_text(explanation.describe_map())
    if output is not None:
        print_text(f"{'page' if output.suffix.lower() in PAGES else 'map'}: {output}")
