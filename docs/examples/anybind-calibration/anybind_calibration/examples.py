"""What `anybind plugins check calibration` tries the parts on."""

from __future__ import annotations

from pathlib import Path

from anybind.dataset import Dataset, Item
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Twelve texts of four classes for the tasks; the head's films are made up by the kit."""
    return Example(dataset=Texts(), modality="text") if kind == "task" else Example()


class Texts(Dataset):
    """Sentences about animals."""

    name = "texts"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        names = ("cat", "dog", "horse", "duck")
        self.set_items(
            [Item(f"{name}/{number}", f"{number} times a {name}", name) for name in names for number in range(3)], names
        )
