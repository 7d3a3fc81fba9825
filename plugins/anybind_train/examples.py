"""What the conformance kit makes this plugin's parts with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anybind.plugin import Dataset, Item
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """The text tower that learned prompts are put in front of; and what a classifier on frozen vectors is asked."""
    if kind == "encoder":
        return Example(options={"use": "mini-text"})
    if kind == "task" and name == "few-shot":
        options = {"method": "linear-probe", "shots": 2}
        return Example(options=options, dataset=TwoClassImages(), modality="image")
    return Example(cannot="it needs a tower that can learn, and none is made up") if kind == "task" else None


class TwoClassImages(Dataset):
    """Ten pictures of two classes, light ones and dark ones."""

    name = "pictures"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        lowest = {"light": 128, "dark": 0}
        items = [
            Item(str(number), random.integers(0, 128, (24, 32, 3), np.uint8) + np.uint8(lowest[label]), label)
            for number, label in enumerate(["light", "dark"] * 5)
        ]
        self.set_items(items, lowest)
