"""Example data for the conformance checks: six images with captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anybind.plugin import Dataset, Item
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of a part; None if it needs none."""
    options = {"gallery": "image,text"} if name == "mixed-retrieval" else {"to": "text"}
    return Example(options=options, dataset=Captions(), modality="image") if kind == "task" else None


class Captions(Dataset):
    """Random images, each with a caption."""

    name = "captions"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        """Make the dataset; it reads no folder."""

    @property
    def items(self) -> list[Item]:
        random = np.random.default_rng(0)
        return [
            Item(
                f"{number}",
                random.integers(0, 256, (48, 64, 3), dtype=np.uint8),
                label,
                partners={"text": f"a {label}, number {number}"},
            )
            for number, label in enumerate(["cat", "dog"] * 3)
        ]

    @property
    def classes(self) -> tuple[str, ...]:
        return ("cat", "dog")
