"""`Dataset`: samples with labels in a local folder, and the class names that the labels mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
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
    """

    id: str
    source: Path | Any
    label: str = ""


class Dataset(ABC):
    """Samples with labels, by local folder.

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
    def split_hash(self) -> str:
        """Hash of ids, labels and classes: two results are of one question only when these agree."""
        return settings_hash([list(self.classes), [[item.id, item.label] for item in self.items]])
