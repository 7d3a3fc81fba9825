"""`anybind export`: export encoders to ONNX or OpenVINO."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from anybind.commandline import AsJson, print_json, print_table, print_text
from anybind_export.exporting import export as export_binding


def export(
    binding: Annotated[str, typer.Argument(help="Binding (a name or a TOML file), or the name of an encoder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder of the exported encoders.")],
    backend: Annotated[str, typer.Option(help="onnx (ONNX Runtime) or openvino.")] = "onnx",
    precision: Annotated[
        str, typer.Option(help="fp32, fp16 (half-precision weights, float32 arithmetic) or int8 (needs --samples).")
    ] = "fp32",
    samples: Annotated[
        list[Path] | None,
        typer.Option(
            help="Files or folders of samples, at least 64 a modality, which measure accuracy and calibrate int8; of"
            " texts, .txt with one a line; repeatable. [default: made samples]"
        ),
    ] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Export only this modality; repeatable. [default: all of the binding]")
    ] = None,
    fold_adapters: Annotated[
        bool, typer.Option("--fold-adapters", help="Put the binding's adapters into the graphs.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Keep encoders that are not accurate enough.")] = False,
    as_json: AsJson = False,
) -> None:
    """Export encoders to a folder that loads as --binding onnx:FOLDER, with measured accuracy and speed."""
    options: dict[str, Any] = {"backend": backend, "precision": precision}
    report = export_binding(
        binding, output, **options, samples=samples, modalities=modality or (), fold_adapters=fold_adapters, force=force
    )
    if as_json:
        print_json({"binding": report.binding, "card": asdict(report.card)})
        return
    rows = []
    for name, part in report.card.encoders.items():
        single, batch = (f"{each.eager_ms / each.exported_ms:.2f}" for each in part.speed)
        accuracy = f"{part.gate.min_cosine:.6f}", f"{part.gate.max_difference:.1e}"
        rows.append((name, *accuracy, single, batch, "yes" if not part.gate.missed else f"no: {part.gate.missed}"))
    header = ("modality", "min cosine", "max difference", "speed-up, batch 1", "batch 32", "accurate")
    print_table(header, rows)
    print_text(f"{output}: load it as --binding {report.binding}")
