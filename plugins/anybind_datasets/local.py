"""What the published data sets share: class names from a data file, folders of recordings, choosing parts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anybind.plugin import BadInput, BadOption, Item, errors
from anybind_datasets.local_dataset import LocalDataset


class EventDataset(LocalDataset):
    """A published data set of event recordings in a folder, laid out as it was published."""

    kinds = ("event",)

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
        super().__init__(folder, modalities)
        self.keep_classes(names, classes)

    def find_root(self, inner: str, needed: Sequence[str]) -> Path:
        """The folder itself, or the one of the name `inner` in it, whichever holds all files and folders needed.

        Ids of samples are paths from there.

        Raises:
            BadInput: neither does; the message names what is missing. A folder that is checked need only hold one of
                them: what it lacks beyond that is told where it is looked for.
        """
        lacking = {
            place: [name for name in needed if not (place / name).exists()]
            for place in (self.folder, self.folder / inner)
        }
        self.root = min(lacking, key=lambda place: len(lacking[place]))
        absent = lacking[self.root]
        if absent and not (self.checking and len(absent) < len(needed)):
            raise self.missing(f"{self.root} lacks {', '.join(absent)}")
        return self.root

    def recordings(self, folders: Sequence[Path], suffix: str, **options: Any) -> Iterator[Item]:
        """The files of the kept classes, whose folders lie in these folders, by name; with options for their reader."""
        for label in self.kept:
            for folder in (each / label for each in folders):
                if not folder.is_dir():
                    self.lack(f"there is no folder {folder}")
                    continue
                files = sorted(each for each in folder.iterdir() if each.suffix == suffix and each.name[0] != ".")
                if not files:
                    self.lack(f"{folder} holds no {suffix} files")
                for path in files:
                    yield Item(self.id_of(path), path, self.names[label], options)

    def beside_pictures(self, source: Path, suffix: str) -> None:
        """Give every sample its picture as its partner `image`: the file of the same class folder and name in `source`.

        Raises:
            BadInput: a recording's picture is missing.
        """
        self._items = [replace(item, partners={"image": self._picture(item, source, suffix)}) for item in self._items]

    def _picture(self, item: Item, source: Path, suffix: str) -> Path:
        path = source / item.source.parent.name / f"{item.source.stem}{suffix}"
        if not path.is_file():
            told = f"{item.id} does not pair: there is no picture {path}"
            if not self.checking:
                raise BadInput(told)
            self.lack(told)
        return path


def load_lists(module_file: str) -> dict[str, Any]:
    """The JSON file of lists that lies beside a module under the same name."""
    return json.loads(Path(module_file).with_suffix(".json").read_text(encoding="utf-8"))


def choose(split: str, options: Mapping[str, Any], what: str = "split") -> Any:
    """What a name stands for among the options; raises `BadOption` with those there are."""
    if split not in options:
        raise BadOption(f"there is no {what} {split!r}{errors.nearest(split, options)}")
    return options[split]


def held_out(names: Iterable[str], share: float, seed: int) -> set[str]:
    """A share of some names, drawn by hash: the same on every machine and for every release of NumPy.

    Each name is ranked by the SHA-256 of `seed/name`, and those of the lowest ranks are taken, rounded to the
    nearest number (half up).
    """
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return set(ranked[: int(len(ranked) * share + 0.5)])
