"""`anybind pack`: see `anybind_packs.pack`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import AsJson, print_json, print_text
from anybind.plugin import BadInput, BadOption


def pack(
    source: Annotated[
        str, typer.Argument(help="Run of `anybind train`, file of a fitted adapter, or, with --modality, a binding.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder of the pack.")],
    licence: Annotated[str, typer.Option(help="Licence of the weights, an SPDX name such as Apache-2.0.")],
    name: Annotated[str, typer.Option(help="Name of the pack. [default: that of the folder]")] = "",
    summary: Annotated[str, typer.Option(help="One line about it. [default: the part and its bases]")] = "",
    description: Annotated[
        Path | None, typer.Option(help="Markdown file for the model card: data, limits. [default: none]")
    ] = None,
    modality: Annotated[str, typer.Option(help="Of a binding: the encoder to pack.")] = "",
    base: Annotated[
        list[str] | None,
        typer.Option(
            help="Binding that the pack adds to, by the name under which others find it; repeatable for an adapter."
            " [default: the run's]"
        ),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, a measured score; repeatable. [default: those of the run]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pack a trained encoder or an adapter, with its licence, metrics and base, to share it."""
    from anybind_packs.packing import pack as write_pack

    try:
        text = description.read_text(encoding="utf-8") if description else ""
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {description}: {error}") from error
    card = write_pack(
        source, output, licence=licence, name=name, summary=summary, description=text, modality=modality,
        bases=base or (), metrics=_parse_metrics(metric) if metric else None,
    )  # fmt: skip
    if as_json:
        print_json({"binding": f"pack:{output}", "card": asdict(card)})
        return
    for fact, value in card.describe().items():
        print_text(f"{fact}: {value}")
    print_text(f"{output}: load it as --binding pack:{output}, share it by `anybind push {output} hf:ORG/NAME`")


def _parse_metrics(pairs: list[str]) -> dict[str, float]:
    metrics = {}
    for pair in pairs:
        name, _, value = pair.rpartition("=")
        try:
            metrics[name.strip()] = float(value)
        except ValueError:
            name = ""
        if not name.strip():
            raise BadOption(f"--metric: expected NAME=VALUE with a number, got {pair!r}")
    return metrics
