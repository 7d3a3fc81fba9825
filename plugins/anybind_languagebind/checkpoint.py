"""A published LanguageBind checkpoint: its configuration, and the tensors of one tower, LoRA merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from anybind import Space
from anybind.plugin import BadInput, errors, hub, tables, tensors
from anybind_languagebind.lora import merge_lora

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""What the tensors are called in a folder or repository; the one that cannot hold code comes first."""
VISION = ("vision_model.", "visual_projection.")
TEXT = ("text_model.", "text_projection.")
SCALE = "logit_scale"
TABLES = ("vision_model.embeddings.position_ids", "text_model.embeddings.position_ids")
"""Counts from 0 that old versions of transformers saved among the weights."""
SHARED = ("text_projection.weight", "text_model.final_layer_norm.weight", "text_model.final_layer_norm.bias")
"""What the frozen text tower of every checkpoint ends in."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint, of which the tensors of one tower were read.

    Attributes:
        path: the weight file.
        config: what `config.json` says.
        tower: tensors of the tower under the names of transformers' CLIP, float32, LoRA merged.
        space: the common space. LanguageBind's modalities were all bound to one frozen text tower, of which every
            checkpoint carries a copy: those whose copies end in the same tensors share a space.
        logit_scale: of the softmax over cosines that the tower was trained with.
    """

    path: Path
    config: Mapping[str, object]
    tower: Mapping[str, torch.Tensor]
    space: Space
    logit_scale: float

    def read_section(self, name: str) -> ConfigSection:
        """The table `vision_config` or `text_config`; raises `BadInput` where there is none."""
        table = self.config.get(name)
        if not isinstance(table, Mapping):
            raise BadInput(f"{self.path.parent / 'config.json'} lacks the table {name}: it is of no LanguageBind model")
        return ConfigSection(self.path.parent / "config.json", name, table)


@dataclass(frozen=True)
class ConfigSection:
    """A table of `config.json`, whose values are checked as they are asked for."""

    path: Path
    name: str
    values: Mapping[str, object]

    def read_count(self, key: str, default: int | None = None) -> int:
        """A whole number above 0; raises `BadInput` where it is anything else, or missing without a default."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 1 or value != int(value):
            raise BadInput(f"{self.path}: {self.name}.{key} must be a whole number above 0, got {value!r}")
        return int(value)

    def read_side(self, key: str) -> int:
        """A side in pixels, which some checkpoints give as height and width; raises `BadInput` where these differ."""
        value = self.values.get(key)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            return ConfigSection(self.path, self.name, {key: value[0]}).read_count(key)
        return self.read_count(key)

    def read_number(self, key: str, default: float | None = None, *, positive: bool = False) -> float:
        """A finite number, above 0 where told; raises `BadInput` as `count`."""
        value = self._get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not abs(value) < float("inf")
            or (positive and value <= 0)
        ):
            kind = "a number above 0" if positive else "a number"
            raise BadInput(f"{self.path}: {self.name}.{key} must be {kind}, got {value!r}")
        return float(value)

    def _get(self, key: str, default: float | None) -> object:
        value = self.values.get(key, default)
        if value is None:
            raise BadInput(f"{self.path}: {self.name} lacks {key}; take the file that came with the weights")
        return value


def load_checkpoint(model: str, prefixes: tuple[str, ...], revision: str | None = None) -> Checkpoint:
    """Read one tower of a checkpoint, and of the rest only what says which space it is for.

    Args:
        model: `ORG/REPO` of the hub, or `local-dir:PATH` of a folder with `config.json` and the weights.
        prefixes: of the tower's tensors: `VISION` or `TEXT`.
        revision: of the repository.

    Raises:
        BadInput: files are missing, cannot be fetched, or are damaged.
        BadOption: `model` is neither a folder nor the name of a repository.
        WeightsMismatch: the weights are of another model; the message names the first few tensors.
    """
    config_path = hub.find_weights_file(model, file="config.json", revision=revision)
    config = tables.read_json(config_path)
    if not isinstance(config, Mapping):
        raise BadInput(f"{config_path}: expected a model configuration, a JSON object, got {type(config).__name__}")
    path = hub.find_weights_file(model, file=WEIGHTS, revision=revision)
    stored = tensors.read_weights(path)
    _check_names(path, stored)
    # Copies of float32, so that nothing of the file stays open and half precision is computed in full.
    tower = {
        name: tensor.to(torch.float32, copy=True)
        for name, tensor in stored.items()
        if name.startswith(prefixes) and name not in TABLES
    }
    # In half precision, so that copies of one tower that were saved in whole and in half are one space.
    shared = {name: stored[name].to(torch.float16, copy=True) for name in SHARED}
    scale = float(stored[SCALE].to(torch.float32).exp())
    lora = config.get("vision_config")
    tower = merge_lora(path, tower, lora if isinstance(lora, Mapping) else {})
    space = Space("languagebind", shared[SHARED[0]].shape[0], f"text-tower:{tensors.hash_state(shared)}")
    return Checkpoint(path, config, tower, space, scale)


def _check_names(path: Path, stored: Mapping[str, torch.Tensor]) -> None:
    """The tower's own names are compared with its module; here, that there is the rest and nothing else."""
    missing = [name for name in (*SHARED, SCALE) if name not in stored]
    if missing:
        raise errors.WeightsMismatch(f"{path} is a weight file of another model: it lacks {', '.join(missing)}")
    unexpected = [name for name in stored if not name.startswith((*VISION, *TEXT)) and name != SCALE]
    if unexpected:
        names = ", ".join(sorted(unexpected)[:3])
        raise errors.WeightsMismatch(
            f"{path} is a weight file of another model: it has {len(unexpected)} too many: {names}"
        )
    if stored[SCALE].numel() != 1 or stored[SHARED[0]].ndim != 2:
        raise errors.WeightsMismatch(
            f"{path} is a weight file of another model: {SCALE} or {SHARED[0]} has another shape"
        )
