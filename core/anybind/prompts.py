"""Class names put into words, and their embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from anybind.binder import Binder
from anybind.embeddings import Embeddings, unit
from anybind.errors import BadOption

DEFAULT_TEMPLATES = ("a photo of a {}",)
"""The prompt of CLIP, and of the paper."""


def check_templates(templates: Iterable[str]) -> tuple[str, ...]:
    """The templates, or `BadOption` when there is none or one has no place for the class name."""
    templates = tuple(templates)
    for template in templates:
        if "{}" not in template:
            raise BadOption(f"the template {template!r} needs {{}} where the class name goes")
    if not templates:
        raise BadOption("give at least one template")
    return templates


def class_embeddings(binder: Binder, of: str, names: Sequence[str], templates: Sequence[str]) -> Embeddings:
    """One embedding a class, (len(names), d): the mean over templates of unit vectors, again of norm 1.

    `of` is the modality of words.
    """
    sentences = [template.replace("{}", name) for name in names for template in templates]
    embedded = binder.embed(of, sentences)
    means = embedded.vectors.reshape(len(names), len(templates), -1).mean(axis=1)
    return replace(embedded, vectors=unit(means, "class embedding"), ids=tuple(names))
