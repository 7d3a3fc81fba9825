"""Datasets of files in one folder, optionally labelled by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from anybind.plugin import BadInput, BadOption, Dataset, Item, prompts, readers


class FilesDataset(Dataset):
    """The files below one folder, unlabelled or labelled by a pattern on their names; `limit` keeps the first ones."""

    licence = "as published with the data"
    options = ("pattern",)
    pattern: str | None = None
    r"""Regular expression with one group, the class, matched in a file's name without suffix, such as `n\d+_(.*)` for
    `n01440764_tench.jpg`. Underscores become spaces."""

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        pattern = _compile_pattern(self.pattern)
        for path in readers.list_samples(self.root, self.modalities):
            match = pattern.search(path.stem) if pattern else None
            if pattern and not (match and match[1]):
                raise BadInput(f"{path}: the file name does not match the pattern {self.pattern!r}")
            yield Item(self.make_id(path), path, prompts.format_class_name(match[1]) if match else "")

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        return list(items[:limit])

    def resolve_class_name(self, text: str) -> str:
        """Return the class name of a text, with spaces for underscores."""
        return prompts.format_class_name(text)


def _compile_pattern(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadOption(f"pattern: {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups != 1:
        raise BadOption(f"pattern: expected one group in round brackets, the class, got {pattern!r}")
    return compiled
