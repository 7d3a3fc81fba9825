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
    split_common_folder,
)
from anybind.plugin import BadOption, Head, prompts, tables
from anybind_classification.classification import Classification
from anybind_classification.classification import classify as classify_files


def classify(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, images or audio clips, or folders of them.")],
    labels: Annotated[str, typer.Option(help='Labels separated by commas ("a duck,a kettle"), or a file.')] = "",
    head: Annotated[
        str, typer.Option(help="File of a fitted classification head (.safetensors), instead of --labels.")
    ] = "",
    binding: BindingName = "mini",
    modality: Annotated[
        str,
        typer.Option(
            help="Embed all files as this modality; event: simulate events from images. Default: the file's own."
        ),
    ] = "",
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            help="Prompt template with {} for the label and, optionally, {definition} for WordNet's definitions of it;"
            ' repeatable. Default: that of the text encoder, or "a photo of a {}".'
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Number of labels to print per file.")] = 3,
    seed: Seed = 0,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Classify recordings, images or audio clips by text labels (zero-shot), or by a fitted head."""
    if bool(labels) == bool(head) or (head and prompt):
        raise BadOption("expected either --labels (and --prompt), or --head")
    label_names = tables.parse_names(labels) if labels else []
    fitted_head = Head.find(head, predicts="classification") if head else None
    binder, skipped = load(binding, device=device, store=open_store(store)), SkippedFiles()
    templates = prompts.choose_templates(binder, "text", prompt) if labels else prompts.DEFAULT_TEMPLATES
    try:
        classifications = classify_files(
            paths, label_names, head=fitted_head, binding=binder, modality=modality, templates=templates, seed=seed,
            on_bad=skipped.record if skip_invalid else None,
        )  # fmt: skip
        score_name, settings = "cosine", {"labels": label_names, "templates": templates}
        if fitted_head:
            head_settings = {"name": fitted_head.name, "identity": fitted_head.identity}
            score_name, settings = "score", {"labels": list(fitted_head.classes), "head": head_settings}
        if as_json:
            records = _build_records(classifications, score_name)
            print_json({"binding": binder.name, **settings, "files": records, "skipped": skipped})
        else:
            folder, names = split_common_folder([classification.id for classification in classifications])
            columns = ("file", "modality", "label", score_name, "probability")
            print_table(columns, _format_rows(names, classifications, top_k), title=folder)
    finally:
        skipped.report()


def _build_records(classifications: Sequence[Classification], score_name: str) -> list[dict[str, object]]:
    return [
        {
            "file": classification.id,
            "modality": classification.modality,
            "label": classification.label,
            "scores": [
                {"label": score.label, score_name: score.score, "probability": score.probability}
                for score in classification.scores
            ],
        }
        for classification in classifications
    ]


def _format_rows(
    names: Sequence[str], classifications: Sequence[Classification], top_k: int
) -> Iterator[tuple[str, ...]]:
    for name, classification in zip(names, classifications, strict=True):
        file = (name, classification.modality)
        for score in classification.scores[:top_k]:
            yield (*file, score.label, f"{score.score:.3f}", f"{100 * score.probability:.1f} %")
            file = ("", "")
