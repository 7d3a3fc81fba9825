"""Data sets that are folders: one folder a class."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anybind.plugin import BadInput, BadOption, Dataset, Item, errors, files, prompts, readers
from anybind_datasets.local_dataset import spread


class FolderDataset(Dataset):
    """One folder a class, named by it; see `class_name` for how a folder's name becomes a class name."""

    licence = "as published with the data"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        modalities: Iterable[str] | None = None,
        classes: Iterable[str] | None = None,
        names: str | os.PathLike[str] | None = None,
        limit: int | None = None,
    ) -> None:
        """List the samples; nothing but their names is read.

        Args:
            folder: the folder of class folders.
            modalities: what kinds of file count as samples, all that can be read by default; files of
                other kinds are passed over.
            classes: keep only these, by folder name or class name.
            names: a JSON file `{folder: class name}` that overrides some or all class names.
            limit: keep about this many samples, spread evenly over the classes, first file names first.

        Raises:
            BadInput: the folder is missing, or it or a kept class holds no samples.
            BadOption: a class that is not there, or two folders of one class name.
        """
        root = Path(folder)
        if not root.is_dir():
            raise BadInput(f"{root} is no folder; check the path")
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not folders:
            raise BadInput(f"{root} holds no samples: it must have one folder a class")
        self.name = root.resolve().name
        self.class_of = {path.name: prompts.class_name(path.name) for path in folders} | _overrides(names, folders)
        kept = folders if classes is None else _keep(folders, self.class_of, classes)
        self._classes = [self.class_of[path.name] for path in kept]
        if len(set(self._classes)) < len(self._classes):
            double = next(name for name in self._classes if self._classes.count(name) > 1)
            raise BadOption(f"{root} has two folders of the class {double!r}; tell them apart with --classnames")
        kinds = None if modalities is None else tuple(modalities)
        items = [
            Item(id=files.name_of_path(path.relative_to(root)), source=path, label=self.class_of[of.name])
            for of in kept
            for path in readers.list_samples(of, kinds)
        ]
        self._items = spread(items, limit)

    @property
    def items(self) -> Sequence[Item]:
        return self._items

    @property
    def classes(self) -> Sequence[str]:
        return self._classes

    @property
    def all_classes(self) -> Sequence[str]:
        """Class names of every folder, kept or not."""
        return list(self.class_of.values())

    def class_named(self, text: str) -> str:
        """The class that a folder's name, a class name, or any other text means."""
        return text if text in self.class_of.values() else self.class_of.get(text, prompts.class_name(text))


def _overrides(names: str | os.PathLike[str] | None, folders: Sequence[Path]) -> dict[str, str]:
    if names is None:
        return {}
    path = Path(names)
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path} is no JSON: {error}") from error
    known = {folder.name for folder in folders}
    if not isinstance(held, Mapping) or not all(isinstance(name, str) for name in held.values()):
        raise BadInput(f'{path} must hold class names by folder: {{"folder": "class name", ...}}')
    for folder in held:
        if folder not in known:
            raise BadInput(f"{path} names a folder {folder!r} that is not there{errors.nearest(folder, known)}")
    return dict(held)


def _keep(folders: Sequence[Path], class_of: Mapping[str, str], classes: Iterable[str]) -> list[Path]:
    wanted = set(classes)
    kept = [path for path in folders if {path.name, class_of[path.name]} & wanted]
    known = {path.name for path in folders} | set(class_of.values())
    for name in sorted(wanted - known):
        raise BadOption(f"there is no class {name!r}{errors.nearest(name, known)}")
    return kept
