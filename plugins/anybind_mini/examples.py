"""Examples for the conformance checks of this plugin's parts."""

from __future__ import annotations

from pathlib import Path

import anybind
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the options of a part; None for a part without options."""
    if name == "mini-sound":
        return Example(options={"weights": str(Path(__file__).with_name("sound.safetensors"))})
    if name == "depth-as-image":
        return Example(options={"of": anybind.load("mini", backend="torch").encoder("image")})
    return None
