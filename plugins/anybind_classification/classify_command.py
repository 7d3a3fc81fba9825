"""`anybind classify`: which of some labels fits each file best."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from anybind import Embeddings, load
from anybind.commandline import AsJson, BindingName, Device, Seed, SkipBad, Skipped, print_json, print_table
from anybind.plugin import BadInput, files, prompts, readers, tables


def classify(
    paths: Annotated[list[Path], typer.Argument(help="Recordings or pictures, or folders of them.")],
    labels: Annotated[str, typer.Option(help='Labels separated by commas, or a file: "a duck,a kettle".')],
    binding: BindingName = "mini",
    modality: Annotated[str, typer.Option(help="Embed all files as this; pictures become recordings as event.")] = "",
    template: Annotated[list[str] | None, typer.Option(help="Sentence with {} for the label; repeatable.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many labels to print for each file.")] = 3,
    seed: Seed = 0,
    device: Device = "cpu",
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Say which of some labels fits each recording or picture best."""
    names = tables.read_names(labels)
    prompts.check_labels(names)
    templates = prompts.check_templates(template or prompts.DEFAULT_TEMPLATES)
    binder = load(binding, device=device)
    skipped = Skipped()
    on_bad = skipped.note if skip_bad else None
    found = readers.sample_files(paths, [name for name in binder.modalities if name != "text"])
    groups = {modality: found} if modality else readers.by_modality(found, binder.modalities, on_bad)
    words = prompts.class_embeddings(binder, "text", names, templates)
    rows = [
        row
        for of, group in groups.items()
        for row in _answers(binder.embed(of, group, derive_seed=seed if modality else None, on_bad=on_bad), words)
    ]
    order = {files.name_of_path(path): position for position, path in enumerate(found)}
    rows.sort(key=lambda row: order[row["file"]])
    if not rows:
        skipped.report()
        raise BadInput("no file could be classified")
    if as_json:
        print_json({"binding": binder.name, "labels": names, "prompts": templates, "files": rows, "skipped": skipped})
    else:
        print_table(("file", "modality", "label", "cosine", "share"), _table(rows, top))
    skipped.report()


def _answers(samples: Embeddings, words: Embeddings) -> list[dict[str, Any]]:
    """For each sample: labels with cosine similarity and softmax share, best first."""
    cosines = samples @ words
    scale = samples.logit_scale or words.logit_scale or 1.0
    shares = np.exp(scale * (cosines - cosines.max(axis=1, keepdims=True)))
    shares /= shares.sum(axis=1, keepdims=True)
    return [
        {
            "file": id,
            "modality": samples.modality,
            "best": words.ids[int(np.argmax(cosines[row]))],
            "scores": [
                {"label": words.ids[i], "cosine": float(cosines[row, i]), "share": float(shares[row, i])}
                for i in np.argsort(-cosines[row], kind="stable")
            ],
        }
        for row, id in enumerate(samples.ids)
    ]


def _table(rows: list[dict[str, Any]], top: int) -> list[tuple[str, ...]]:
    return [
        (
            row["file"] if rank == 0 else "",
            row["modality"] if rank == 0 else "",
            score["label"],
            f"{score['cosine']:.3f}",
            f"{100 * score['share']:.1f} %",
        )
        for row in rows
        for rank, score in enumerate(row["scores"][:top])
    ]
