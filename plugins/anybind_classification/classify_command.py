"""`anybind classify`: which of some labels, or of the classes of a head, fits each file best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from anybind import Binder, Embeddings, load
from anybind.commandline import (
    AsJson,
    BindingName,
    Device,
    Seed,
    SkipBad,
    Skipped,
    StoreFlag,
    open_store,
    print_json,
    print_table,
)
from anybind.plugin import BadInput, BadOption, HeadInput, files, find_head, prompts, readers, tables


def classify(
    paths: Annotated[list[Path], typer.Argument(help="Recordings or pictures, or folders of them.")],
    labels: Annotated[str, typer.Option(help='Labels separated by commas, or a file: "a duck,a kettle".')] = "",
    head: Annotated[str, typer.Option(help="File of a classification head (.safetensors), in place of --labels.")] = "",
    binding: BindingName = "mini",
    modality: Annotated[str, typer.Option(help="Embed all files as this; pictures become recordings as event.")] = "",
    template: Annotated[list[str] | None, typer.Option(help="Sentence with {} for the label; repeatable.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many labels to print for each file.")] = 3,
    seed: Seed = 0,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Classify files by text labels (zero-shot), or by a fitted head."""
    if bool(labels) == bool(head) or (head and template):
        raise BadOption("give either --labels (and --template), or --head")
    binder = load(binding, device=device, store=open_store(store))
    answers, about = _by_head(binder, head) if head else _by_labels(binder, labels, template)
    skipped = Skipped()
    on_bad = skipped.note if skip_bad else None
    found = readers.sample_files(paths, [name for name in binder.modalities if name != "text"])
    groups = {modality: found} if modality else readers.by_modality(found, binder.modalities, on_bad)
    rows = [
        row
        for of, group in groups.items()
        for row in answers(binder.embed(of, group, derive_seed=seed if modality else None, on_bad=on_bad))
    ]
    order = {files.name_of_path(path): position for position, path in enumerate(found)}
    rows.sort(key=lambda row: order[row["file"]])
    if not rows:
        skipped.report()
        raise BadInput("no file could be classified")
    if as_json:
        print_json({"binding": binder.name, **about, "files": rows, "skipped": skipped})
    else:
        unit = "score" if head else "cosine"
        print_table(("file", "modality", "label", unit, "share"), _table(rows, top, unit))
    skipped.report()


Answers = Callable[[Embeddings], list[dict[str, Any]]]
"""For each sample: labels with their scores and softmax shares, best first."""


def _by_labels(binder: Binder, labels: str, template: list[str] | None) -> tuple[Answers, dict[str, Any]]:
    """Zero-shot answers: cosine similarities with text labels; and what was compared."""
    names = tables.read_names(labels)
    prompts.check_labels(names)
    templates = prompts.check_templates(template or prompts.DEFAULT_TEMPLATES)
    words = prompts.class_embeddings(binder, "text", names, templates)

    def answers(samples: Embeddings) -> list[dict[str, Any]]:
        return _ranked(samples, names, "cosine", samples @ words, samples.logit_scale or words.logit_scale or 1.0)

    return answers, {"labels": names, "prompts": templates}


def _by_head(binder: Binder, source: str) -> tuple[Answers, dict[str, Any]]:
    """Answers of a classification head: its logits; and which head it is."""
    head = find_head(source, predicts="classification")
    head.prepare(binder)

    def answers(samples: Embeddings) -> list[dict[str, Any]]:
        return _ranked(samples, head.classes, "score", head.score(HeadInput({samples.modality: samples})), 1.0)

    return answers, {"labels": list(head.classes), "head": {"name": head.name, "identity": head.identity}}


def _ranked(
    samples: Embeddings, names: Sequence[str], unit: str, scores: np.ndarray, scale: float
) -> list[dict[str, Any]]:
    shares = np.exp(scale * (scores - scores.max(axis=1, keepdims=True)))
    shares /= shares.sum(axis=1, keepdims=True)
    return [
        {
            "file": id,
            "modality": samples.modality,
            "best": names[int(np.argmax(scores[row]))],
            "scores": [
                {"label": names[i], unit: float(scores[row, i]), "share": float(shares[row, i])}
                for i in np.argsort(-scores[row], kind="stable")
            ],
        }
        for row, id in enumerate(samples.ids)
    ]


def _table(rows: list[dict[str, Any]], top: int, unit: str) -> list[tuple[str, ...]]:
    return [
        (
            row["file"] if rank == 0 else "",
            row["modality"] if rank == 0 else "",
            score["label"],
            f"{score[unit]:.3f}",
            f"{100 * score['share']:.1f} %",
        )
        for row in rows
        for rank, score in enumerate(row["scores"][:top])
    ]
