"""Example of the conformance checks: a dataset of six images of two classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anybind.plugin import Dataset, Item
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of a task; None for other kinds."""
    return Example(dataset=Images(), modality="image") if kind == "task" else None


class Images(Dataset):
    """Random images of two classes."""

    name = "images"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        """Accept no options."""

    @property
    def items(self) -> list[Item]:
        random = np.random.default_rng(0)
        return [
            Item(f"{number}", random.integers(0, 256, (48, 64, 3), dtype=np.uint8), label)
            for number, label in enumerate(["cat", "dog"] * 3)
        ]

    @property
    def classes(self) -> tuple[str, ...]:
        return ("cat", "dog")
