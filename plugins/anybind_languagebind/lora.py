"""Merge low-rank updates (LoRA) into the frozen weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from anybind.plugin import errors

DOWN, UP = ".lora_A.default.weight", ".lora_B.default.weight"


def merge_lora(
    path: Path, state: Mapping[str, torch.Tensor], settings: Mapping[str, object]
) -> dict[str, torch.Tensor]:
    """Merge LoRA updates, W + B @ A * (alpha / r), and return the weights under their names without peft.

    Args:
        path: the weight file, for messages.
        state: tensors of an encoder. peft prefixes wrapped modules by `base_model.model.` and stores the frozen weights
            of a layer under `base_layer.` (old versions do not). Without LoRA, weights are returned unchanged.
        settings: table with `lora_r` and `lora_alpha`.

    Raises:
        WeightsMismatch: a factor of an update is missing or of another rank, `settings` has no scale, or there are
            unsupported LoRA tensors.
    """
    updates = {name: tensor for name, tensor in state.items() if ".lora_" in name}
    plain = {_strip_wrappers(name): tensor for name, tensor in state.items() if name not in updates}
    if len(plain) + len(updates) != len(state):
        raise errors.WeightsMismatch(f"{path}: duplicate weights, with and without base_layer in their names")
    if not updates:
        return plain
    rank, scale = _read_rank_and_scale(path, settings)
    for name in [name for name in updates if name.endswith(DOWN)]:
        layer = name.removesuffix(DOWN)
        down, up, weight = (
            updates.pop(name),
            updates.pop(layer + UP, None),
            plain.get(_strip_wrappers(layer + ".weight")),
        )
        if up is None or weight is None:
            raise errors.WeightsMismatch(
                f"{path}: {layer + UP if up is None else layer + '.weight'} is missing, the counterpart of {name}"
            )
        if up.shape != (weight.shape[0], rank) or down.shape != (rank, weight.shape[1]):
            raise errors.WeightsMismatch(
                f"{path}: the LoRA update of {layer} has shapes {tuple(up.shape)} and {tuple(down.shape)}, expected"
                f" the weight's {tuple(weight.shape)} with lora_r = {rank}"
            )
        weight += up @ down * scale
    if updates:
        raise errors.WeightsMismatch(f"{path}: unsupported LoRA tensors: {', '.join(sorted(updates)[:3])}")
    return plain


def _strip_wrappers(name: str) -> str:
    return name.replace(".base_model.model.", ".").replace(".base_layer.", ".")


def _read_rank_and_scale(path: Path, settings: Mapping[str, object]) -> tuple[int, float]:
    rank, alpha = settings.get("lora_r"), settings.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float):
        raise errors.WeightsMismatch(
            f"{path} has LoRA tensors, but vision_config in config.json does not set their scale: expected lora_r and"
            f" lora_alpha, got {rank!r} and {alpha!r}"
        )
    return rank, alpha / rank
