"""Class names as users give them, put into prompts, and their embeddings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from anybind.binder import Binder
from anybind.embeddings import Embeddings, normalize
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


def embed_class_names(binder: Binder, modality: str, names: Sequence[str], templates: Sequence[str]) -> Embeddings:
    """One embedding a class, (len(names), d): the mean over templates of unit vectors, again of norm 1.

    `of` is the modality of words.
    """
    sentences = [template.replace("{}", name) for name in names for template in templates]
    embedded = binder.embed(modality, sentences)
    means = embedded.vectors.reshape(len(names), len(templates), -1).mean(axis=1)
    return replace(embedded, vectors=normalize(means, "class embedding"), ids=tuple(names))


def format_class_name(folder: str) -> str:
    """The class that a folder is named after: `_` a space, lower case, a leading `NNN - ` dropped.

    >>> class_name("001 - Dog bark"), class_name("yin_yang")
    ('dog bark', 'yin yang')
    """
    return re.sub(r"^\d+ - ", "", folder).replace("_", " ").strip().lower()


def check_labels(labels: Iterable[str]) -> None:
    """Raise `BadOption` unless there are at least two labels and no doubles."""
    counts = Counter(label.lower() for label in labels)
    doubles = sorted(label for label, count in counts.items() if count > 1)
    if doubles:
        raise BadOption(f"labels must differ; given twice: {', '.join(doubles)}")
    if len(counts) < 2:
        raise BadOption(f"give at least two labels to choose from, got {', '.join(counts) or 'none'}")
