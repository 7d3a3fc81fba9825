"""Weight files of encoders: safetensors with the space, the modality and the preprocessing in the card."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from anybind.errors import WeightsMismatch
from anybind.space import Space
from anybind.tensors import InvalidCard, read_tensors, write_tensors

if TYPE_CHECKING:
    import torch


def write_encoder_weights(
    path: str | os.PathLike[str],
    state: Mapping[str, np.ndarray] | Mapping[str, torch.Tensor],
    space: Space,
    modality: str,
    preprocessing: Mapping[str, object],
) -> None:
    """Write the weight file of an encoder, atomically; raise `BadInput` if it cannot be written."""
    write_tensors(path, state, {"space": vars(space), "modality": modality, "preprocessing": preprocessing})


@overload
def read_encoder_weights(
    path: str | os.PathLike[str],
    space: Space,
    modality: str,
    preprocessing: Mapping[str, object],
    *,
    framework: Literal["numpy"] = ...,
) -> dict[str, np.ndarray]: ...
@overload
def read_encoder_weights(
    path: str | os.PathLike[str],
    space: Space,
    modality: str,
    preprocessing: Mapping[str, object],
    *,
    framework: Literal["torch"],
) -> dict[str, torch.Tensor]: ...
def read_encoder_weights(
    path: str | os.PathLike[str],
    space: Space,
    modality: str,
    preprocessing: Mapping[str, object],
    *,
    framework: Literal["numpy", "torch"] = "numpy",
) -> Mapping[str, np.ndarray] | Mapping[str, torch.Tensor]:
    """Read the weights of an encoder with this space, modality and preprocessing.

    Args:
        path: a file of `write_encoder_weights`.
        space, modality, preprocessing: those of the encoder.
        framework: `numpy` for arrays, `torch` for CPU tensors.

    Raises:
        BadInput: the file is missing, truncated, or not a safetensors file.
        WeightsMismatch: the file is of another space or modality, or its preprocessing differs or is missing.
    """
    path = Path(path)
    try:
        card, state = read_tensors(path, framework="torch") if framework == "torch" else read_tensors(path)
    except InvalidCard as error:
        raise WeightsMismatch(
            f"{error}, so the preprocessing of its weights is unknown; save it with TorchEncoder.save_weights"
        ) from error
    try:
        stated, stated_modality, settings = Space(**card["space"]), card["modality"], dict(card["preprocessing"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsMismatch(f"{path}: its card is not that of weights ({error})") from error
    if stated != space:
        raise WeightsMismatch(f"{path} holds weights for {stated}, not for {space}")
    if stated_modality != modality:
        raise WeightsMismatch(f"{path} holds weights for {stated_modality}, not for {modality}")
    expected = json.loads(json.dumps(dict(preprocessing)))
    differ = sorted(key for key in settings | expected if settings.get(key) != expected.get(key))
    if differ:
        there = ", ".join(f"{key}={settings.get(key)!r}" for key in differ)
        raise WeightsMismatch(f"{path} was made with another preprocessing: {', '.join(differ)} differ ({there} there)")
    return state
