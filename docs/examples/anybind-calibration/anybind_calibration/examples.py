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

    @property
    def classes(self) -> tuple[str, ...]:
        return ("cat", "dog", "horse", "duck")

    @property
    def items(self) -> list[Item]:
        return [
            Item(f"{name}/{number}", f"{number} times a {name}", name) for name in self.classes for number in range(3)
        ]
