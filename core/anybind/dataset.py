"""`Dataset`: samples with labels in a local folder, and the class names that the labels mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anybind.files import settings_hash


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

    @property
    def split_hash(self) -> str:
        """Hash of ids, labels, notes and classes: two results are of one question only when these agree."""
        told = [[item.id, item.label, *([dict(item.notes)] if item.notes else [])] for item in self.items]
        return settings_hash([list(self.classes), told])
