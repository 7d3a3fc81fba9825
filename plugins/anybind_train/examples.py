"""Examples for the conformance checks of this plugin's parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anybind.plugin import Dataset, Item
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return a text encoder for learned prompts, and a dataset for a linear probe."""
    if name == "projected":
        return Example(cannot="it needs an encoder of a base")
    if kind == "encoder":
        return Example(options={"use": "mini-text"})
    if kind == "task" and name == "few-shot":
        options = {"method": "linear-probe", "shots": 2}
        return Example(options=options, dataset=TwoClassImages(), modality="image")
    return Example(cannot="it needs a trainable encoder, and the checks have none") if kind == "task" else None


class TwoClassImages(Dataset):
    """Ten images of two classes, light and dark."""

    name = "two-class-images"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        minimum = {"light": 128, "dark": 0}
        items = [
            Item(str(number), random.integers(0, 128, (24, 32, 3), np.uint8) + np.uint8(minimum[label]), label)
            for number, label in enumerate(["light", "dark"] * 5)
        ]
        self.set_items(items, minimum)
