"""Examples for the conformance checks of this plugin's parts: encoders on those of `mini`."""

from __future__ import annotations

from pathlib import Path

import anybind
from anybind.testing import Example

SLICES = {"views": 2, "count": 300}


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of a part; None for kinds that need none."""
    if kind == "head":
        return Example(options={"width": 16, "epochs": 40, "lr": 3e-3})
    if kind == "binding":
        return Example(options={"argument": "mini,count=300"})
    if kind != "encoder":
        return None
    if name == "eventclip-text":
        return Example(options={"text_encoder": {"use": "mini-text"}})
    options = {"image_encoder": anybind.load("mini", backend="torch").encoder("image"), "size": 64}
    if name == "eventclip-views":
        return Example(options={**options, "options": SLICES, "adapters": [{"use": "mini-image-to-text"}]})
    return Example(options={**options, "options": SLICES, "prompts": 0} if name == "eventbind" else options)
