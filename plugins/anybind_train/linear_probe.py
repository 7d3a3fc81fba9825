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
from anybind_train.probe import probe_of, source_key
from anybind_train.recipe import Recipe
from anybind_train.student import student_binder

HEAD = "head.safetensors"


class ProbeRecord(TypedDict):
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


def linear_probe(
    recipe: Recipe,
    sources: Sources,
    output: Path,
    device: str,
    binder: Binder | None = None,
    on_bad: errors.OnBad | None = None,
    head: Head | None = None,
) -> ProbeRecord:
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
    binder = (binder or student_binder(recipe, device)).without_adapters(recipe.modality)
    tower = binder.encoder(recipe.modality)
    data = TrainingSet(recipe, binder, sources, tower)
    probe = probe_of(recipe, sources, {source_key(pair.item) for pair in data.pairs})
    assert probe is not None
    numbers = {name: number for number, name in enumerate(data.classes)}
    queries = [item for item in probe.dataset.items if item.label in numbers]
    if len(data.classes) < 2 or not queries:
        raise BadInput("a linear probe needs two classes or more, and probe samples of them")
    samples, labels = _embed(binder, recipe, [(pair.item, pair.label) for pair in data.pairs], on_bad)
    present = np.unique(labels)  # `on_bad` may have left out all samples of a class, which is then never predicted
    head.prepare(binder)
    head.fit(_input(samples), np.searchsorted(present, labels), [data.classes[number] for number in present])
    samples, truth = _embed(binder, recipe, [(item, numbers[item.label]) for item in queries], on_bad)
    if not len(samples):
        raise BadInput("a linear probe needs probe samples that can be used, got none")
    hits = present[head.score(_input(samples)).argmax(axis=1)] == truth
    output.mkdir(parents=True, exist_ok=True)
    head.save(output / HEAD)
    result: ProbeRecord = {
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "data_hash": data.hash,
        "samples": len(labels),
        "classes": len(data.classes),
        "weights": str(output / HEAD),
        "encoder": tower.identity,
        "top1": float(hits.mean()),
        "n": len(hits),
    }
    with files.atomic_path(output / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1))
    return result


def _input(samples: Embeddings) -> HeadInput:
    return HeadInput({samples.modality: samples})


def _embed(
    binder: Binder, recipe: Recipe, labelled: Sequence[tuple[Item, int]], on_bad: errors.OnBad | None
) -> tuple[Embeddings, np.ndarray]:
    """Embed the samples that can be used: n rows, and their labels (n,)."""
    items = [item for item, _ in labelled]
    found = binder.embed(recipe.modality, items, derive_seed=recipe.seed, on_bad=on_bad)
    label_of = {item.id: label for item, label in labelled}
    return found, np.array([label_of[id] for id in found.ids], dtype=np.int64)
