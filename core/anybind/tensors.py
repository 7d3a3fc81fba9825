"""Weights and other tensors by name: their hash, and whether they are those of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anybind.errors import WeightsMismatch

if TYPE_CHECKING:
    import torch


def state_hash(state: Mapping[str, torch.Tensor]) -> str:
    """Hash of names, types, shapes and values of a state dict, 12 hexadecimal digits."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        # Seen as bytes, so that bfloat16, which numpy lacks, needs no detour; a scalar has no last dimension.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:12]


def check_state(path: Path, given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Raise `WeightsMismatch`, naming the first few keys, unless names and shapes agree."""
    complaints = {
        "lacks": sorted(wanted.keys() - given.keys()),
        "has too many": sorted(given.keys() - wanted.keys()),
        "has other shapes of": sorted(
            name for name in wanted.keys() & given.keys() if wanted[name].shape != given[name].shape
        ),
    }
    found = [f"{what} {_first_few(names)}" for what, names in complaints.items() if names]
    if found:
        raise WeightsMismatch(f"{path} is a weight file of another model: it {'; '.join(found)}")


def _first_few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
