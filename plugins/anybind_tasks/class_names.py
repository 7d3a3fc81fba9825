"""Class names and label lists, as users give them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from anybind import BadOption


def class_name(folder: str) -> str:
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
