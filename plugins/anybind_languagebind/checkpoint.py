"""Published LanguageBind checkpoints: the configuration, and the tensors of one encoder with merged LoRA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from anybind import Space
from anybind.plugin import BadInput, errors, hub, tables, tensors
from anybind_languagebind.lora import merge_lora

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of weight files in a folder or repository, in order of preference: safetensors cannot contain code."""
VISION = ("vision_model.", "visual_projection.")
TEXT = ("text_model.", "text_projection.")
SCALE = "logit_scale"
TABLES = ("vision_model.embeddings.position_ids", "text_model.embeddings.position_ids")
"""Position indices, which old versions of transformers saved among the weights."""
SHARED = ("text_projection.weight", "text_model.final_layer_norm.weight", "text_model.final_layer_norm.bias")
"""The last tensors of the frozen text tower, which identify the space."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint with the tensors of one encoder, CLIP's image tower or text tower.

    Attributes:
        path: the weight file.
        config: contents of `config.json`.
        weights: tensors of CLIP's image or text tower under the names of transformers' CLIP, float32, LoRA merged.
        space: the common space. All modalities of LanguageBind were bound to one frozen text tower, and every
            checkpoint has a copy of it: checkpoints with equal last tensors of the text tower share a space.
        logit_scale: factor of cosine similarities in training.
    """

    path: Path
    config: Mapping[str, object]
    weights: Mapping[str, torch.Tensor]
    space: Space
    logit_scale: float

    def read_section(self, name: str) -> ConfigSection:
        """Return the table `vision_config` or `text_config`; raise `BadInput` if it is missing."""
        table = self.config.get(name)
        if not isinstance(table, Mapping):
            raise BadInput(f"{self.path.parent / 'config.json'}: not a LanguageBind configuration: no table {name}")
        return ConfigSection(self.path.parent / "config.json", name, table)


@dataclass(frozen=True)
class ConfigSection:
    """A table of `config.json`, with values validated on access."""

    path: Path
    name: str
    values: Mapping[str, object]

    def read_count(self, key: str, default: int | None = None) -> int:
        """Return an integer above 0; raise `BadInput` for other values, and if it is missing without a default."""
        value = self._read_value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 1 or value != int(value):
            raise BadInput(f"{self.path}: {self.name}.{key}: expected an integer above 0, got {value!r}")
        return int(value)

    def read_side(self, key: str) -> int:
        """Return a side in pixels, in some checkpoints [height, width]; raise `BadInput` if these differ."""
        value = self.values.get(key)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            return ConfigSection(self.path, self.name, {key: value[0]}).read_count(key)
        return self.read_count(key)

    def read_number(self, key: str, default: float | None = None, *, positive: bool = False) -> float:
        """Return a finite number, above 0 if `positive`; raise `BadInput` as `read_count`."""
        value = self._read_value(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not abs(value) < float("inf")
            or (positive and value <= 0)
        ):
            expected = "a number above 0" if positive else "a number"
            raise BadInput(f"{self.path}: {self.name}.{key}: expected {expected}, got {value!r}")
        return float(value)

    def _read_value(self, key: str, default: float | None) -> object:
        value = self.values.get(key, default)
        if value is None:
            raise BadInput(f"{self.path}: {self.name} has no {key}; use the file published with the weights")
        return value


def load_checkpoint(model: str, prefixes: tuple[str, ...], revision: str | None = None) -> Checkpoint:
    """Load the image tower or text tower of a checkpoint.

    Args:
        model: `ORG/REPO` of the hub, or `local-dir:PATH` of a folder with `config.json` and the weights.
        prefixes: name prefixes of the tensors: `VISION` or `TEXT`.
        revision: revision of the repository.

    Raises:
        BadInput: files are missing, corrupt, or cannot be downloaded.
        BadOption: `model` is neither a folder nor the name of a repository.
        WeightsMismatch: weights of another model; the message names the first few tensors.
    """
    config_path = hub.find_weights_file(model, file="config.json", revision=revision)
    config = tables.read_json(config_path)
    if not isinstance(config, Mapping):
        raise BadInput(f"{config_path}: expected a model configuration, a JSON object, got {type(config).__name__}")
    path = hub.find_weights_file(model, file=WEIGHTS, revision=revision)
    stored = tensors.read_weights(path)
    _check_names(path, stored)
    # Copies in float32: the file is closed afterwards, and half-precision weights are computed in float32.
    tower = {
        name: tensor.to(torch.float32, copy=True)
        for name, tensor in stored.items()
        if name.startswith(prefixes) and name not in TABLES
    }
    # In float16: copies of the text tower saved in float32 and float16 get the same space.
    shared = {name: stored[name].to(torch.float16, copy=True) for name in SHARED}
    scale = float(stored[SCALE].to(torch.float32).exp())
    lora = config.get("vision_config")
    tower = merge_lora(path, tower, lora if isinstance(lora, Mapping) else {})
    space = Space("languagebind", shared[SHARED[0]].shape[0], f"text-tower:{tensors.hash_state(shared)}")
    return Checkpoint(path, config, tower, space, scale)


def _check_names(path: Path, stored: Mapping[str, torch.Tensor]) -> None:
    """Check the tensors outside the loaded encoder, whose own are compared with its module later."""
    missing = [name for name in (*SHARED, SCALE) if name not in stored]
    if missing:
        raise errors.WeightsMismatch(f"{path}: weights of another model: missing {', '.join(missing)}")
    unexpected = [name for name in stored if not name.startswith((*VISION, *TEXT)) and name != SCALE]
    if unexpected:
        names = ", ".join(sorted(unexpected)[:3])
        raise errors.WeightsMismatch(f"{path}: weights of another model: {len(unexpected)} unexpected: {names}")
    integers = [name for name, tensor in stored.items() if not tensor.is_floating_point() and name not in TABLES]
    if integers:
        raise errors.WeightsMismatch(f"{path}: expected floating-point numbers, got integers in {integers[0]}")
    if stored[SCALE].numel() != 1 or stored[SHARED[0]].ndim != 2:
        raise errors.WeightsMismatch(f"{path}: weights of another model: unexpected shape of {SCALE} or {SHARED[0]}")
