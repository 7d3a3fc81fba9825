"""What the conformance kit is told of this plugin's parts."""

from __future__ import annotations

from pathlib import Path

from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Why the towers are not tried: no weights come with the plugin."""
    return Example(cannot="its weights are downloaded from a hub") if kind == "encoder" else None
