"""The card of an adapter file: adapter, spaces and settings. Reading it imports no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict

from anybind import Space
from anybind.plugin import BadInput, BadOption, tensors

KEY = "anybind-adapter"
"""Metadata key of the card in the file."""
VERSION = 1
MAX_WIDTH = 1 << 20
"""Largest dimension of a space or a layer, so that a card of wrong numbers allocates no memory."""


class AdapterCard(TypedDict):
    """The fields of a card; `metadata` has no effect on the adapter."""

    name: str
    source: Space
    target: Space
    settings: dict[str, object]
    metadata: dict[str, object]


def read_card(path: str | os.PathLike[str]) -> AdapterCard:
    """Read the card of an adapter file; its tensors are not read.

    Raises:
        BadInput: the file is missing, truncated, not a safetensors file, or not an adapter.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such adapter file; fit one with `anybind fit-adapter`")
    try:
        fields = tensors.read_card(path, key=KEY)
    except tensors.InvalidCard as error:
        raise BadInput(f"{error}; fit an adapter with `anybind fit-adapter`") from error
    try:
        version = fields.pop("version")
        source, target = Space(**fields.pop("source")), Space(**fields.pop("target"))
        name, settings = str(fields.pop("kind")), dict(fields.pop("settings"))
    except (ValueError, KeyError, TypeError, BadOption) as error:
        raise BadInput(f"{path}: invalid adapter card: {error}") from error
    if version != VERSION or not all(isinstance(x.dim, int) and 0 < x.dim <= MAX_WIDTH for x in (source, target)):
        raise BadInput(
            f"{path}: invalid adapter card: expected version {VERSION} and dimensions from 1 to {MAX_WIDTH}, got"
            f" version {version!r}, dimensions {source.dim!r} and {target.dim!r}"
        )
    return AdapterCard(name=name, source=source, target=target, settings=settings, metadata=fields)
