"""`anybind classify`: see `anybind_classification.classify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from anybind import load
from anybind.commandline import (
    AsJson,
    BindingName,
    Device,
    Seed,
    SkipInvalid,
    SkippedFiles,
    StoreFlag,
    open_store,
    print_json,
    print_table,
)
from anybind.plugin import BadOption, Head, prompts, tables
from anybind_classification.classification import Classification
from anybind_classification.classification import classify as classify_files


def classify(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, images or audio clips, or folders of them.")],
    labels: Annotated[str, typer.Option(help='Labels separated by commas, or a file: "a duck,a kettle".')] = "",
    head: Annotated[str, typer.Option(help="File of a classification head (.safetensors), in place of --labels.")] = "",
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
    store: StoreFlag = True,
    skip_bad: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Classify recordings, images or audio clips by text labels (zero-shot), or by a fitted head."""
    if bool(labels) == bool(head) or (head and template):
        raise BadOption("give either --labels (and --template), or --head")
    names, templates = tables.parse_names(labels) if labels else [], tuple(template or prompts.DEFAULT_TEMPLATES)
    fitted = Head.find(head, predicts="classification") if head else None
    binder, skipped = load(binding, device=device, store=open_store(store)), SkippedFiles()
    try:
        found = classify_files(
            paths, names, head=fitted, binding=binder, modality=modality, prompts=templates, seed=seed,
            on_bad=skipped.record if skip_bad else None,
        )  # fmt: skip
        unit, about = "cosine", {"labels": names, "prompts": templates}
        if fitted:
            about = {"labels": list(fitted.classes), "head": {"name": fitted.name, "identity": fitted.identity}}
            unit = "score"
        if as_json:
            print_json({"binding": binder.name, **about, "files": _fields(found, unit), "skipped": skipped})
        else:
            print_table(("file", "modality", "label", unit, "share"), _rows(found, top))
    finally:
        skipped.report()


def _fields(found: Sequence[Classification], unit: str) -> list[dict[str, object]]:
    return [
        {
            "file": each.id,
            "modality": each.modality,
            "best": each.label,
            "scores": [{"label": one.label, unit: one.score, "share": one.share} for one in each.scores],
        }
        for each in found
    ]


def _rows(found: Sequence[Classification], top: int) -> Iterator[tuple[str, ...]]:
    for each in found:
        file = (each.id, each.modality)
        for one in each.scores[:top]:
            yield (*file, one.label, f"{one.score:.3f}", f"{100 * one.share:.1f} %")
            file = ("", "")
