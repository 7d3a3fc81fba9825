"""Example of the conformance checks: the encoders cannot be checked without downloaded weights."""

from __future__ import annotations

from pathlib import Path

from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the reason why encoders are not checked; None for other kinds."""
    return Example(cannot="its weights, 4.8 GB, are downloaded from a hub") if kind == "encoder" else None
