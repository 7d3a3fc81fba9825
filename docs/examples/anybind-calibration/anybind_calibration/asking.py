"""What both tasks do first: embed the samples and the words for their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anybind
import numpy as np
from anybind.dataset import Dataset
from anybind.errors import BadOption, OnBad
from anybind.prompts import class_embeddings

WITHOUT = 100.0
"""Factor of the softmax for towers that were made without one: CLIP's."""


@dataclass(frozen=True)
class Asked:
    """Cosines of n samples with the words for the classes.

    Attributes:
        similarity: (n, classes) float32.
        labels: of the samples, n.
        encoders: identities by modality.
        scale: factor of the softmax that the tower was made with.
    """

    similarity: np.ndarray
    labels: list[str]
    encoders: dict[str, str]
    scale: float


def ask(
    binder: anybind.Binder,
    dataset: Dataset,
    modality: str,
    classes: Sequence[str],
    templates: Sequence[str],
    seed: int,
    on_bad: OnBad | None,
) -> Asked:
    """Embed a data set's samples and compare each with the words for some classes.

    Raises:
        BadInput: there are no classes, or no sample that can be used and has a label.
    """
    if len(classes) < 2:
        raise anybind.BadInput(f"{dataset.name} has {len(classes)} classes to ask for; at least 2 are needed")
    words = class_embeddings(binder, "text", classes, templates)
    label_of = {item.id: item.label for item in dataset.items}
    labelled = [item for item in dataset.items if item.label]
    samples = binder.embed(modality, labelled, derive_seed=seed, on_bad=on_bad)
    if not len(samples):
        raise anybind.BadInput(f"{dataset.name} holds no samples with labels that can be used")
    return Asked(
        similarity=samples @ words,
        labels=[label_of[id] for id in samples.ids],
        encoders={modality: samples.encoder, "text": words.encoder},
        scale=float(samples.logit_scale or words.logit_scale or WITHOUT),
    )


def check_above(name: str, value: float | None, least: float = 0.0) -> None:
    """Raise `BadOption` unless an option is a number above `least`, or none."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and least < value < float("inf")
    if value is not None and not right:
        raise BadOption(f"{name} must be a number above {least:g}, got {value!r}")
