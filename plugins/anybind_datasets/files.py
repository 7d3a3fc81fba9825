"""Data sets that are files in one folder, whose names may say their classes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from anybind.plugin import BadInput, BadOption, Dataset, Item, prompts, readers


class FilesDataset(Dataset):
    """The files in and below one folder: without labels, or with labels that a pattern finds in their names.

    A `limit` keeps the first files by name.
    """

    licence = "as published with the data"
    options = ("pattern",)
    pattern: str | None = None
    r"""A regular expression with one group, found in a file's name without its ending: the group is the class, as
    `n\d+_(.*)` for `n01440764_tench.jpg`. Underlines become spaces."""

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        pattern = _compiled(self.pattern)
        for path in readers.list_samples(self.root, self.modalities):
            found = pattern.search(path.stem) if pattern else None
            if pattern and not (found and found[1]):
                raise BadInput(f"{path}: its name does not fit the pattern {self.pattern!r}")
            yield Item(self.make_id(path), path, prompts.format_class_name(found[1]) if found else "")

    def select(self, items: Sequence[Item], limit: int | None) -> list[Item]:
        return list(items[:limit])

    def resolve_class_name(self, text: str) -> str:
        """The class that a text means, underlines being spaces."""
        return prompts.format_class_name(text)


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadOption(f"the pattern {pattern!r} is no regular expression: {error}") from error
    if compiled.groups != 1:
        raise BadOption(f"the pattern {pattern!r} must have one group, in round brackets: the class")
    return compiled
