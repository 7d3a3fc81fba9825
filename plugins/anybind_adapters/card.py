"""The card of an adapter's file: what it is, and between which spaces. Reading one imports no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict

from anybind import Space
from anybind.plugin import BadInput, tensors

KEY = "anybind-adapter"
"""Of the file's metadata, under which the card stands."""
VERSION = 1
WIDEST = 1 << 20
"""Dimensions that a space, or a layer, may have."""


class Card(TypedDict):
    """What a card says; `about` holds all that nothing depends on."""

    kind: str
    source: Space
    target: Space
    settings: dict[str, object]
    about: dict[str, object]


def read_card(path: str | os.PathLike[str]) -> Card:
    """The card of an adapter's file; its tensors are not read.

    Raises:
        BadInput: the file is missing, cut, no safetensors file, or holds no adapter.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"there is no adapter {path}; `anybind fit-adapter` makes one")
    try:
        held = tensors.read_card(path, key=KEY)
    except tensors.InvalidCard as error:
        raise BadInput(f"{error}; `anybind fit-adapter` makes an adapter") from error
    try:
        version = held.pop("version")
        source, target = Space(**held.pop("source")), Space(**held.pop("target"))
        card = Card(
            kind=str(held.pop("kind")), source=source, target=target, settings=dict(held.pop("settings")), about=held
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: the card of the adapter cannot be read: {error}") from error
    if version != VERSION or not all(isinstance(each.dim, int) and 0 < each.dim <= WIDEST for each in (source, target)):
        raise BadInput(f"{path}: the card of the adapter is of version {version!r} or of no spaces that there can be")
    return card
