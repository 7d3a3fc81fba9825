"""A linear classifier on frozen vectors: what fine-tuning has to beat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

from anybind import BadInput, BadOption, Binder, Embeddings, Tower, atomic_path
from anybind_train.data import TrainingSet
from anybind_train.probe import probe_of, source_key
from anybind_train.recipe import Recipe
from anybind_train.student import student_binder

HEAD = "head.safetensors"


def linear_probe(recipe: Recipe, folder: Path, output: Path, device: str) -> dict[str, Any]:
    """Fit a logistic regression on the student's vectors, in its own space, and ask it about the probe's samples.

    Writes `head.safetensors` (`weight` (classes, d), `bias` (classes,)) and `result.json` into `output`.

    Raises:
        BadInput: fewer than two classes, or the probe's samples are of others.
        BadOption: the recipe has no probe, or an augmentation, which such a fit has no use for.
    """
    if recipe.probe is None:
        raise BadOption("a linear probe needs a [probe]: the samples that it is asked about")
    if recipe.augment or recipe.variants > 1:
        raise BadOption("a linear probe sees each sample once: leave out augment and variants")
    binder = student_binder(recipe, device).in_own_space(recipe.modality)
    tower = binder.encoder(recipe.modality)
    assert isinstance(tower, Tower)
    data = TrainingSet(recipe, binder, folder, tower)
    question = probe_of(recipe, folder, {source_key(pair.item) for pair in data.pairs})
    assert question is not None
    numbers = {name: number for number, name in enumerate(data.classes)}
    asked = [item for item in question.dataset.items if item.label in numbers]
    if len(data.classes) < 2 or not asked:
        raise BadInput("a linear probe needs two classes or more, and a probe that asks about samples of them")
    labels = np.array([pair.label for pair in data.pairs])
    vectors = _embed(binder, recipe, [pair.item for pair in data.pairs])
    fitted = LogisticRegression(C=recipe.student.inverse_penalty, max_iter=2000).fit(vectors.vectors, labels)
    truth = np.array([numbers[item.label] for item in asked])
    hits = fitted.predict(_embed(binder, recipe, asked).vectors) == truth
    output.mkdir(parents=True, exist_ok=True)
    head = {"weight": fitted.coef_.astype(np.float32), "bias": fitted.intercept_.astype(np.float32)}
    with atomic_path(output / HEAD) as temporary:
        card = {"encoder": tower.identity, "space": vars(tower.space), "classes": data.classes}
        save_file(head, temporary, metadata={"anybind": json.dumps(card)})
    result = {
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "data_hash": data.hash,
        "samples": len(labels),
        "classes": len(data.classes),
        "epochs": 0,
        "steps": 0,
        "weights": str(output / HEAD),
        "encoder": tower.identity,
        "probes": [{"epoch": 1, "top1": float(hits.mean()), "n": len(hits)}],
    }
    with atomic_path(output / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1))
    return result


def _embed(binder: Binder, recipe: Recipe, items: Any) -> Embeddings:
    return binder.embed(recipe.modality, items, derive_seed=recipe.seed)
