"""Data sets that are folders: one folder a class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from anybind.plugin import BadInput, BadOption, Dataset, Item, errors, prompts, readers, tables


class FolderDataset(Dataset):
    """One folder a class, named by it; see `class_name` for how a folder's name becomes a class name."""

    licence = "as published with the data"
    options = ("names",)
    names: str | os.PathLike[str] | None = None
    """A JSON file `{folder: class name}` that overrides some or all class names."""

    def class_names(self) -> Mapping[str, str]:
        self._folders = sorted(each for each in self.root.iterdir() if each.is_dir() and not each.name.startswith("."))
        if not self._folders:
            raise BadInput(f"{self.root} holds no samples: it must have one folder a class")
        return {path.name: prompts.format_class_name(path.name) for path in self._folders} | _overrides(
            self.names, self._folders
        )

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for name in self.classes:
            if self.classes.count(name) > 1:
                raise BadOption(f"{self.root} has two folders of the class {name!r}; tell them apart with --classnames")
        for folder in self._folders:
            if folder.name in self.selected_labels:
                for path in readers.list_samples(folder, self.modalities):
                    yield Item(self.make_id(path), path, self.class_by_label[folder.name])

    def resolve_class_name(self, text: str) -> str:
        """The class that a folder's name, a class name, or any other text means."""
        return (
            text
            if text in self.class_by_label.values()
            else self.class_by_label.get(text, prompts.format_class_name(text))
        )


def _overrides(names: str | os.PathLike[str] | None, folders: Sequence[Path]) -> dict[str, str]:
    if names is None:
        return {}
    path = Path(names)
    held = tables.read_json(path)
    known = {folder.name for folder in folders}
    if not isinstance(held, Mapping) or not all(isinstance(name, str) for name in held.values()):
        raise BadInput(f'{path} must hold class names by folder: {{"folder": "class name", ...}}')
    for folder in held:
        if folder not in known:
            raise BadInput(f"{path} names a folder {folder!r} that is not there{errors.suggest_names(folder, known)}")
    return dict(held)
