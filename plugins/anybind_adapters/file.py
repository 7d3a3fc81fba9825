"""The file of a fitted adapter: safetensors, with a JSON card that says what it is and what it was fitted on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch

from anybind import Space
from anybind.plugin import tensors
from anybind_adapters.card import KEY, VERSION, read_card


@dataclass(frozen=True)
class AdapterFile:
    """What the file of an adapter holds.

    Attributes:
        kind: name of the adapter that reads it.
        source, target: the spaces that it leads from and to; it is of no use for any other.
        settings: how it was fitted.
        tensors: its weights by name.
        about: the data that it was fitted on, held-out figures; nothing depends on it.
    """

    kind: str
    source: Space
    target: Space
    settings: Mapping[str, object]
    tensors: Mapping[str, torch.Tensor]
    about: Mapping[str, object]


def write_adapter(path: str | os.PathLike[str], held: AdapterFile) -> None:
    """Write an adapter's file, whole or not at all; raises `BadInput` where it cannot."""
    card = {
        **held.about,
        "version": VERSION,
        "kind": held.kind,
        "source": asdict(held.source),
        "target": asdict(held.target),
        "settings": dict(held.settings),
    }
    tensors.write_tensors(path, held.tensors, card, key=KEY)


def read_adapter(path: str | os.PathLike[str]) -> AdapterFile:
    """Read what `write_adapter` wrote.

    Raises:
        BadInput: the file is missing, cut, no safetensors file, or no adapter's.
    """
    card = read_card(path)
    _, weights = tensors.read_tensors(path, key=KEY, framework="torch")
    return AdapterFile(card["kind"], card["source"], card["target"], card["settings"], weights, card["about"])
