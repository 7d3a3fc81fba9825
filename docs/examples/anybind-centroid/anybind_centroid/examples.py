"""Examples for `anybind plugins check centroid`."""

from __future__ import annotations

from pathlib import Path

from anybind.plugin import Dataset, Item
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the options of the head, and twelve texts for the task."""
    if kind == "head":
        return Example(options={"modality": "text"})
    return Example(options={"shots": 1}, dataset=Texts(), modality="text") if kind == "task" else None


class Texts(Dataset):
    """Sentences about animals."""

    name = "texts"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        """Take no folder."""

    @property
    def classes(self) -> tuple[str, ...]:
        return ("cat", "dog", "horse", "duck")

    @property
    def items(self) -> list[Item]:
        return [Item(f"{name}/{n}", f"{n} times a {name}", name) for name in self.classes for n in range(3)]
