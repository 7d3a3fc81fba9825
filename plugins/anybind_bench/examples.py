"""What the conformance kit tries this plugin's data set on: two folders of pictures."""

from __future__ import annotations

from pathlib import Path

import PIL.Image

from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Dogs and cats, and hounds and cats."""
    if kind != "dataset":
        return None
    for path in ("one/dog/a.png", "one/cat/b.png", "other/hound/c.png", "other/cat/d.png"):
        (folder / path).parent.mkdir(parents=True)
        PIL.Image.new("RGB", (32, 24), "red").save(folder / path)
    tables = {side: {"dataset": "folder", "path": side} for side in ("one", "other")}
    return Example(folder=folder, options={**tables, "classes": {"dog": "hound", "cat": "cat"}})
