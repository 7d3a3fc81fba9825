"""Example options for the conformance checks."""

from __future__ import annotations

from pathlib import Path

from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of a part; None if it needs none."""
    if kind == "head":
        options = {"steps": 10} if name == "mil" else {}
        return Example(options=options, measures=("events", "steps", "pixels"))
    return Example(cannot="it decodes videos for a minute") if kind == "task" else None
