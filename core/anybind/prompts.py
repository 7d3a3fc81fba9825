"""Class names, prompts made of them, and their embeddings."""

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

    `modality` is that of text.
    """
    texts = [template.replace("{}", name) for name in names for template in templates]
    embeddings = binder.embed(modality, texts)
    means = embeddings.vectors.reshape(len(names), len(templates), -1).mean(axis=1)
    return replace(embeddings, vectors=normalize(means, "class embedding"), ids=tuple(names))


def format_class_name(folder: str) -> str:
    """Convert a folder name to a class name: `_` becomes a space, lower case, a leading `NNN - ` is dropped.

    >>> format_class_name("001 - Dog bark"), format_class_name("yin_yang")
    ('dog bark', 'yin yang')
    """
    return re.sub(r"^\d+ - ", "", folder).replace("_", " ").strip().lower()


def check_labels(labels: Iterable[str]) -> None:
    """Raise `BadOption` unless there are at least two labels and no duplicates."""
    counts = Counter(label.lower() for label in labels)
    duplicates = sorted(label for label, count in counts.items() if count > 1)
    if duplicates:
        raise BadOption(f"labels must differ; given twice: {', '.join(duplicates)}")
    if len(counts) < 2:
        raise BadOption(f"give at least two labels to choose from, got {', '.join(counts) or 'none'}")
