"""Training of a classification head on frozen embeddings: the baseline that fine-tuning has to beat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from anybind import Binder, Embeddings
from anybind.plugin import BadInput, BadOption, Head, HeadInput, Item, errors, files
from anybind_train.data import Sources, TrainingSet
from anybind_train.probe import build_probe, get_source_key
from anybind_train.recipe import Recipe
from anybind_train.student import load_student_binder

HEAD = "head.safetensors"


class LinearProbeRecord(TypedDict):
    """What was trained on what, and the accuracy on `n` samples, as `result.json` holds it."""

    recipe: str
    recipe_hash: str
    data_hash: str
    samples: int
    classes: int
    weights: str
    encoder: str
    top1: float
    n: int


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
        sources: the data folder that the recipe's paths lie below, or datasets by name.
        output: the folder, made if missing.
        device: torch device of the encoders.
        binder: embeds the samples. [default: the recipe's binding with its student]
        on_bad: called with the id and the error of samples that cannot be used, which are then left out; by default
            the first such sample raises.
        head: a classification head. [default: `linear-probe` with the recipe's penalty]

    Returns:
        `top1` accuracy on `n` samples, and what was trained on what, JSON-like.

    Raises:
        BadInput: fewer than two classes, or no probe samples of them.
        BadOption: the recipe has no probe, or an augmentation, which this method does not support.
    """
    if recipe.probe is None:
        raise BadOption("a linear probe needs a [probe]: the samples to evaluate it on")
    if recipe.augment or recipe.variants > 1:
        raise BadOption("a linear probe reads each sample once: leave out augment and variants")
    head = head or Head.find("linear-probe", modality=recipe.modality, inverse_penalty=recipe.student.inverse_penalty)
    binder = (binder or load_student_binder(recipe, device)).without_adapters(recipe.modality)
    encoder = binder.encoder(recipe.modality)
    data = TrainingSet(recipe, binder, sources, encoder)
    probe = build_probe(recipe, sources, {get_source_key(pair.item) for pair in data.items})
    assert probe is not None
    numbers = {name: number for number, name in enumerate(data.classes)}
    queries = [item for item in probe.dataset.items if item.label in numbers]
    if len(data.classes) < 2 or not queries:
        raise BadInput("a linear probe needs two classes or more, and probe samples of them")
    samples, labels = _embed_items(binder, recipe, [(pair.item, pair.label) for pair in data.items], on_bad)
    present = np.unique(labels)  # `on_bad` may have left out all samples of a class, which is then never predicted
    head.prepare(binder)
    head.fit(_make_head_input(samples), np.searchsorted(present, labels), [data.classes[number] for number in present])
    samples, truth = _embed_items(binder, recipe, [(item, numbers[item.label]) for item in queries], on_bad)
    if not len(samples):
        raise BadInput("a linear probe needs probe samples that can be used, got none")
    hits = present[head.score(_make_head_input(samples)).argmax(axis=1)] == truth
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
    }
    with files.atomic_path(output / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1))
    return result


def _make_head_input(samples: Embeddings) -> HeadInput:
    return HeadInput({samples.modality: samples})


def _embed_items(
    binder: Binder, recipe: Recipe, labelled: Sequence[tuple[Item, int]], on_bad: errors.OnBad | None
) -> tuple[Embeddings, np.ndarray]:
    """Embed the samples that can be used: n rows, and their labels (n,)."""
    items = [item for item, _ in labelled]
    embeddings = binder.embed(recipe.modality, items, derive_seed=recipe.seed, on_bad=on_bad)
    label_of = {item.id: label for item, label in labelled}
    return embeddings, np.array([label_of[id] for id in embeddings.ids], dtype=np.int64)
