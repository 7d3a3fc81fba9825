"""`Dataset`: samples with labels in a local folder, and the class names that the labels mean."""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from anybind.errors import BadInput, BadOption, nearest
from anybind.files import name_of_path, settings_hash


@dataclass(frozen=True)
class Item:
    """One sample of a data set.

    Attributes:
        id: names it in results and errors, and is the same on every machine.
        source: a path, or the sample itself.
        label: name of its class; empty where the data set has none.
        options: for the reader of a path, such as the sensor size that a file does not record.
        partners: recordings of the same thing by modality, each a path or a sample: the picture that an event
            recording was made of, the sound that goes with a film.
        notes: what else the data set says of it, JSON-like, by the names that its tasks know: which frames of a film
            are abnormal, which part of the data it is in.
    """

    id: str
    source: Path | Any
    label: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    partners: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


class Dataset(ABC):
    """Samples with labels, by local folder.

    A registered data set is made from its folder, `modalities=` (the kinds of file that count as samples),
    and options of its own.

    Attributes:
        name: shown in results.
        licence: what is known of the data's licence.
    """

    name: str
    licence: str = ""

    @property
    @abstractmethod
    def items(self) -> Sequence[Item]:
        """The samples, in an order that is the same on every machine."""

    @property
    @abstractmethod
    def classes(self) -> Sequence[str]:
        """Class names that the labels are taken from, without doubles; empty where there are no labels."""

    @property
    def all_classes(self) -> Sequence[str]:
        """Class names of the whole data, of which a part may have been kept; `classes` unless overridden."""
        return self.classes

    def class_named(self, text: str) -> str:
        """The class name that a user means by a text; the text itself unless overridden."""
        return text

    def part(self, name: str) -> Dataset:
        """Another part of the same data, such as `train`, made with the same options otherwise.

        Raises:
            BadInput: the data set has no parts, or the folder lacks this one.
            BadOption: there is no such part.
        """
        raise BadInput(f"{self.name} is published in one part: there is no {name!r}")

    @property
    def split_hash(self) -> str:
        """Hash of ids, labels, notes and classes: two results are of one question only when these agree."""
        told = [[item.id, item.label, *([dict(item.notes)] if item.notes else [])] for item in self.items]
        return settings_hash([list(self.classes), told])


class LocalDataset(Dataset):
    """A published data set in a folder, laid out as it was published: what such data sets share.

    A subclass calls `keep_classes` with its classes and `hold` with its samples.

    Attributes:
        published: where it can be had, in words.
        kinds: the modalities of its samples.
        folder: as it was given.
        root: the folder that ids of samples are paths from; `folder`, unless a subclass finds it further down.
        asked: the modalities that were asked for, in the order of `kinds`.
        names: class name by published label, of the whole data and in the order of the classes.
        kept: the labels of the classes that were kept.
    """

    published: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]

    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

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
            raise BadOption(f"{self.name} has no class {name!r}{nearest(name, known)}")
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
            raise self.missing("it holds no samples of what was asked for")

    def missing(self, what: str) -> BadInput:
        """The error that says what a folder lacks and where the data set is published."""
        return BadInput(
            f"{self.folder} is no complete copy of {self.name}: {what}; it is published at {self.published}"
        )

    def part(self, name: str) -> Self:
        if "split" not in inspect.signature(type(self)).parameters:
            raise BadInput(f"{self.name} is published in one part: there is no {name!r}")
        arguments, options = self._made_with
        return type(self)(*arguments, **{**options, "split": name})

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
