"""Published datasets in a local folder: what they share."""

from __future__ import annotations

import inspect
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from anybind.plugin import BadInput, BadOption, Dataset, Item, errors, files


class LocalDataset(Dataset):
    """A published data set in a folder, laid out as it was published: what such data sets share.

    A subclass calls `keep_classes` with its classes and `hold` with its samples, and says with `lack` what is missing
    that another sample can do without.

    Attributes:
        folder: as it was given.
        root: the folder that ids of samples are paths from; `folder`, unless a subclass finds it further down.
        asked: the modalities that were asked for, in the order of `kinds`.
        names: class name by published label, of the whole data and in the order of the classes.
        kept: the labels of the classes that were kept.
    """

    _made_with: tuple[tuple[Any, ...], dict[str, Any]]
    _lacks: list[str] | None = None
    """Where it is only checked: what was found to be missing."""

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        """Remember the options: `part` makes the data set again with others."""
        made = super().__new__(cls)
        made._made_with = (arguments, options)
        return made

    def __init__(self, folder: str | os.PathLike[str], modalities: Iterable[str] | None) -> None:
        """Look at the folder.

        Args:
            folder: the local folder.
            modalities: what kinds of file count as samples, one of the data set's at least; all by default.

        Raises:
            BadInput: there is no such folder, or the data set has no samples of these modalities.
        """
        self.folder = self.root = Path(folder)
        if not self.folder.is_dir():
            raise BadInput(f"{self.folder} is no folder; {self.name} is published at {self.published}")
        asked = set(self.kinds if modalities is None else modalities)
        self.asked = [kind for kind in self.kinds if kind in asked]
        if not self.asked:
            held, others = ", ".join(self.kinds), ", ".join(sorted(asked)) or "none"
            raise BadInput(f"{self.name} holds samples of {held}, not of {others}")
        self.names: dict[str, str] = {}
        self.kept: list[str] = []
        self._items: list[Item] = []

    def keep_classes(self, names: Mapping[str, str], classes: Iterable[str] | None) -> None:
        """Choose the classes.

        Args:
            names: class name by published label, of the whole data and in the order of the classes.
            classes: keep only these, by published label or class name; all by default.

        Raises:
            BadOption: a class that is not there.
        """
        self.names = dict(names)
        wanted = None if classes is None else set(classes)
        known = {*self.names, *self.names.values()}
        for name in sorted((wanted or set()) - known):
            raise BadOption(f"{self.name} has no class {name!r}{errors.nearest(name, known)}")
        self.kept = [label for label, name in self.names.items() if wanted is None or {label, name} & wanted]

    def hold(self, items: Iterable[Item], limit: int | None) -> None:
        """Take the samples of the classes kept, or about `limit` of them (see `spread`).

        Raises:
            BadInput: there are none.
            BadOption: the limit is below 1.
        """
        classes = set(self.classes)
        self._items = spread([item for item in items if item.label in classes or not self.names], limit)
        if not self._items:
            self.lack("it holds no samples of what was asked for")

    @property
    def checking(self) -> bool:
        """Whether the folder is being checked, so that what it lacks is noted."""
        return self._lacks is not None

    def lack(self, what: str) -> None:
        """Say what the folder lacks: raise `missing`; where the folder is being checked, note it and go on."""
        if self._lacks is None:
            raise self.missing(what)
        self._lacks.append(what)

    def missing(self, what: str) -> BadInput:
        """The error that says what a folder lacks and where the data set is published."""
        if self.checking:
            return BadInput(what)
        return BadInput(
            f"{self.folder} is no complete copy of {self.name}: {what}; it is published at {self.published}"
        )

    @classmethod
    def _made_for_check(
        cls, folder: str | os.PathLike[str], options: Mapping[str, Any]
    ) -> tuple[Dataset | None, list[str]]:
        made, lacks = cls.__new__(cls, folder, **options), []
        made._lacks = lacks
        try:
            made.__init__(folder, **options)  # pyright: ignore[reportCallIssue]
        except BadInput as error:
            lacks.append(str(error))
            return None, lacks
        return made, lacks

    def part(self, name: str) -> Self:
        if "split" not in inspect.signature(type(self)).parameters:
            raise BadInput(f"{self.name} is published in one part: there is no {name!r}")
        arguments, options = self._made_with
        return type(self)(*arguments, **{**options, "split": name})

    def id_of(self, path: Path) -> str:
        """A path from the data set's root, the same on every machine."""
        return files.name_of_path(path.relative_to(self.root))

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


def spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """About `limit` items, spread evenly over the labels, the first of each label first; all by default.

    They stay in their order.

    Raises:
        BadOption: the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise BadOption(f"the limit must be at least 1, got {limit}")
    seen: Counter[str] = Counter()
    ranked = []
    for number, item in enumerate(items):
        ranked.append((seen[item.label], number))
        seen[item.label] += 1
    return [items[number] for number in sorted(number for _, number in sorted(ranked)[:limit])]
