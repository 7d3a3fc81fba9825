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
    classes = ("cat", "dog", "horse", "duck")
    items = tuple(
        Item(f"{name}/{number}", f"{number} times a {name}", name)
        for name in ("cat", "dog", "horse", "duck")
        for number in range(3)
    )

    def __init__(self) -> None:
        """Take no folder."""
