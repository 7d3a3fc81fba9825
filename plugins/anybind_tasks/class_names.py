"""Class names and label lists, as users give them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from anybind import BadInput, BadOption

LISTS = (".json", ".txt", ".csv", ".lst", ".names")
"""Endings of files of names; a text that ends so is one, even where the file is missing."""


def class_name(folder: str) -> str:
    """The class that a folder is named after: `_` a space, lower case, a leading `NNN - ` dropped.

    >>> class_name("001 - Dog bark"), class_name("yin_yang")
    ('dog bark', 'yin yang')
    """
    return re.sub(r"^\d+ - ", "", folder).replace("_", " ").strip().lower()


def read_names(text: str) -> list[str]:
    """Names separated by commas, or from a file: one a line, a JSON list, or `FILE.json:KEY` for a list inside.

    Raises:
        BadInput: the file cannot be read, or holds no such list.
        BadOption: no names are given.
    """
    file, _, key = text.rpartition(":") if ".json:" in text else (text, "", "")
    path = Path(file)
    looks_like_a_file = path.suffix.lower() in LISTS or "/" in text or (len(text) < 256 and path.is_file())
    if path.suffix.lower() in (".json", ".txt") or ("," not in text and looks_like_a_file):
        names = _names_in_file(path, key)
    else:
        names = text.split(",")
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise BadOption(f"{text!r} holds no names; separate them by commas, or give a file with one a line")
    return names


def _names_in_file(path: Path, key: str) -> Sequence[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows put a mark in front
        if path.suffix.lower() != ".json":
            return text.splitlines()
        held = json.loads(text)
        names = held[key] if key else held
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no UTF-8 text: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} holds no list {key!r} of names: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        lists = [name for name, value in held.items() if isinstance(value, list)] if isinstance(held, dict) else []
        hint = f"; say which list, as {path}:{lists[0]}" if lists else ""
        raise BadInput(f"{path} holds no list of names{hint}")
    return names


def check_labels(labels: Iterable[str]) -> None:
    """Raise `BadOption` unless there are at least two labels and no doubles."""
    counts = Counter(label.lower() for label in labels)
    doubles = sorted(label for label, count in counts.items() if count > 1)
    if doubles:
        raise BadOption(f"labels must differ; given twice: {', '.join(doubles)}")
    if len(counts) < 2:
        raise BadOption(f"give at least two labels to choose from, got {', '.join(counts) or 'none'}")
