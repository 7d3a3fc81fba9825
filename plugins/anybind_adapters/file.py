"""The file of a fitted adapter: safetensors with a JSON card."""

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
    """The content of an adapter file.

    Attributes:
        name: registered name of the adapter.
        source, target: the spaces that it maps from and to.
        settings: of the fit.
        tensors: its weights by name.
        metadata: data of the fit and validation scores, without effect on the adapter.
    """

    name: str
    source: Space
    target: Space
    settings: Mapping[str, object]
    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, object]


def write_adapter(path: str | os.PathLike[str], adapter: AdapterFile) -> None:
    """Write an adapter file atomically; raise `BadInput` if it cannot be written."""
    card = {
        **adapter.metadata,
        "version": VERSION,
        "kind": adapter.name,
        "source": asdict(adapter.source),
        "target": asdict(adapter.target),
        "settings": dict(adapter.settings),
    }
    tensors.write_tensors(path, adapter.tensors, card, key=KEY)


def read_adapter(path: str | os.PathLike[str]) -> AdapterFile:
    """Read a file of `write_adapter`.

    Raises:
        BadInput: the file is missing, truncated, not a safetensors file, or not an adapter.
    """
    card = read_card(path)
    _, weights = tensors.read_tensors(path, key=KEY, framework="torch")
    return AdapterFile(tensors=weights, **card)
