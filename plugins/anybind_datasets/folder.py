"""Datasets with one folder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from anybind.plugin import BadInput, BadOption, Dataset, Item, errors, prompts, readers, tables


class FolderDataset(Dataset):
    """One folder per class; class names are folder names as formatted by `prompts.format_class_name`."""

    licence = "as published with the data"
    options = ("names",)
    names: str | os.PathLike[str] | None = None
    """JSON file `{folder: class name}` that overrides some or all class names."""

    def class_names(self) -> Mapping[str, str]:
        self._folders = sorted(each for each in self.root.iterdir() if each.is_dir() and not each.name.startswith("."))
        if not self._folders:
            raise BadInput(f"{self.root}: no samples; expected one folder per class")
        return {path.name: prompts.format_class_name(path.name) for path in self._folders} | _load_class_names(
            self.names, self._folders
        )

    def scan(self, splits: Sequence[str]) -> Iterator[Item | BadInput]:
        for name in self.classes:
            if self.classes.count(name) > 1:
                raise BadOption(
                    f"{self.root}: two folders have the class name {name!r}; set distinct names by --class-names"
                )
        for folder in self._folders:
            if folder.name in self.selected_labels:
                for path in readers.list_samples(folder, self.modalities):
                    yield Item(self.make_id(path), path, self.class_by_label[folder.name])

    def resolve_class_name(self, text: str) -> str:
        """Return the class name of a folder name, a class name or another text."""
        return (
            text
            if text in self.class_by_label.values()
            else self.class_by_label.get(text, prompts.format_class_name(text))
        )


def _load_class_names(names: str | os.PathLike[str] | None, folders: Sequence[Path]) -> dict[str, str]:
    if names is None:
        return {}
    path = Path(names)
    class_names = tables.read_json(path)
    folder_names = {folder.name for folder in folders}
    if not isinstance(class_names, Mapping) or not all(isinstance(name, str) for name in class_names.values()):
        raise BadInput(f'{path}: expected class names by folder: {{"folder": "class name", ...}}')
    for folder in class_names:
        if folder not in folder_names:
            raise BadInput(f"{path}: unknown folder {folder!r}{errors.suggest_names(folder, folder_names)}")
    return dict(class_names)
