"""Class names, prompts made of them, and their embeddings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from anybind.binder import Binder
from anybind.definitions import find_definitions
from anybind.embeddings import Embeddings, normalize
from anybind.errors import BadOption

DEFAULT_TEMPLATES = ("a photo of a {}",)
"""The prompt of CLIP, and of the paper."""
DEFINITION_TEMPLATES = ("a photo of a {}", "a photo of a {}, {definition}")
"""Prompts with WordNet's definitions of the class name: a text encoder that was not trained with images places many
names by their spelling."""


def choose_templates(binder: Binder, modality: str, templates: Iterable[str] | None) -> tuple[str, ...]:
    """Return the given templates, or without any the default of the encoder for text, whose modality is `modality`.

    Raises:
        BadOption: see `check_templates`.
    """
    if templates is None:
        return binder.encoder(modality).prompt_templates or DEFAULT_TEMPLATES
    return check_templates([templates] if isinstance(templates, str) else templates)


def format_prompts(template: str, name: str) -> list[str]:
    """Format the prompts of a class name: one, or with `{definition}` one for each of its definitions in WordNet.

    Without a definition the prompt ends before it.

    >>> format_prompts("a {}, {definition}", "okapi")
    ['a okapi, similar to the giraffe but smaller with much shorter neck and stripe on the legs']
    >>> format_prompts("a {} ({definition}), blurred", "blue okapi")
    ['a blue okapi, blurred']
    """
    named = template.replace("{}", name)
    if "{definition}" not in template:
        return [named]
    definitions = find_definitions(name)
    if not definitions:
        return [re.sub(r"[\s,;:(-]*\{definition\}\)?", "", named)]
    return [named.replace("{definition}", definition) for definition in definitions]


def check_templates(templates: Iterable[str]) -> tuple[str, ...]:
    """Return the templates; raise `BadOption` if there is none or one has no `{}`."""
    templates = tuple(templates)
    for template in templates:
        if "{}" not in template:
            raise BadOption(f"the template {template!r} needs {{}} where the class name goes")
    if not templates:
        raise BadOption("give at least one template")
    return templates


def embed_class_names(binder: Binder, modality: str, names: Sequence[str], templates: Sequence[str]) -> Embeddings:
    """Embed classes, (len(names), d): the mean over templates of unit vectors, again of norm 1.

    The vector of a template with `{definition}` is the normalised mean over the name's definitions. `modality` is that
    of text.
    """
    groups = [format_prompts(template, name) for name in names for template in templates]
    distinct = list(dict.fromkeys(text for texts in groups for text in texts))
    embeddings = binder.embed(modality, distinct)
    rows = dict(zip(distinct, embeddings.vectors, strict=True))
    means = np.stack([np.mean([rows[text] for text in texts], axis=0) for texts in groups])
    means = normalize(means, "prompt embedding").reshape(len(names), len(templates), -1).mean(axis=1)
    return replace(embeddings, vectors=normalize(means, "class embedding"), ids=tuple(names))


def format_class_name(folder: str) -> str:
    """Convert a folder name to a class name: `_` becomes a space, lower case, a leading `NNN - ` is dropped.

    >>> format_class_name("001 - Dog bark"), format_class_name("yin_yang")
    ('dog bark', 'yin yang')
    """
    return re.sub(r"^\d+ - ", "", folder).replace("_", " ").strip().lower()


def list_labels(labels: object) -> tuple[str, ...]:
    """Return labels as a tuple; a single one becomes a tuple of one, and None has none.

    Raises:
        BadOption: one of them is not a text, or they are a mapping.
    """
    if labels is None or isinstance(labels, str):
        return () if labels is None else (labels,)
    listed = tuple(labels) if isinstance(labels, Iterable) and not isinstance(labels, Mapping) else (labels,)
    for label in listed:
        if not isinstance(label, str):
            raise BadOption(f"labels: expected texts, got {label!r}")
    return tuple(map(str, listed))  # of NumPy's strings


def check_labels(labels: Iterable[str]) -> None:
    """Raise `BadOption` unless there are at least two labels and no duplicates."""
    counts = Counter(label.lower() for label in labels)
    duplicates = sorted(label for label, count in counts.items() if count > 1)
    if duplicates:
        raise BadOption(f"labels must differ; given twice: {', '.join(duplicates)}")
    if len(counts) < 2:
        raise BadOption(f"give at least two labels to choose from, got {', '.join(counts) or 'none'}")
