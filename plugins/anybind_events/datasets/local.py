"""What the published data sets share: a local folder, class names from a data file, choosing classes and samples."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from anybind import BadInput, BadOption, Dataset, Item, name_of_path, nearest


class LocalDataset(Dataset):
    """A published data set of event recordings in a folder, laid out as it was published.

    Attributes:
        published: where it can be had, in words.
    """

    published: ClassVar[str]

    def __init__(
        self,
        folder: str | os.PathLike[str],
        names: Mapping[str, str],
        modalities: Iterable[str] | None,
        classes: Iterable[str] | None,
    ) -> None:
        """Choose the classes; a subclass then lists the samples and hands them to `hold`.

        Args:
            folder: the local folder.
            names: class name by published label, of the whole data and in the order of the classes.
            modalities: what kinds of file count as samples; `event` must be among them.
            classes: keep only these, by published label or class name.
        """
        self.folder = self.root = Path(folder)
        self.names = dict(names)
        if not self.folder.is_dir():
            raise BadInput(f"{self.folder} is no folder; {self.name} is published at {self.published}")
        if modalities is not None and "event" not in (modalities := list(modalities)):
            raise BadInput(f"{self.name} holds recordings of modality event, not {', '.join(modalities) or 'none'}")
        wanted = None if classes is None else set(classes)
        known = {*self.names, *self.names.values()}
        for name in sorted((wanted or set()) - known):
            raise BadOption(f"{self.name} has no class {name!r}{nearest(name, known)}")
        self.kept = [label for label, name in self.names.items() if wanted is None or {label, name} & wanted]
        self._items: list[Item] = []

    def hold(self, items: Iterable[Item], limit: int | None) -> None:
        """Take the samples, or about `limit` of them, spread evenly over the classes, the first of each class first."""
        if limit is not None and limit < 1:
            raise BadOption(f"the limit must be at least 1, got {limit}")
        listed, ranks, ranked = list(items), dict.fromkeys(self.classes, 0), []
        for number, item in enumerate(listed):
            ranked.append((ranks[item.label], number))
            ranks[item.label] += 1
        self._items = [listed[number] for number in sorted(number for _, number in sorted(ranked)[:limit])]

    def missing(self, what: str) -> BadInput:
        """The error that says what a folder lacks and where the data set is published."""
        return BadInput(
            f"{self.folder} is no complete copy of {self.name}: {what}; it is published at {self.published}"
        )

    def find_root(self, inner: str, needed: Sequence[str]) -> Path:
        """The folder itself, or the one of the name `inner` in it, whichever holds all files and folders needed.

        Ids of samples are paths from there.

        Raises:
            BadInput: neither does; the message names what is missing.
        """
        lacking = {
            place: [name for name in needed if not (place / name).exists()]
            for place in (self.folder, self.folder / inner)
        }
        self.root = min(lacking, key=lambda place: len(lacking[place]))
        absent = lacking[self.root]
        if absent:
            raise self.missing(f"{self.root} lacks {', '.join(absent)}")
        return self.root

    def recordings(self, folders: Sequence[Path], suffix: str, **options: Any) -> Iterator[Item]:
        """The files of the kept classes, whose folders lie in these folders, by name; with options for their reader."""
        for label in self.kept:
            for folder in (each / label for each in folders):
                if not folder.is_dir():
                    raise self.missing(f"there is no folder {folder}")
                files = sorted(each for each in folder.iterdir() if each.suffix == suffix and each.name[0] != ".")
                if not files:
                    raise self.missing(f"{folder} holds no {suffix} files")
                for path in files:
                    yield Item(self.id_of(path), path, self.names[label], options)

    def id_of(self, path: Path) -> str:
        """A path from the data set's root, the same on every machine."""
        return name_of_path(path.relative_to(self.root))

    @property
    def items(self) -> Sequence[Item]:
        return self._items

    @property
    def classes(self) -> Sequence[str]:
        return [self.names[label] for label in self.kept]

    @property
    def all_classes(self) -> Sequence[str]:
        """Class names of the whole data, kept or not."""
        return list(self.names.values())

    def class_named(self, text: str) -> str:
        """The class name that a published label stands for; any other text is one already."""
        return self.names.get(text, text)


def load_lists(module_file: str) -> dict[str, Any]:
    """The JSON file of lists that lies beside a module under the same name."""
    return json.loads(Path(module_file).with_suffix(".json").read_text(encoding="utf-8"))


def choose(split: str, options: Mapping[str, Any], what: str = "split") -> Any:
    """What a name stands for among the options; raises `BadOption` with those there are."""
    if split not in options:
        raise BadOption(f"there is no {what} {split!r}{nearest(split, options)}")
    return options[split]


def held_out(names: Iterable[str], share: float, seed: int) -> set[str]:
    """A share of some names, drawn by hash: the same on every machine and for every release of NumPy.

    Each name is ranked by the SHA-256 of `seed/name`, and those of the lowest ranks are taken, rounded to the
    nearest number (half up).
    """
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return set(ranked[: int(len(ranked) * share + 0.5)])
