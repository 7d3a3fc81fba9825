"""Examples for the conformance checks of this plugin's adapters: adapters fitted on random pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import anybind
from anybind.plugin import find_part
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the named adapter, fitted on forty pairs."""
    if kind != "adapter":
        return None
    random = np.random.default_rng(0)
    ids = tuple(map(str, range(40)))
    sides = [
        anybind.Embeddings(
            anybind.normalize(random.normal(size=(40, dim)) + 0.3), anybind.Space(space, dim), "image", ids
        )
        for space, dim in (("source", 8), ("target", 6))
    ]
    options = {"epochs": 2} if name in ("linear", "mlp") else {}
    fitted = find_part("adapter", name).load().fit(*sides, groups=np.arange(40), seed=0, **options)
    fitted.save(folder / "adapter.safetensors")
    return Example(options={"weights": str(folder / "adapter.safetensors")})
