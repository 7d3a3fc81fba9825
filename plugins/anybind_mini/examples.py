"""What the conformance kit makes this plugin's parts with; they are tried on the samples of their modalities."""

from __future__ import annotations

from pathlib import Path

import anybind
from anybind.testing import Example


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """The example of a part; None where it is made without options."""
    if name == "mini-sound":
        return Example(options={"weights": str(Path(__file__).with_name("sound.safetensors"))})
    if name == "depth-as-image":
        return Example(options={"of": anybind.load("mini").encoder("image")})
    return None
