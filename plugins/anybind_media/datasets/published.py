"""What the published data sets share: a local folder, choosing classes and samples, saying what is missing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from anybind import BadInput, BadOption, Dataset, Item, name_of_path, nearest


class PublishedDataset(Dataset):
    """A data set in a folder, laid out as it was published.

    Attributes:
        published: where it can be had, in words.
        kinds: the modalities of its samples.
    """

    published: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]

    def __init__(self, folder: str | os.PathLike[str], modalities: Iterable[str] | None) -> None:
        """Look at the folder; a subclass then lists the samples and hands them to `hold`.

        Args:
            folder: the local folder.
            modalities: what kinds of file count as samples, one of the data set's at least; all by default.
        """
        self.root = Path(folder)
        if not self.root.is_dir():
            raise BadInput(f"{self.root} is no folder; {self.name} is published at {self.published}")
        asked = set(self.kinds if modalities is None else modalities)
        self.asked = [kind for kind in self.kinds if kind in asked]
        if not self.asked:
            known = ", ".join(self.kinds)
            raise BadInput(f"{self.name} holds samples of {known}, not of {', '.join(sorted(asked)) or 'none'}")
        self._items: list[Item] = []
        self._classes: list[str] = []
        self._all_classes: list[str] = []

    def hold(
        self, items: Iterable[Item], names: Sequence[str], classes: Iterable[str] | None, limit: int | None
    ) -> None:
        """Take the samples of the classes kept, or about `limit` of them, the first of each class first.

        Args:
            items: all samples.
            names: all classes, in order.
            classes: those kept; all by default.
            limit: how many samples are kept, spread evenly over classes; all by default.
        """
        if limit is not None and limit < 1:
            raise BadOption(f"the limit must be at least 1, got {limit}")
        wanted = set(names) if classes is None else set(classes)
        for name in sorted(wanted - set(names)):
            raise BadOption(f"{self.name} has no class {name!r}{nearest(name, names)}")
        self._all_classes, self._classes = list(names), [name for name in names if name in wanted]
        listed = [item for item in items if item.label in wanted or not names]
        seen: Counter[str] = Counter()
        ranked = []
        for number, item in enumerate(listed):
            ranked.append((seen[item.label], number))
            seen[item.label] += 1
        self._items = [listed[number] for number in sorted(number for _, number in sorted(ranked)[:limit])]
        if not self._items:
            raise self.missing("it holds no samples of what was asked for")

    def missing(self, what: str) -> BadInput:
        """The error that says what a folder lacks and where the data set is published."""
        return BadInput(f"{self.root} is no complete copy of {self.name}: {what}; it is published at {self.published}")

    def id_of(self, path: Path) -> str:
        """A path from the data set's folder, the same on every machine."""
        return name_of_path(path.relative_to(self.root))

    @property
    def items(self) -> Sequence[Item]:
        return self._items

    @property
    def classes(self) -> Sequence[str]:
        return self._classes

    @property
    def all_classes(self) -> Sequence[str]:
        """Class names of the whole data, kept or not."""
        return self._all_classes
