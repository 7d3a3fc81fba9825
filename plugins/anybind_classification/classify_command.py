"""`anybind classify`: see `anybind_classification.classify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from anybind import load
from anybind.commandline import AsJson, BindingName, Device, Seed, SkipBad, Skipped, print_json, print_table
from anybind.plugin import prompts, tables
from anybind_classification.classification import Classification
from anybind_classification.classification import classify as classify_files


def classify(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, images or audio clips, or folders of them.")],
    labels: Annotated[str, typer.Option(help='Labels separated by commas, or a file: "a duck,a kettle".')],
    binding: BindingName = "mini",
    modality: Annotated[
        str, typer.Option(help="Embed all files as this modality; as event, events are simulated from images.")
    ] = "",
    template: Annotated[
        list[str] | None, typer.Option(help="Prompt with {} in the place of the label; repeatable.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of labels to print for each file.")] = 3,
    seed: Seed = 0,
    device: Device = "cpu",
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Classify recordings, images or audio clips by text labels (zero-shot)."""
    names, templates, skipped = tables.read_names(labels), tuple(template or prompts.DEFAULT_TEMPLATES), Skipped()
    binder = load(binding, device=device)
    try:
        found = classify_files(
            paths, names, binding=binder, modality=modality, prompts=templates, seed=seed,
            on_bad=skipped.note if skip_bad else None,
        )  # fmt: skip
        if as_json:
            rows = [{"file": x.id, "modality": x.modality, "best": x.label, "scores": x.scores} for x in found]
            print_json(
                {"binding": binder.name, "labels": names, "prompts": templates, "files": rows, "skipped": skipped}
            )
        else:
            print_table(("file", "modality", "label", "cosine", "share"), _rows(found, top))
    finally:
        skipped.report()


def _rows(found: Sequence[Classification], top: int) -> Iterator[tuple[str, ...]]:
    for each in found:
        head = (each.id, each.modality)
        for score in each.scores[:top]:
            yield (*head, score.label, f"{score.cosine:.3f}", f"{100 * score.share:.1f} %")
            head = ("", "")
