"""The file of a fitted adapter: safetensors, with a JSON card that says what it is and what it was fitted on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from anybind import Space
from anybind.plugin import BadInput, files
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
    settings: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]
    about: Mapping[str, Any]


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
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in held.tensors.items()}
    with files.atomic_path(path) as temporary:
        try:
            save_file(state, temporary, metadata={KEY: json.dumps(card, ensure_ascii=False)})
        except SafetensorError as error:  # a full disk, which is no OSError here
            raise BadInput(f"cannot write {path}: {error}") from error


def read_adapter(path: str | os.PathLike[str]) -> AdapterFile:
    """Read what `write_adapter` wrote.

    Raises:
        BadInput: the file is missing, cut, no safetensors file, or no adapter's.
    """
    card = read_card(path)
    try:
        with safe_open(Path(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path} is no readable safetensors file: {error}") from error
    return AdapterFile(card["kind"], card["source"], card["target"], card["settings"], tensors, card["about"])
