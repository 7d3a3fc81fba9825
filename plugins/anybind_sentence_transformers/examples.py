"""Examples of the conformance checks: encoders cannot be checked without a model of the user's own."""

from __future__ import annotations

from pathlib import Path

from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the reason why an encoder or the binding is not checked."""
    if kind in ("encoder", "binding"):
        return Example(cannot="it needs the folder of a sentence-transformers model")
    return None
