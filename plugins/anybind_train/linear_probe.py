"""A linear classifier on frozen vectors: what fine-tuning has to beat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from anybind import Binder
from anybind.plugin import BadInput, BadOption, Item, errors, files
from anybind_train.data import Sources, TrainingSet
from anybind_train.probe import probe_of, source_key
from anybind_train.recipe import Recipe
from anybind_train.student import student_binder

HEAD = "head.safetensors"


def linear_probe(
    recipe: Recipe,
    sources: Sources,
    output: Path,
    device: str,
    binder: Binder | None = None,
    on_bad: errors.OnBad | None = None,
) -> dict[str, Any]:
    """Fit a logistic regression on the student's vectors, in its own space, and ask it about the probe's samples.

    Writes `head.safetensors` (`weight` (classes, d), `bias` (classes,)) and `result.json` into `output`.

    Args:
        recipe: what to do.
        sources: the data folder that the recipe's paths lie below, or data sets that are made already.
        output: the folder, made if it is not there.
        device: where towers run, as torch names it.
        binder: what embeds; made of the recipe's binding and its student if left out.
        on_bad: told of samples that cannot be used, which are then left out; without it the first raises.

    Raises:
        BadInput: fewer than two classes, or the probe's samples are of others.
        BadOption: the recipe has no probe, or an augmentation, which such a fit has no use for.
    """
    if recipe.probe is None:
        raise BadOption("a linear probe needs a [probe]: the samples that it is asked about")
    if recipe.augment or recipe.variants > 1:
        raise BadOption("a linear probe sees each sample once: leave out augment and variants")
    binder = (binder or student_binder(recipe, device)).in_own_space(recipe.modality)
    tower = binder.encoder(recipe.modality)
    data = TrainingSet(recipe, binder, sources, tower)
    question = probe_of(recipe, sources, {source_key(pair.item) for pair in data.pairs})
    assert question is not None
    numbers = {name: number for number, name in enumerate(data.classes)}
    asked = [item for item in question.dataset.items if item.label in numbers]
    if len(data.classes) < 2 or not asked:
        raise BadInput("a linear probe needs two classes or more, and a probe that asks about samples of them")
    vectors, labels = _embed(binder, recipe, [(pair.item, pair.label) for pair in data.pairs], on_bad)
    with threadpool_limits(1):  # so small a problem is solved far sooner than threads agree about it
        fitted = LogisticRegression(C=recipe.student.inverse_penalty, max_iter=2000).fit(vectors, labels)
    vectors, truth = _embed(binder, recipe, [(item, numbers[item.label]) for item in asked], on_bad)
    hits = fitted.predict(vectors) == truth
    output.mkdir(parents=True, exist_ok=True)
    head = {"weight": fitted.coef_.astype(np.float32), "bias": fitted.intercept_.astype(np.float32)}
    with files.atomic_path(output / HEAD) as temporary:
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
    with files.atomic_path(output / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1))
    return result


def _embed(
    binder: Binder, recipe: Recipe, labelled: Sequence[tuple[Item, int]], on_bad: errors.OnBad | None
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, d) and labels (n,) of the samples that can be used."""
    items = [item for item, _ in labelled]
    found = binder.embed(recipe.modality, items, derive_seed=recipe.seed, on_bad=on_bad)
    label_of = {item.id: label for item, label in labelled}
    return found.vectors, np.array([label_of[id] for id in found.ids])
