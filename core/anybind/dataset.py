"""`Dataset`: samples with labels in a local folder, and the class names that the labels mean."""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from anybind.completeness import PartHeld, empty_files
from anybind.errors import BadInput
from anybind.registry import create
from anybind.spec import DatasetSpec
from anybind.tables import settings_hash


@dataclass(frozen=True)
class Item:
    """One sample of a data set.

    Attributes:
        id: names it in results and errors, and is the same on every machine.
        source: a path, or the sample itself.
        label: name of its class; empty where the data set has none.
        options: for the reader of a path, such as the sensor size that a file does not record.
        partners: recordings of the same thing by modality, each a path, a sample, or an `Item` where its reader needs
            options: the picture that an event recording was made of, the sound that goes with a film.
        notes: what else the data set says of it, JSON-like, by the names that its tasks know: which frames of a film
            are abnormal, which part of the data it is in.
    """

    id: str
    source: Path | Any
    label: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    partners: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def partner(self, modality: str) -> Item:
        """Its recording in another modality as an item of the same id, label and notes; raises `KeyError` for none."""
        found = self.partners[modality]
        source, options = (found.source, found.options) if isinstance(found, Item) else (found, {})
        return replace(self, source=source, options=options, partners={})


class Dataset(ABC):
    """Samples with labels, by local folder.

    A registered data set is made from its folder, `modalities=` (the kinds of file that count as samples),
    and options of its own.

    Attributes:
        name: shown in results.
        licence: what is known of the data's licence.
        size: how much there is of it, in words; empty where there is no published size, as of a user's own folder.
        published: where it can be had, in words; empty where it is not published.
        kinds: the modalities of its samples; empty where that depends on the folder.
        parts: how many samples are published, by part; `all` where there is one part only, None where it is not known.
    """

    name: str
    licence: str = ""
    size: ClassVar[str] = ""
    published: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[Mapping[str, int | None]] = {}

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

    @classmethod
    def check(cls, folder: str | os.PathLike[str], **options: Any) -> tuple[PartHeld, ...]:
        """What a folder holds of each part, and what it lacks; no sample is opened.

        Args:
            folder: as the data set takes it.
            options: as the data set takes them. With a `split` only that part is looked at; with any other option the
                published numbers are not compared, since they are of the whole.

        Raises:
            BadInput: there is no such folder.
            BadOption: an option that the data set refuses.
        """
        if not Path(folder).is_dir():
            raise BadInput(f"{folder} is no folder; check the path")
        published = {} if set(options) - {"split"} else cls.published_parts(folder)
        if "split" in options or "split" not in inspect.signature(cls).parameters or not cls.parts:
            asked = {options.get("split", "all"): options}
        else:
            asked = {name: {**options, "split": name} for name in cls.parts}
        return tuple(cls._check_part(folder, name, each, published.get(name)) for name, each in asked.items())

    @classmethod
    def _check_part(
        cls, folder: str | os.PathLike[str], name: str, options: Mapping[str, Any], published: int | None
    ) -> PartHeld:
        made, lacks = cls._made_for_check(folder, options)
        items = [] if made is None else made.items
        counts = Counter(item.label for item in items)
        classes = {} if made is None else {label: counts[label] for label in made.classes}
        files = (each for item in items for each in (item, *map(item.partner, item.partners)))
        return PartHeld(name, len(items), published, classes, tuple(lacks), empty_files(files))

    @classmethod
    def published_parts(cls, folder: str | os.PathLike[str]) -> Mapping[str, int | None]:
        """How many samples are published, by part: `parts`, unless a folder may hold one of several sets."""
        return cls.parts

    @classmethod
    def _made_for_check(
        cls, folder: str | os.PathLike[str], options: Mapping[str, Any]
    ) -> tuple[Dataset | None, list[str]]:
        """The data set, None where it cannot be made, and what the folder lacks."""
        try:
            return cls(folder, **options), []  # pyright: ignore[reportCallIssue]
        except BadInput as error:
            return None, [str(error)]

    @property
    def split_hash(self) -> str:
        """Hash of ids, labels, notes and classes: two results are of one question only when these agree."""
        told = [[item.id, item.label, *([dict(item.notes)] if item.notes else [])] for item in self.items]
        return settings_hash([list(self.classes), told])


def load_dataset(name: str, folder: str | os.PathLike[str], **options: Any) -> Dataset:
    """A registered dataset, read from a local folder.

    Args:
        name: as it is registered; `anybind datasets` lists them.
        folder: where the data is.
        options: of the dataset, such as `split`, `classes`, `limit` or `modalities`.

    Raises:
        UnknownName: no such dataset; the message offers the nearest ones.
        BadInput: the folder is missing or no copy of the dataset.
        BadOption: an option that the dataset does not take.
    """
    return create(DatasetSpec, name, folder, **{"modalities": None, **options})
