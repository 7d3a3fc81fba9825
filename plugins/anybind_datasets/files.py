"""Data sets that are files in one folder, whose names may say their classes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from anybind.plugin import BadInput, BadOption, Dataset, Item, errors, files, prompts, readers


class FilesDataset(Dataset):
    """The files in and below one folder: without labels, or with labels that a pattern finds in their names."""

    licence = "as published with the data"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        pattern: str | None = None,
        classes: Iterable[str] | None = None,
        limit: int | None = None,
    ) -> None:
        r"""List the samples; nothing but their names is read.

        Args:
            folder: the folder.
            modalities: what kinds of file count as samples, all that can be read by default.
            pattern: a regular expression with one group, found in a file's name without its ending: the group is
                the class, as `n\d+_(.*)` for `n01440764_tench.jpg`. Underlines become spaces.
            classes: keep only the files of these.
            limit: keep this many, first names first.

        Raises:
            BadInput: the folder is missing or holds no samples, or a file's name does not fit the pattern.
            BadOption: the pattern is no regular expression with one group, or no file is of a class asked for.
        """
        root = Path(folder)
        self.name = root.resolve().name
        find = _compiled(pattern)
        self._items: list[Item] = []
        for path in readers.list_samples(root, modalities):
            found = find.search(path.stem) if find else None
            if find and not (found and found[1]):
                raise BadInput(f"{path}: its name does not fit the pattern {pattern!r}")
            label = prompts.class_name(found[1]) if found else ""
            self._items.append(Item(id=files.name_of_path(path.relative_to(root)), source=path, label=label))
        self._all_classes = sorted({item.label for item in self._items} - {""})
        self._classes = self._all_classes
        if classes is not None:
            wanted = {prompts.class_name(name) for name in classes}
            for name in sorted(wanted - set(self._all_classes)):
                raise BadOption(f"{root}: no file is of the class {name!r}{errors.nearest(name, self._all_classes)}")
            self._classes = [name for name in self._all_classes if name in wanted]
            self._items = [item for item in self._items if item.label in wanted]
        if limit is not None:
            if limit < 1:
                raise BadOption(f"the limit must be at least 1, got {limit}")
            self._items = self._items[:limit]

    @property
    def items(self) -> Sequence[Item]:
        return self._items

    @property
    def classes(self) -> Sequence[str]:
        return self._classes

    @property
    def all_classes(self) -> Sequence[str]:
        """The classes of all files, kept or not."""
        return self._all_classes


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
