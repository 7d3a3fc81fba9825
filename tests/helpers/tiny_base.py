"""The binding `tiny`, a base of packs: its image encoder has the options that a test sets."""

from __future__ import annotations

from anybind import Binding

OPTIONS: dict[str, object] = {}
"""Options of the image encoder."""


def make_binding(argument: str) -> Binding:
    return Binding(
        "tiny", {"text": Binding.configure("tiny-text"), "image": Binding.configure("tiny-image", **OPTIONS)}
    )
