"""What the conformance kit makes this plugin's adapters with: files of adapters fitted to made-up pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import anybind
from anybind.plugin import find_part
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """An adapter of the kind that is named, fitted to forty pairs."""
    if kind != "adapter":
        return None
    random = np.random.default_rng(0)
    rows = tuple(map(str, range(40)))
    sides = [
        anybind.Embeddings(
            anybind.normalize(random.normal(size=(40, dim)) + 0.3), anybind.Space(side, dim), "image", rows
        )
        for side, dim in (("here", 8), ("there", 6))
    ]
    few = {"epochs": 2} if name in ("linear", "mlp") else {}
    fitted = find_part("adapter", name).load().fit(*sides, groups=np.arange(40), seed=0, **few)
    fitted.save(folder / "adapter.safetensors")
    return Example(options={"weights": str(folder / "adapter.safetensors")})
