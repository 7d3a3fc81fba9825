"""Training of a classification head on frozen embeddings: the baseline for fine-tuning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from anybind import Binder, Result
from anybind.plugin import BadInput, BadOption, Head, HeadInput, errors, files
from anybind_train.data import LabelledItem, Sources, TrainingSet
from anybind_train.probe import build_probe
from anybind_train.recipe import Recipe
from anybind_train.run_files import describe_recipe
from anybind_train.student import load_student_binder

HEAD = "head.safetensors"


class LinearProbeRecord(TypedDict):
    """Training data, head, accuracy on `n` samples, recipe, left-out samples and versions, as in `result.json`."""

    recipe: str
    recipe_hash: str
    data_hash: str
    samples: int
    classes: int
    weights: str
    encoder: str
    top1: float
    n: int
    settings: dict[str, object]
    skipped: dict[str, str]
    versions: dict[str, str]


def train_linear_probe(
    recipe: Recipe,
    sources: Sources,
    output: Path,
    device: str,
    binder: Binder | None = None,
    on_bad: errors.OnBad | None = None,
    head: Head | None = None,
) -> LinearProbeRecord:
    """Fit a classification head on the student's embeddings, in its own space, and evaluate it on the probe's samples.

    Writes `head.safetensors` (see `Head.save`) and `result.json` into `output`.

    Args:
        recipe: the training data, the probe and the student.
        sources: the data folder that the recipe's paths are relative to, or datasets by `path`.
        output: the folder, created if missing.
        device: torch device of the encoders.
        binder: embeds the samples. [default: the recipe's binding with its student]
        on_bad: called with id and error of invalid samples, which are left out. [default: as the recipe's
            `skip_invalid`]
        head: a classification head. [default: the recipe's]

    Returns:
        `top1` accuracy on `n` samples, and the training data.

    Raises:
        BadInput: fewer than two classes, or no probe samples of them.
        BadOption: the recipe has no probe, or has augmentation or variants.
    """
    _check_recipe(recipe)
    head = head or _create_head(recipe)
    binder = (binder or load_student_binder(recipe, device)).without_adapters(recipe.modality)
    encoder = binder.encoder(recipe.modality)
    data = TrainingSet(recipe, binder, sources, encoder)
    probe = build_probe(recipe, sources, data.source_keys)
    assert probe is not None
    label_of = {name: label for label, name in enumerate(data.classes)}
    queries = [LabelledItem(each, label_of[each.label]) for each in probe.dataset.items if each.label in label_of]
    if len(data.classes) < 2 or not queries:
        counts = f"{len(data.classes)} classes and {len(queries)} samples"
        raise BadInput(f"a linear probe needs at least two classes and probe samples of them, got {counts}")
    inputs, labels = _embed_items(binder, recipe, data.items, on_bad or data.invalid.skip)
    present = np.unique(labels)  # `on_bad` may have left out all samples of a class, which is then never predicted
    head.prepare(binder)
    head.fit(inputs, np.searchsorted(present, labels), [data.classes[label] for label in present])
    inputs, truth = _embed_items(binder, recipe, queries, on_bad or probe.invalid.skip)
    if not len(truth):
        raise BadInput("a linear probe needs valid probe samples, got none")
    hits = present[head.score(inputs).argmax(axis=1)] == truth
    output.mkdir(parents=True, exist_ok=True)
    head.save(output / HEAD)
    result: LinearProbeRecord = {
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "data_hash": data.hash,
        "samples": len(labels),
        "classes": len(data.classes),
        "weights": str(output / HEAD),
        "encoder": encoder.identity,
        "top1": float(hits.mean()),
        "n": len(hits),
        "settings": describe_recipe(recipe),
        "skipped": data.invalid.reasons | probe.invalid.reasons,
        "versions": Result.list_versions(),
    }
    with files.atomic_path(output / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1))
    return result


def _check_recipe(recipe: Recipe) -> None:
    if recipe.probe is None:
        raise BadOption("a linear probe needs a table [probe]: the samples to evaluate it on")
    if recipe.augment or recipe.variants > 1:
        raise BadOption("a linear probe embeds each sample once: remove augment and variants")


def _create_head(recipe: Recipe) -> Head:
    """Create the recipe's classification head; raise `BadOption` if it is one of another target."""
    student = recipe.student
    penalty = {"inverse_penalty": student.inverse_penalty} if student.head == "linear-probe" else {}
    options = {"modality": recipe.modality, **penalty, **student.head_options}
    return Head.find(student.head, predicts="classification", **options)


def _embed_items(
    binder: Binder, recipe: Recipe, labelled: Sequence[LabelledItem], on_bad: errors.OnBad
) -> tuple[HeadInput, np.ndarray]:
    """Embed the valid samples: n rows, and their labels (n,)."""
    items = [entry.item for entry in labelled]
    embeddings = binder.embed(recipe.modality, items, derive_seed=recipe.seed, on_bad=on_bad)
    label_of = {entry.item.id: entry.label for entry in labelled}
    return HeadInput({embeddings.modality: embeddings}), np.array(
        [label_of[id] for id in embeddings.ids], dtype=np.int64
    )
