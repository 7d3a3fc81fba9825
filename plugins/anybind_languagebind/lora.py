"""Low-rank updates that were trained beside frozen weights, added to them once and for all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from anybind.plugin import errors

DOWN, UP = ".lora_A.default.weight", ".lora_B.default.weight"


def merge_lora(
    path: Path, state: Mapping[str, torch.Tensor], settings: Mapping[str, object]
) -> dict[str, torch.Tensor]:
    """Weights without LoRA: W + B @ A * (alpha / r), under the names that they have without peft.

    Args:
        path: the weight file, for messages.
        state: tensors of a tower. peft puts `base_model.model.` in front of what it wraps, and the frozen weights of
            a layer under `base_layer.` (its old versions leave them where they are). Without LoRA: as they are.
        settings: where `lora_r` and `lora_alpha` stand.

    Raises:
        WeightsMismatch: half of an update is missing, or it is of another rank, or `settings` does not say its
            scale, or there are LoRA tensors of another kind.
    """
    updates = {name: tensor for name, tensor in state.items() if ".lora_" in name}
    plain = {_strip_wrappers(name): tensor for name, tensor in state.items() if name not in updates}
    if len(plain) + len(updates) != len(state):
        raise errors.WeightsMismatch(f"{path} holds some weights twice, with and without base_layer in their names")
    if not updates:
        return plain
    rank, scale = _read_rank_and_scale(path, settings)
    for name in [name for name in updates if name.endswith(DOWN)]:
        layer = name.removesuffix(DOWN)
        down, up, weight = updates.pop(name), updates.pop(layer + UP, None), plain.get(_strip_wrappers(layer + ".weight"))
        if up is None or weight is None:
            raise errors.WeightsMismatch(
                f"{path} lacks {layer + UP if up is None else layer + '.weight'}, the half of {name}"
            )
        if up.shape != (weight.shape[0], rank) or down.shape != (rank, weight.shape[1]):
            raise errors.WeightsMismatch(
                f"{path}: the LoRA update of {layer} is of shapes {tuple(up.shape)} and {tuple(down.shape)}, which do"
                f" not make {tuple(weight.shape)} through lora_r = {rank}"
            )
        weight += up @ down * scale
    if updates:
        raise errors.WeightsMismatch(f"{path} holds LoRA tensors of an unknown kind: {', '.join(sorted(updates)[:3])}")
    return plain


def _strip_wrappers(name: str) -> str:
    return name.replace(".base_model.model.", ".").replace(".base_layer.", ".")


def _read_rank_and_scale(path: Path, settings: Mapping[str, object]) -> tuple[int, float]:
    rank, alpha = settings.get("lora_r"), settings.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float):
        raise errors.WeightsMismatch(
            f"{path} holds LoRA tensors, and vision_config of its config.json does not say their scale"
            f" (lora_r = {rank!r}, lora_alpha = {alpha!r})"
        )
    return rank, alpha / rank
